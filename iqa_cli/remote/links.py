"""Hard links in tars: further names of files that stand before them in the same tar."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from posixpath import normpath, splitext

from iqa_cli.records import Status, Undecodable
from iqa_cli.remote.members import FILE, Member


def is_plain(info: tarfile.TarInfo) -> bool:
    """Whether an entry is a file that is stored as it is: no link, and without holes."""
    return info.isreg() and not info.issparse()


class HardLinks:
    """Where the bytes of each entry of a tar are, those of hard links among them: `follow` is to be called for all in turn.

    draw: gives its headers from the beginning, and is called when the first link comes. Only files that links lead to are held.
    """

    def __init__(self, draw: Callable[[], Iterator[tarfile.TarInfo]]) -> None:
        self.draw = draw
        self.targets: set[str] | None = None  # names that links lead to; None before the first link
        self.places: dict[str, tuple[int, int]] = {}  # of files of such names, as they are by now

    def follow(self, info: tarfile.TarInfo) -> tuple[int, int] | None:
        """Where the bytes of an entry begin, and how many they are; None for a link to no file that stands before it."""
        if info.islnk() and self.targets is None:
            self.targets = {normpath(each.linkname) for each in self.draw() if each.islnk()}
            for each in self.draw():
                if each.offset >= info.offset:
                    break
                self._note(each)
        place = self.places.get(normpath(info.linkname)) if info.islnk() else (info.offset_data, info.size)
        self._note(info)
        return place

    def _note(self, info: tarfile.TarInfo) -> None:
        """What the name of an entry means from here on."""
        if not self.targets or (name := normpath(info.name)) not in self.targets:
            return
        place = self.places.get(normpath(info.linkname)) if info.islnk() else (info.offset_data, info.size)
        if place is not None and (info.islnk() or is_plain(info)):
            self.places[name] = place
        else:
            self.places.pop(name, None)


def make_passed(info: tarfile.TarInfo) -> Member:
    """A hard link in a tar that is read from its beginning to its end: what it leads to has passed."""

    def read() -> bytes:
        why = "such an archive is not read backwards: score it as a .tar on this machine that is not packed"
        raise Undecodable(Status.UNSUPPORTED, f"a hard link to {info.linkname!r}: {why}")

    def read_head() -> bytes | None:
        return b"" if splitext(info.name)[1] else None

    return Member(info.name, FILE, 0, str(info.offset_data), read, read_head, passing=True)
