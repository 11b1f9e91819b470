"""Tars of which a part is copied: where they break off, and the files that are whole, also by links that lead to them."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from posixpath import dirname, join, normpath
from typing import IO

from iqa_cli.records import Undecodable
from iqa_cli.remote.archives import NotingInfo, draw_headers, naming_failures
from iqa_cli.remote.names import split_key

BLOCK = 1 << 20  # bytes that are held
HOPS = 40  # links that lead to links, as many as the system follows


@dataclass(frozen=True)
class Survey:
    """What the headers of a tar say.

    last: the key of the last sample before it breaks off, None for a whole tar. at_end: whether files of that sample may only
    be missing: where a tar ends behind a whole file, it may be that nothing is missing but its end mark. linked: the paths that
    links lead to.
    """

    last: str | None
    at_end: bool
    linked: frozenset[str]


def survey(path: str) -> Survey:
    """Read all headers of a tar. Raises OSError, tarfile.TarError."""
    last, whole = None, False
    linked = set()
    with tarfile.open(path, tarinfo=NotingInfo) as archive:
        with ending_at_cut():
            for info in draw_headers(archive):
                last = split_key(info.name)[0]
                if is_link(info):
                    linked.add(find_target(info))
            whole = True
        at_end = isinstance(archive.ending, tarfile.EmptyHeaderError)  # type: ignore[attr-defined]
    return Survey(None if whole else last, at_end and not whole, frozenset(linked))


def is_link(info: tarfile.TarInfo) -> bool:
    """Whether an entry is a hard or symbolic link."""
    return info.islnk() or info.issym()


def find_target(info: tarfile.TarInfo) -> str:
    """The path in its tar that a link leads to."""
    return normpath(join(dirname(info.name), info.linkname) if info.issym() else info.linkname)


class Linked:
    """The files in a tar that links lead to, put aside: a packed tar can only be read from its beginning to its end.

    aside: an empty file. Raises OSError, tarfile.TarError.
    """

    def __init__(self, path: str, targets: frozenset[str], aside: IO[bytes]) -> None:
        self.aside = aside
        self.places: dict[str, tuple[int, int]] = {}  # where a file begins aside, and its size
        self.ways: dict[str, str] = {}  # of links that may lead to what comes later
        if targets:
            with tarfile.open(path, tarinfo=NotingInfo) as archive, ending_at_cut():
                for info in draw_headers(archive):
                    self._note(archive, info, targets)

    def _note(self, archive: tarfile.TarFile, info: tarfile.TarInfo, targets: frozenset[str]) -> None:
        name = normpath(info.name)
        if is_link(info):
            target = find_target(info)
            if info.islnk() and target in self.places:  # the file that has the name now, as another one may come
                self.places[name] = self.places[target]
            else:
                self.ways[name] = target
        elif name in targets and (file := archive.extractfile(info)) is not None:
            start = self.aside.tell()
            shutil.copyfileobj(file, self.aside, BLOCK)
            self.places[name] = (start, info.size)

    def open(self, info: tarfile.TarInfo) -> IO[bytes] | None:
        """The file that a link leads to, whose size is then that of the link; None where there is none in the tar."""
        name = normpath(info.name)
        for _ in range(HOPS):
            if name in self.places or name not in self.ways:
                break
            name = self.ways[name]
        if name not in self.places:
            return None
        start, info.size = self.places[name]
        self.aside.seek(start)
        return self.aside


def draw_files(archive: tarfile.TarFile, keys: set[str], linked: Linked) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """The files of some samples, up to where a tar breaks off: each as a regular one, and what it is read from, once.

    archive: with NotingInfo. None for what is neither a file nor a link to one in the tar. Raises OSError.
    """
    with ending_at_cut():
        for info in draw_headers(archive):
            if split_key(info.name)[0] not in keys or info.isdir():
                continue
            file = archive.extractfile(info) if info.isreg() else linked.open(info) if is_link(info) else None
            if file is not None:  # no link, and without holes, which would be there twice
                info.type, info.linkname, info.sparse = tarfile.REGTYPE, "", None
            yield info, file


@contextmanager
def ending_at_cut() -> Iterator[None]:
    """Ends the block where a tar breaks off, or is damaged. Raises OSError where it is the system that refuses."""
    try:
        with naming_failures():
            yield
    except Undecodable as failure:
        if isinstance(failure.__cause__, OSError):
            raise failure.__cause__ from None
