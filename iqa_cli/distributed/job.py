"""Job: what is scored into which folder. The file _iqa.json there keeps rows of other models, images and settings out."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

from iqa_cli.distributed.folders import Folder
from iqa_cli.distributed.parts import DEFAULT_SIZE, PART, digest
from iqa_cli.errors import DataError, UsageError
from iqa_cli.images.path_lists import read_list
from iqa_cli.models.find import find_model, released_folder
from iqa_cli.options import FILE_KINDS, ScoreOptions
from iqa_cli.remote.names import expand_name, is_url, plainly

FILE = "_iqa.json"  # readers of folders of Parquet leave out what begins so
FORMAT = "parts of scores, 1"
LATER = ("null", "base")  # of which files of earlier versions say nothing
MARK = "mark"  # of the job, under which its parts are told from those of others


@dataclass(frozen=True)
class Job:
    """A run in parts. It can be pickled.

    inputs: images, folders, archives and URLs; listing: a file of more, NUL-separated or not. place: the folder or URL of the
    output. options: how images are scored; model, sha256: the name of what scores them, and the hash of its weights.
    part_size: images a part, on average. folder: of which relative paths are. retry: parts in which an image failed for a
    reason that may pass are scored again. mark: stands in its parts, so that those of other jobs are told apart; empty before
    the folder is its own.
    """

    inputs: tuple[str, ...]
    place: str
    options: ScoreOptions
    model: str
    sha256: str
    listing: Path | None = None
    null: bool = False
    part_size: int = DEFAULT_SIZE
    folder: str = ""
    retry: bool = False
    mark: str = ""

    def draw_names(self) -> Iterator[str]:
        """What is named, patterns expanded, as it is needed. Raises DataError where the list cannot be read."""
        for name in self.inputs:
            yield from expand_name(name)
        yield from self._read_listing()

    def find_base(self) -> str:
        """Where relative names begin; "" where all are absolute. Raises DataError where the list cannot be read.

        It is the way from a local output, so that both may move together.
        """
        names = map(plainly, chain(self.inputs, self._read_listing()))
        if all(is_url(name) or os.path.isabs(name) for name in names):  # noqa: PTH117  # names stay strings
            return ""
        return self.folder if is_url(self.place) else os.path.relpath(self.folder, os.path.realpath(self.place))

    def _read_listing(self) -> Iterator[str]:
        if self.listing is None:
            return
        try:
            with self.listing.open("rb") as stream:
                yield from read_list(stream, null_separated=self.null)
        except OSError as error:
            raise DataError(f"{self.listing}: cannot read the list of paths: {error.strerror}") from error

    def enter_folder(self) -> None:
        """Make relative paths mean what they mean where the job was begun. Raises DataError where there is no such folder."""
        if all(is_url(name) for name in self.inputs) and self.listing is None:
            return
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise DataError(
                f"{self.folder}: {error.strerror} on a machine that scores: images that are files must be seen by all"
            ) from error


def plan_job(job: Job) -> Job:
    """The job with the model that its options name, which is found and not loaded. Raises WeightsError and UsageError."""
    found = find_model(job.options.model, job.options.backend)
    options = replace(job.options, model=resolve(job.options.model), backend=found.backend)
    sha256 = found.card.files[FILE_KINDS[found.backend]].sha256
    place = job.place if is_url(job.place) else os.path.abspath(plainly(job.place))  # noqa: PTH100  # names stay strings
    return replace(job, options=options, place=place, model=found.card.name, sha256=sha256, folder=os.getcwd())  # noqa: PTH109


def resolve(model: str) -> str:
    """The name of a model, where it is a path the absolute one."""
    installed = (released_folder() / f"{model}.json").is_file()
    return os.path.abspath(model) if os.path.exists(model) and not installed else model  # noqa: PTH100, PTH110


def describe(job: Job) -> dict[str, Any]:
    """All that the rows of a job depend on besides the images."""
    options = job.options
    named = ("backend", "crops", "detail", "max_pixels", "raw", "include", "exclude", "max_depth", "follow_symlinks")
    return {
        "format": FORMAT,
        "inputs": list(job.inputs),
        "list": "" if job.listing is None else hash_list(job.listing),
        "null": job.null and job.listing is not None,
        "base": job.find_base(),
        "model": job.model,
        "model_sha256": job.sha256,
        "settings": json.loads(json.dumps({name: getattr(options, name) for name in named})),
        "part_size": job.part_size,
    }


def hash_list(path: Path) -> str:
    """The hash of a list of paths. Raises DataError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot read the list of paths: {error.strerror}") from error


def claim_folder(job: Job, folder: Folder, *, force: bool) -> tuple[Job, bool]:
    """The job with its mark, once the folder is its own, and whether it was not before.

    Raises UsageError where it holds rows of another job, or files that are none of any.
    """
    told = describe(job)
    mark = digest(json.dumps(told).encode()).hex()
    known = folder.read(FILE)
    if known is not None:
        try:
            earlier = refuse_other(job.place, told, known)
        except UsageError as error:
            if has_parts(folder):
                raise
            raise UsageError(f"{error}; no part is there yet: where that run has ended, remove its {FILE}") from error
        if not earlier.keys() >= {*told, MARK}:
            folder.write(FILE, json.dumps({MARK: mark} | earlier | told, indent=1).encode())
        return replace(job, mark=str(earlier.get(MARK, mark))), False
    if not force and (others := folder.list()):
        refuse_strangers(job.place, others)
    folder.write(FILE, json.dumps(told | {MARK: mark}, indent=1).encode())
    return replace(job, mark=mark), True


def leave_folder(folder: Folder) -> None:
    """Give a folder up that no part has come to, so that it keeps no other job out. Raises DataError."""
    if not has_parts(folder):
        folder.remove(FILE)


def has_parts(folder: Folder) -> bool:
    """Whether there is something that is called as a part. Raises DataError."""
    return any(map(PART.fullmatch, folder.list()))


def refuse_strangers(place: str, others: list[str]) -> NoReturn:
    """Raises UsageError for a folder with files that are of no job."""
    parts = [name for name in others if PART.fullmatch(name)]
    what = f"parts of a run of which no {FILE} tells" if parts else "files of no earlier run"
    raise UsageError(f"--output {place}: there are {what}, as {[*parts, *others][0]}: name another folder, or add --force")


def refuse_other(place: str, told: dict[str, Any], known: bytes) -> dict[str, Any]:
    """What a folder is known for. Raises UsageError where that is another job."""
    try:
        earlier: dict[str, Any] = json.loads(known)
        differing = [name for name in told if earlier.get(name, told[name] if name in LATER else None) != told[name]]
    except (ValueError, AttributeError):
        raise UsageError(f"--output {place}: {FILE} there is no file of an earlier run: name another folder") from None
    if not differing:
        return earlier
    if {"model", "model_sha256"} & set(differing):
        there, here = (f"{each.get('model')} ({str(each.get('model_sha256'))[:12]})" for each in (earlier, told))
        raise UsageError(f"--output {place}: it holds rows of the model {there}, not of {here}: name another folder")
    if differing == ["base"]:
        there, here = (os.path.normpath(os.path.join(os.path.realpath(place), str(each["base"]))) for each in (earlier, told))  # noqa: PTH118
        raise UsageError(f"--output {place}: it holds rows of paths that begin in {there}, not in {here}: name another folder")
    name = differing[0]
    was, now = (json.dumps(each.get(name), ensure_ascii=False) for each in (earlier, told))
    raise UsageError(f"--output {place}: it holds rows of a run with other {name}, {was}, not {now}: name another folder")
