"""Replace a file by another one, whole or not at all; the mode, the owner and the attributes of the file stay."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TypeVar

TRIES = 20  # further names
LONGEST = 120  # bytes of a name to which 22 more may come: the shortest limit of a file system in use, eCryptfs's, is 143
BEGINNING = 25  # letters of a longer name, of up to 4 bytes each
Made = TypeVar("Made")


def name_aside(path: Path, number: int) -> Path:
    """Where a process of that number writes what takes a file's place."""
    return path.with_name(f".{shorten(path.name)}.{number}.part")


def match_aside(path: Path) -> re.Pattern[str]:
    """The names that processes of any number have for what takes a file's place."""
    return re.compile(rf"\.{re.escape(shorten(path.name))}\.\d+\.part")


def shorten(name: str) -> str:
    """A name; of a long one, which may have no more letters, its beginning and a hash of it."""
    data = os.fsencode(name)
    return name if len(data) <= LONGEST else f"{name[:BEGINNING]}~{hashlib.blake2b(data, digest_size=8).hexdigest()}"


def find_aside(final: Path) -> list[Path]:
    """What has been written aside for that file, by this process and others."""
    left = match_aside(final)
    with suppress(OSError), os.scandir(final.parent) as entries:  # of a folder that may not be listed, or is none
        return [Path(entry) for entry in entries if left.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)]
    return []


def make_aside(path: Path, make: Callable[[Path], Made]) -> tuple[Path, Made]:
    """The name of what takes a file's place, and what `make` makes there. Raises OSError.

    Where there is something of this process's number, as a killed run of another container may have left, it is another number.
    """
    others = (int.from_bytes(os.urandom(6), "big") for _ in range(TRIES))
    for aside in (name_aside(path, number) for number in chain([os.getpid()], others)):
        with suppress(FileExistsError):
            return aside, make(aside)
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def follow_links(path: Path) -> Path:
    """Where a path leads, be it to what is not there yet.

    Raises OSError where links lead in a circle, and for what cannot be there, as where its name is too long.
    """
    final = Path(os.path.realpath(path))
    with suppress(FileNotFoundError):
        if stat.S_ISLNK(final.lstat().st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return final


def is_protected(path: Path) -> bool:
    """Whether a file or folder may only be read, be it by a user who may write to any. Raises OSError."""
    return path.exists() and not (os.access(path, os.W_OK) and path.stat().st_mode & 0o222)


def inherit(aside: Path, path: Path) -> None:
    """Give what is written aside the mode, the owner and the attributes of what it takes the place of, where there is any."""
    if not path.exists():
        return
    with suppress(OSError):  # only root may give a file away
        os.chown(aside, path.stat().st_uid, path.stat().st_gid)
    with suppress(OSError):  # a file system that has no modes
        shutil.copystat(path, aside)
    os.utime(aside)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside a file, to be written in the block; then it takes the file's place, unless the block fails.

    Several processes may write one file: the last of them wins. Its mode, owner and attributes stay. Raises OSError,
    PermissionError for a file that may only be read.
    """
    if is_protected(path):
        raise PermissionError(errno.EACCES, "it may only be read")
    aside = name_aside(path, os.getpid())
    aside.unlink(missing_ok=True)  # of a killed run whose number this process has again
    try:
        yield aside
        inherit(aside, path)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def replace_bytes(path: Path, data: bytes) -> None:
    """Give a file these bytes, as `replacing` does; a link stays a link. Raises OSError."""
    with replacing(follow_links(path)) as aside, aside.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
