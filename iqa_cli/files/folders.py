"""A new folder that appears with all its files, or not at all."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from iqa_cli.errors import DataError
from iqa_cli.files.atomic import create_claimed
from iqa_cli.files.locks import claim
from iqa_cli.files.replacing import follow_links, inherit, is_protected, make_aside, match_aside

CLAIM = ".claim"  # a file in a folder that is being filled, which its process holds


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """A folder to be filled in the block, which then takes the name of one that is empty or not there; unless the block fails.

    What killed runs left half filled is removed before; the mode of an empty folder that is there stays, and one that may only
    be read is not replaced. Raises DataError where it cannot be made.
    """
    with ExitStack() as stack:
        with naming_failures(folder):
            final = follow_links(folder)
            if is_protected(final):
                raise PermissionError(errno.EACCES, "it may only be read: make it writable, or name another folder")
            remove_leftovers(final)
            aside, _ = make_aside(final, lambda path: path.mkdir(parents=True))
            stack.callback(shutil.rmtree, aside, ignore_errors=True)
            stack.enter_context(create_claimed(aside / CLAIM))
        yield aside
        with naming_failures(folder):
            (aside / CLAIM).unlink()
            inherit(aside, final)
            aside.replace(final)


@contextmanager
def naming_failures(folder: Path) -> Iterator[None]:
    """What goes wrong in the block, as DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{folder}: cannot be made: {error.strerror}") from error


def remove_leftovers(final: Path) -> None:
    """Remove what was filled aside by runs that have been killed: what nobody claims."""
    left = match_aside(final)
    for path in final.parent.glob(".*.part") if final.parent.is_dir() else ():
        if left.fullmatch(path.name) and path.is_dir():
            with suppress(OSError), (path / CLAIM).open("r+b", buffering=0) as file:
                if claim(file, wait=False):
                    shutil.rmtree(path)
