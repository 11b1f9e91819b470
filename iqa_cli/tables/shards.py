"""Files beside shards: SHARD.scores.parquet with a row an image, and new tars with KEY.iqa.json, by WebDataset's keys."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Self

from iqa_cli.errors import DataError
from iqa_cli.files.atomic import SealedFile, open_target
from iqa_cli.files.outputs import Output, identify, may_replace, spell_place
from iqa_cli.records import COLUMNS, ScoreRecord
from iqa_cli.remote.names import ARCHIVE, is_url, path_of, split_key, split_member
from iqa_cli.scoring.writers import Columns, Sink, describe_record, encode_json
from iqa_cli.tables.parquet import TargetFile, list_parquet, open_parquet

OPTION = "--shard-scores"
JSON_OPTION = "--shard-json"
JSON_ENDING = "iqa.json"
Admits = Callable[[ScoreRecord], bool]


def name_stem(shard: str) -> str:
    """The name of a shard without what says that it is one: 00000 of 00000.tar."""
    return Path(path_of(shard)).name.rpartition(".")[0].removesuffix(".tar")


def name_side_file(shard: str) -> Path | None:
    """Where the scores of a shard go: 00000.scores.parquet beside 00000.tar; None where there is no such folder.

    Raises DataError for one elsewhere.
    """
    if is_url(shard):
        raise DataError(f"{OPTION}: {shard}: only beside shards on this machine can be written: use --parquet FILE")
    path = Path(shard).with_name(f"{name_stem(shard)}.scores.parquet")
    return path if os.path.isdir(path.parent) else None  # noqa: PTH112  # which a Path may not be allowed to say


def list_json_tar(path: Path) -> Output:
    """A tar of scores as `outputs.check_outputs` wants it: one whose files are all of scores, or that is empty."""

    def is_earlier(head: bytes) -> bool:
        try:
            with tarfile.open(path, "r:") as archive:
                names = archive.getnames()
        except (tarfile.TarError, OSError, ValueError):
            return False
        return all(name.endswith(f".{JSON_ENDING}") for name in names) if names else head == bytes(tarfile.RECORDSIZE)

    return Output(path, JSON_OPTION, "a tar of scores", is_earlier)


@dataclass(frozen=True)
class ShardFiles:
    """Where the files of shards go, each of which is one shard's.

    name: the file for a shard, None where it has none, raises DataError where there can be none; known: it as an output.
    advice: what to do where two shards have one file. force: files of other kinds may be replaced. claimed: the files of the
    shards so far, and whose they are.
    """

    name: Callable[[str], Path | None]
    known: Callable[[Path], Output]
    advice: str
    force: bool
    claimed: dict[str, str] = field(default_factory=dict)

    def claim(self, shard: str) -> Path | None:
        """The file for the next shard, None where it has none. Raises DataError where it may not be written."""
        path = self.name(shard)
        if path is None:
            return None
        output = self.known(path)
        place = spell_place(path)
        if place in self.claimed:
            both = f"{self.claimed[place]} and {shard}: two shards, or one that is named twice, would be written to one file"
            raise DataError(f"{output.option}: {path}: {both}: {self.advice}")
        if not self.force and not may_replace(output):
            raise DataError(f"{output.option}: {path}: there is a file that is no earlier output: move it away, or add --force")
        self.claimed[place] = shard
        return path


def find_side_files(*, force: bool) -> ShardFiles:
    """Where the scores of shards go: beside them."""
    return ShardFiles(name_side_file, partial(list_parquet, option=OPTION), "rename one of them", force)


def find_json_tars(folder: Path, *, force: bool) -> ShardFiles:
    """Where the tars of KEY.iqa.json go: into a folder, each under the name of its shard."""

    def name(shard: str) -> Path:
        path = folder / f"{name_stem(shard)}.tar"
        here = identify(path)
        if here is not None and not is_url(shard) and here == identify(shard):
            raise DataError(f"{JSON_OPTION} {folder}: {path} is the shard itself, and would be lost: name another folder")
        return path

    return ShardFiles(name, list_json_tar, "leave one of them to another run, with another folder", force)


def check_shards(shards: Iterable[str], files: Sequence[ShardFiles]) -> None:
    """Raises DataError where a file of these shards, which come one after the other, may not be written."""
    for shard, _ in groupby(shards):
        for each in files:
            each.claim(shard)


class ShardSink:
    """Writes each shard's records into a file of its own, as the shards come one after the other.

    files: where they go; make: what writes one. admits: whether a record is written; a shard of which none is has its file all
    the same.
    """

    def __init__(self, files: ShardFiles, make: Callable[[Path], AbstractContextManager[Sink]], *, admits: Admits) -> None:
        self.files, self.make, self.admits = files, make, admits
        self.shard: str | None = None
        self.opened = ExitStack()
        self.sink: Sink | None = None

    def write(self, record: ScoreRecord) -> None:
        """One row; nothing of an image in no shard. Raises DataError where the file may not or cannot be written."""
        inside = split_member(record.path)
        if inside is None and not ARCHIVE.fullmatch(record.path):
            return
        shard = record.path if inside is None else inside[0]
        if shard != self.shard:
            self.opened.close()
            self.shard, self.sink = shard, None
            path = self.files.claim(shard)
            self.sink = None if path is None else self.opened.enter_context(self.make(path))
        if self.sink is not None and self.admits(record):
            self.sink.write(record)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        """Complete the file of the last shard, as far as it goes."""
        self.opened.__exit__(*error)


class JsonTarSink:
    """A file KEY.iqa.json an image. sha256: of the model's weights."""

    def __init__(self, archive: tarfile.TarFile, sha256: str, columns: Columns) -> None:
        self.archive, self.sha256, self.columns = archive, sha256, columns
        self.names: set[str] = set()
        self.failed = False  # whether something is wrong with the shard itself

    def write(self, record: ScoreRecord) -> None:
        """One file; none of what is wrong with the shard itself, which has no key. Raises as the target of the tar does."""
        inside = split_member(record.path)
        if inside is None:
            self.failed = True
            return
        key, ending = split_key(inside[1])
        values = {**describe_record(record, self.columns), "model_sha256": self.sha256, "shard": inside[0], "key": key}
        data = encode_json(values) + b"\n"
        info = tarfile.TarInfo(self._name(key, ending))
        info.size = len(data)
        self.archive.addfile(info, io.BytesIO(data))

    def _name(self, key: str, ending: str) -> str:
        """KEY.iqa.json; of another image of that key KEY.ENDING.iqa.json, of another of that name with a number."""
        tries = (f"{key}.{JSON_ENDING}", f"{key}.{ending}.{JSON_ENDING}")
        more = (f"{key}.{ending}.{number}.{JSON_ENDING}" for number in range(2, len(self.names) + 3))
        name = next(name for name in (*tries, *more) if name not in self.names)
        self.names.add(name)
        return name


@contextmanager
def open_json_tar(path: Path, sha256: str, columns: Columns) -> Iterator[Sink]:
    """A tar of scores, complete when the block ends; where that or the shard fails, with what there is, if there is anything.

    Raises DataError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{JSON_OPTION} {path.parent}: cannot be made: {error.strerror}") from error
    with open_target(path, SealedFile) as target:
        archive = tarfile.open(fileobj=TargetFile(target), mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115  # closed below
        sink, whole = JsonTarSink(archive, sha256, columns), False
        try:
            yield sink
            whole = not sink.failed
        finally:
            archive.close()
            if isinstance(target, SealedFile) and (whole or sink.names):
                target.seal()


@contextmanager
def open_side_files(sha256: str, admits: Admits, columns: Columns = COLUMNS, *, force: bool) -> Iterator[Sink]:
    """Side files beside local shards, each complete when the next begins or the block ends. admits: as of `ShardSink`."""
    make = partial(open_parquet, sha256=sha256, columns=columns)
    with ShardSink(find_side_files(force=force), make, admits=admits) as sink:
        yield sink


@contextmanager
def open_json_tars(folder: Path, sha256: str, admits: Admits, columns: Columns = COLUMNS, *, force: bool) -> Iterator[Sink]:
    """Tars of KEY.iqa.json in a folder, a shard's under its name, complete in the same way."""
    make = partial(open_json_tar, sha256=sha256, columns=columns)
    with ShardSink(find_json_tars(folder, force=force), make, admits=admits) as sink:
        yield sink
