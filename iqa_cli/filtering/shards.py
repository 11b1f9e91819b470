"""A new set of shards: of each shard the samples whose images stay, with all that belongs to them, byte for byte."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from iqa_cli.errors import DataError
from iqa_cli.files.atomic import SealedFile, open_target
from iqa_cli.files.folders import filling
from iqa_cli.filtering.choice import Judged
from iqa_cli.filtering.scores import Scored
from iqa_cli.remote.names import is_url, split_key, split_member
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
        name = f"{Path(shard).name.partition('.tar')[0].removesuffix('.tgz')}.tar"
        if (other := names.setdefault(name, shard)) != shard:
            raise DataError(f"--shards: {other} and {shard} would be one file, {folder / name}: filter them one by one")
        if keys:
            copy_shard(shard, keys, aside / name, copied)


def copy_shard(shard: str, keys: set[str], path: Path, copied: Copied) -> None:
    """Some samples of a shard, in its order. Raises DataError where that cannot be read or written."""
    found: set[str] = set()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(shard) as source, open_target(path, SealedFile) as target:
            with tarfile.open(fileobj=TargetFile(target), mode="w|", format=tarfile.PAX_FORMAT) as written:
                found = copy_members(source, written, keys)
            if isinstance(target, SealedFile):
                target.seal()
    except tarfile.TarError as error:
        raise DataError(f"--shards: {shard}: cannot be read: {error}") from error
    except OSError as error:
        raise DataError(f"--shards: {error.filename or shard}: {error.strerror or error}") from error
    copied.shards += 1
    copied.samples += len(found)
    if missing := len(keys - found):
        copied.notes.append(f"{shard}: {missing} samples that were scored are not in it any more, or behind a cut")


def copy_members(source: tarfile.TarFile, written: tarfile.TarFile, keys: set[str]) -> set[str]:
    """The files of some samples, whole ones only; the keys that were found. Raises OSError and tarfile.TarError."""
    found: set[str] = set()
    with suppress(tarfile.ReadError):  # at a cut
        while (info := source.next()) is not None:
            source.members = []  # type: ignore[attr-defined]  # else it keeps all of them
            key = split_key(info.name)[0]
            if key not in keys or not info.isfile():
                continue
            data = source.extractfile(info)
            block = data.read() if data is not None else b""
            if len(block) == info.size:
                info.pax_headers = {}
                written.addfile(info, io.BytesIO(block))
                found.add(key)
    return found
