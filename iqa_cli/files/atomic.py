"""Where bytes go: a file that appears whole or not at all (`WholeFile`), a stream that shows every write at once (`Stream`)."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from iqa_cli.errors import UsageError, WriteError
from iqa_cli.files.locks import claim
from iqa_cli.files.replacing import find_aside, follow_links, inherit, is_protected, make_aside


class PipeClosed(Exception):  # noqa: N818  nothing went wrong: whoever read the output has had enough
    """Nobody reads the stream any more."""


class Target(Protocol):
    """Takes bytes."""

    def write(self, data: bytes, tail: bytes = b"") -> None:
        """Add `data`, which is complete if `tail` follows; a later write comes in the tail's place.

        Raises WriteError where it cannot be written, PipeClosed where nobody reads it.
        """


def write_fully(file: BinaryIO | io.FileIO, data: bytes) -> None:
    """Write all of the data to a file that may take it in parts. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


class Stream:
    """A pipe or a terminal: every write is seen at once, the last tail when the stream ends."""

    def __init__(self, file: BinaryIO | io.FileIO) -> None:
        self.file = file
        self.tail = b""

    def write(self, data: bytes, tail: bytes = b"") -> None:
        """Write and flush."""
        try:
            write_fully(self.file, data)
            self.file.flush()
        except BrokenPipeError as error:
            raise PipeClosed from error
        except OSError as error:
            raise WriteError(f"cannot write the results: {error.strerror}") from error
        self.tail = tail


def open_stdout() -> Stream:
    """Standard output, without a buffer: so nothing is left to write once its reader has gone."""
    return Stream(open(sys.stdout.fileno(), "wb", buffering=0, closefd=False))


class WholeFile:
    """A file made of whole writes: what one left half done, on a full disk or at Ctrl-C, is overwritten or cut off.

    It is written aside in the folder of `path` and gets that name at `finish`, unless nothing has been written to it; a write
    of no bytes says that the file is to be empty. What killed runs left aside for the same path is removed before. The mode of
    a file that is there stays, and one that may only be read is not replaced.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kept = self.begun = 0  # bytes of whole writes; of them, what was there before
        self.written = False  # whether there was a whole write, be it of no bytes
        self.tail = b""
        with self._naming_failures():
            self.final = follow_links(path)  # so that a link stays a link
            if self.final.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if is_protected(self.final):
                raise PermissionError(errno.EACCES, "it may only be read: make it writable, or name another file")
            remove_leftovers(self.final)
            self.aside, self.file = make_aside(self.final, create_claimed)
            with self._leaving_nothing():
                inherit(self.aside, self.final)  # now, too: nobody is to read here what may not be read there

    @contextmanager
    def _naming_failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise WriteError(f"{self.path}: cannot write the results: {error.strerror}") from error

    @contextmanager
    def _leaving_nothing(self) -> Iterator[None]:
        """Where the block fails, nothing stays aside."""
        try:
            yield
        except BaseException:
            self._discard()
            raise

    def _discard(self) -> None:
        self.file.close()
        self.aside.unlink(missing_ok=True)

    def write(self, data: bytes, tail: bytes = b"") -> None:
        """Write behind the last whole write. The tail goes along, so that a full disk leaves room for it."""
        with self._naming_failures():
            self._put(data + tail)
        self.kept, self.tail, self.written = self.kept + len(data), tail, True

    def _put(self, data: bytes) -> None:
        self.file.seek(self.kept)
        self._put_all(data)

    def _put_all(self, data: bytes) -> None:
        write_fully(self.file, data)

    def finish(self) -> None:
        """Give the whole writes and the tail their name, once they are on the disk. Without any, leave nothing behind."""
        with self._naming_failures():
            try:
                if self.written:
                    self._put(self.tail)
                    self.file.truncate(self.kept + len(self.tail))
                    os.fsync(self.file.fileno())
                    inherit(self.aside, self.final)
                    self.aside.replace(self.final)
            finally:
                self._discard()


class SealedFile(WholeFile):
    """A whole file of a format that cannot be read without its end: it appears only once it is sealed."""

    sealed = False

    def seal(self) -> None:
        """All of it, with its end, has been written, be it that there is nothing in it."""
        self.sealed = True

    def finish(self) -> None:
        """As any whole file; where it was not sealed, leave nothing behind."""
        self.written = self.sealed
        super().finish()


def is_named(file: BinaryIO | io.FileIO, path: Path) -> bool:
    """Whether an open file still has that name. Raises OSError."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def create_claimed(path: Path) -> io.FileIO:
    """A new file, claimed. Raises OSError."""
    while True:
        file = path.open("xb", buffering=0)
        claim(file, wait=True)
        if is_named(file, path):
            return file
        file.close()  # it was taken for a leftover before it could be claimed


def remove_leftovers(final: Path) -> None:
    """Remove what was written aside for that file by runs that have been killed: what nobody claims, by any of its names.

    A process keeps its claim on any machine that shares the folder, so its number need not be known here. What may not be
    removed stays, and is no obstacle.
    """
    for path in find_aside(final):
        with suppress(OSError), path.open("r+b", buffering=0) as file:  # for writing, as claims over a network need
            if claim(file, wait=False) and is_named(file, path):
                path.unlink()


# ---- streams by their names ----

OPEN_FILES = re.compile(r"(?:/proc/[^/]+(?:/task/[^/]+)?|/dev)/fd")  # folders in which open files have their numbers as names
LINKS = 40  # as many as the system follows


def is_stream(path: Path) -> bool:
    """Whether a path is something that no file can take the place of: a pipe, a device, a socket, or /dev/stdout.

    What stands for an open file is one also where a shell has redirected that into a file: by another file in its place nothing
    would come there.
    """
    if find_open(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # a new name, or one of which writing will tell
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def find_open(path: Path) -> Path | None:
    """The name of an open file, as /proc/7/fd/1, that a path has or leads to, as /dev/stdout does; None for any other path."""
    for _ in range(LINKS):
        try:
            folder = os.path.realpath(path.parent)
            if OPEN_FILES.fullmatch(folder):
                return Path(folder, path.name)
            path = Path(folder, Path(folder, path.name).readlink())
        except (OSError, ValueError):  # no link
            return None
    return None


def open_stream(path: Path) -> io.FileIO:
    """What `is_stream` has told, to be written to. Raises OSError.

    An open file of this process is written where it stands, so that what it holds stays, as behind a shell's >>.
    """
    number = find_number(path)
    return path.open("wb", buffering=0) if number is None else open(number, "wb", buffering=0, closefd=False)


def find_number(path: Path) -> int | None:
    """The number of the open file of this process that a path stands for, as 1 for /dev/stdout; None for any other path."""
    opened, here = find_open(path), map(os.path.realpath, ("/dev/fd", "/proc/self"))
    if opened is not None and opened.name.isdecimal() and any(opened.is_relative_to(folder) for folder in here):
        return int(opened.name)
    return None


STDOUT = Path("-")
"""Standard output, where a file is named; a file of this name is ./- for the command line, see `shared_flags.parse_output`."""


@contextmanager
def open_target(path: Path, make: Callable[[Path], WholeFile] = WholeFile) -> Iterator[Target]:
    """A path to write to: a whole file; a stream if it is a pipe, a device or STDOUT. Complete when the block ends, however.

    make: what kind of whole file. Raises WriteError where it cannot be written, UsageError where another output goes to the
    same open file, as stdout, and what `make` raises.
    """
    if path == STDOUT:
        with reserving(sys.stdout.fileno()), finishing(open_stdout()) as stream:
            yield stream
        return
    if not is_stream(path):
        whole = make(path)
        try:
            yield whole
        finally:
            whole.finish()
        return
    with reserving(find_number(path)):
        try:
            file = open_stream(path)
        except OSError as error:
            raise WriteError(f"{path}: cannot write the results: {error.strerror}") from error
        with file, finishing(Stream(file)) as stream:
            yield stream


reserved: set[int] = set()
"""Numbers of the open files that outputs are going to."""


@contextmanager
def reserving(number: int | None) -> Iterator[None]:
    """Keep other outputs off an open file while the block lasts. Raises UsageError where one goes there."""
    if number in reserved:
        name = "stdout" if number == 1 else f"the open file {number}"
        raise UsageError(f"only one of the outputs can be {name}")
    taken = set() if number is None else {number}
    reserved.update(taken)
    try:
        yield
    finally:
        reserved.difference_update(taken)


@contextmanager
def finishing(stream: Stream) -> Iterator[Stream]:
    """The stream, with its last tail when the block ends, unless that is because nobody reads any more."""
    try:
        yield stream
    except PipeClosed:
        raise
    except BaseException:
        stream.write(stream.tail)
        raise
    stream.write(stream.tail)
