"""A new set of shards: of each shard the samples whose images stay, with all that belongs to them; links become files."""

from __future__ import annotations

import re
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from iqa_cli.errors import DataError
from iqa_cli.files.atomic import SealedFile, open_target
from iqa_cli.files.folders import filling
from iqa_cli.filtering.choice import Judged
from iqa_cli.filtering.scores import Scored
from iqa_cli.remote.archives import BROKEN, NotingInfo
from iqa_cli.remote.cuts import Linked, Survey, draw_files, survey
from iqa_cli.remote.names import ENDINGS, is_url, split_key, split_member
from iqa_cli.tables.parquet import TargetFile


@dataclass
class Copied:
    """What was written. shards, samples: how many; notes: what was not as it should be, in words."""

    shards: int = 0
    samples: int = 0
    notes: list[str] = field(default_factory=list)


def split_image(image: Scored) -> tuple[str, str]:
    """The shard of an image, and its path there. Raises DataError where it is in none that can be read here."""
    inside = split_member(image.path)
    if inside is None or is_url(inside[0]) or inside[0].lower().endswith(".zip"):
        raise DataError(f"--shards: {image.path}: not in a tar on this machine: write --list FILE")
    return inside


def draw_shards(chosen: Iterable[Judged]) -> Iterator[tuple[str, set[str]]]:
    """Each shard and the keys of its samples that stay; a sample does if one of its images does.

    Raises DataError where the scores of a shard do not stand together.
    """
    done: set[str] = set()
    scored = ((*split_image(image), stays) for image, stays in chosen if split_member(image.path) or stays)
    for shard, images in groupby(scored, key=lambda each: each[0]):
        keys = {split_key(member)[0] for _, member, stays in images if stays}
        if shard in done:
            raise DataError(f"--shards: the scores of {shard} do not stand together: score without --sort, --top and --bottom")
        done.add(shard)
        yield shard, keys


def write_shards(chosen: Iterable[Judged], folder: Path, copied: Copied) -> None:
    """A folder with a shard for each that some sample stays of, under its name: all of them or none. Raises DataError."""
    with filling(folder) as aside:
        copy_shards(chosen, aside, folder, copied)


def copy_shards(chosen: Iterable[Judged], aside: Path, folder: Path, copied: Copied) -> None:
    """Copy into a folder what is going to be in another one. Raises DataError."""
    names: dict[str, str] = {}
    for shard, keys in draw_shards(chosen):
        name = name_shard(shard)
        if (other := names.setdefault(name, shard)) != shard:
            raise DataError(f"--shards: {other} and {shard} would be one file, {folder / name}: filter them one by one")
        if keys:
            copy_shard(shard, keys, aside / name, copied)


def name_shard(shard: str) -> str:
    """What the copy of a shard is called, which is never packed.

    >>> name_shard("a/my.target-001.TAR"), name_shard("b/00000.tgz")
    ('my.target-001.tar', '00000.tar')
    """
    return re.sub(rf"\.({ENDINGS})$", "", Path(shard).name, flags=re.IGNORECASE) + ".tar"


def copy_shard(shard: str, keys: set[str], path: Path, copied: Copied) -> None:
    """Some samples of a shard, in its order; a link becomes the file that it leads to. Raises DataError."""
    found: set[str] = set()
    lost: list[str] = []
    try:
        seen = survey(shard)
        whole = keys if seen.at_end else keys - {seen.last}
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryFile(dir=path.parent) as aside,
            tarfile.open(shard, tarinfo=NotingInfo) as source,
            open_target(path, SealedFile) as target,
        ):
            linked = Linked(shard, seen.linked, aside)
            with tarfile.open(fileobj=TargetFile(target), mode="w|", format=tarfile.PAX_FORMAT) as written:
                for info, file in draw_files(source, whole, linked):
                    if file is None:
                        lost.append(info.name)
                        continue
                    info.pax_headers = {}
                    written.addfile(info, file)
                    found.add(split_key(info.name)[0])
            if isinstance(target, SealedFile):
                target.seal()
    except BROKEN as error:
        raise DataError(f"--shards: {shard}: cannot be read: {error}") from error
    except OSError as error:
        raise DataError(f"--shards: {error.filename or shard}: {error.strerror or error}") from error
    copied.shards += 1
    copied.samples += len(found)
    copied.notes += [f"{shard}: {note}" for note in describe_copy(seen, keys, len(whole - found), lost)]


def describe_copy(seen: Survey, keys: set[str], missing: int, lost: list[str]) -> Iterator[str]:
    """What to say of the copy of a shard. keys: of samples that stay; missing: how many it lacks; lost: files."""
    if seen.last in keys:
        what = "may lack files: the shard has no end mark" if seen.at_end else "is left out: the shard is cut short in it"
        yield f"its last sample, {seen.last}, {what}"
    if missing:
        yield f"{missing} samples that were scored are not in it any more, or behind a cut"
    if lost:
        are = "file is" if len(lost) == 1 else "files are"
        yield f"{len(lost):,} {are} left out, as {lost[0]}: links that lead to no file in it, or devices"
