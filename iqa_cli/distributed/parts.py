"""Parts: images that are scored together, and whose rows are one file, which is named after them.

The same images make the same part in every run, whoever scores it, and however often: its file is written over by equal rows,
so none is lost and none comes twice. Where a part ends hangs on the names of the images alone, not on how many came before: a
new image changes its own part, and at most a few behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import PurePosixPath

from iqa_cli.remote.entries import Entry

PART = re.compile(r".+-[0-9a-f]{16}\.parquet")  # the name of a file of a part
STEM = 40  # characters of a name that tell a person what is in a part
DEFAULT_SIZE = 1_000  # images; README.md says why


@dataclass(frozen=True)
class Part:
    """Images that are scored together. name: of the file of their rows."""

    name: str
    entries: tuple[Entry, ...]


def cut_parts(entries: Iterable[Entry], size: int) -> Iterator[Part]:
    """Parts of `size` images on average, half of it to twice of it; each archive is a part of its own. Lazily."""
    group: list[Entry] = []
    for entry in entries:
        if group and (entry.archive or ends_before(entry, len(group), size)):
            yield make_part(group)
            group = []
        group.append(entry)
        if entry.archive:
            yield make_part(group)
            group = []
    if group:
        yield make_part(group)


def ends_before(entry: Entry, count: int, size: int) -> bool:
    """Whether a part of so many images ends before this one."""
    least = max(1, size // 2)
    if count < least or count >= 2 * size:
        return count >= least
    return int.from_bytes(digest(entry.name.encode("utf-8", "surrogateescape")), "big") % (size - least + 1) == 0


def make_part(entries: Iterable[Entry]) -> Part:
    """A part, named after its first image, and after all of them with their sizes and versions."""
    held = tuple(entries)
    said = [repr((each.name, each.wanted, each.size, each.version, str(each.failure))) for each in held]
    stem = re.sub(r"[^\w.=+-]", "_", PurePosixPath(held[0].name).name, flags=re.ASCII)[:STEM].lstrip("._") or "part"
    return Part(f"{stem}-{digest(repr(said).encode('utf-8', 'surrogateescape')).hex()}.parquet", held)


def digest(data: bytes) -> bytes:
    """Eight bytes that tell data from others."""
    return blake2b(data, digest_size=8).digest()
