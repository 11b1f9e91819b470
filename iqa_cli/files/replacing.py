"""Replace a file by another one, whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from iqa_cli.files.atomic import write_fully


def name_aside(path: Path, process: int) -> Path:
    """Where a process writes what takes a file's place."""
    return path.with_name(f".{path.name}.{process}.part")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside a file, to be written in the block; then it takes the file's place, unless the block fails. Raises OSError.

    Several processes may write one file: the last of them wins.
    """
    aside = name_aside(path, os.getpid())
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def replace_bytes(path: Path, data: bytes) -> None:
    """Give a file these bytes, whole or not at all; it keeps its mode, its owner and its attributes, and a link stays a link.

    A file that is not there is made. Raises OSError, PermissionError for a file that may only be read.
    """
    final = path.resolve()
    there = final.exists()
    if there and not (os.access(final, os.W_OK) and final.stat().st_mode & 0o222):  # root may write to any
        raise PermissionError(errno.EACCES, "it may only be read")
    with replacing(final) as aside:
        with aside.open("xb", buffering=0) as file:
            write_fully(file, data)
            os.fsync(file.fileno())
        if there:
            with suppress(OSError):  # a file system that has no modes
                shutil.copystat(final, aside)
            os.utime(aside)
            with suppress(OSError):  # only root may give a file away
                os.chown(aside, final.stat().st_uid, final.stat().st_gid)
