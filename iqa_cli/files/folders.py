"""A new folder that appears with all its files, or not at all."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from iqa_cli.errors import DataError
from iqa_cli.files.atomic import create_claimed
from iqa_cli.files.locks import claim

CLAIM = ".claim"  # a file in a folder that is being filled, which its process holds


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """A folder to be filled in the block, which then takes the name of one that is empty or not there; unless the block fails.

    What killed runs left half filled is removed before. Raises DataError where it cannot be made.
    """
    final = folder.resolve()
    aside = final.with_name(f".{final.name}.{os.getpid()}.part")
    with naming_failures(folder):
        remove_leftovers(final)
        aside.mkdir(parents=True)
        claimed = create_claimed(aside / CLAIM)
    try:
        yield aside
        with naming_failures(folder):
            (aside / CLAIM).unlink()
            aside.replace(final)
    finally:
        claimed.close()
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def naming_failures(folder: Path) -> Iterator[None]:
    """What goes wrong in the block, as DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{folder}: cannot be made: {error.strerror}") from error


def remove_leftovers(final: Path) -> None:
    """Remove what was filled aside by runs that have been killed: what nobody claims."""
    left = re.compile(rf"\.{re.escape(final.name)}\.\d+\.part")
    for path in final.parent.glob(".*.part") if final.parent.is_dir() else ():
        if left.fullmatch(path.name) and path.is_dir():
            with suppress(OSError), (path / CLAIM).open("r+b", buffering=0) as file:
                if claim(file, wait=False):
                    shutil.rmtree(path)
