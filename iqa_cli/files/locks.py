"""Locks: a folder in which one process works at a time, a file that one process writes. The system takes them back when the
process ends, however it ends.

There are two kinds. A folder is locked by `take`, which loader processes do not inherit: one that outlives a killed training
keeps nobody out. A file is claimed by `claim`, or `claim_if_free`, which goes with the open file: the same process may open it
again, and close it, without losing the claim.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from iqa_cli.errors import DataError, UsageError

TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)  # as systems say that another process has it


def take(file: int) -> None:
    """Make an open file this process's own. Raises OSError.

    This kind of lock is not handed down to child processes. The same process may take it again, and loses it with the first of
    its files that is closed.
    """
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def claim(file: BinaryIO | io.FileIO, *, wait: bool) -> bool:
    """Whether an open file is now this one's until it is closed, as it also is when its process ends, however it ends.

    False where another has it, and on a file system that has no such claims.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def claim_if_free(file: BinaryIO | io.FileIO) -> bool:
    """Whether nobody else has an open file, which is then claimed; a file system that has no claims keeps nobody out."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in TAKEN
    return True


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder while the block lasts; it is made if there is none.

    The file `lock` there names the process, and stays. A file system without locks keeps nobody out.
    Raises UsageError where another process is at work, DataError where nothing can be written.
    """
    path = folder / "lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise DataError(f"{path}: cannot write: {error.strerror}") from error
    try:
        try:
            take(file)
        except OSError as error:
            if error.errno in TAKEN:
                raise UsageError(
                    f"{folder}: {read_holder(file)} is at work in this folder; wait until it ends, or name another folder"
                ) from error
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()} {socket.gethostname()}\n".encode())
        yield
    finally:
        os.close(file)


def read_holder(file: int) -> str:
    """The process that has the lock, in words."""
    number, _, host = os.read(file, 1000).decode(errors="replace").strip().partition(" ")
    there = f" on {host}" if host not in ("", socket.gethostname()) else ""
    return f"process {number}{there}" if number else "another process"
