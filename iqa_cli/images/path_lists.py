"""Lists of paths as people and programs write them: as they are, or refused with what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

from iqa_cli.errors import DataError
from iqa_cli.images.find import decode_paths, read_paths, split_at_null

MARK = "\ufeff"  # of UTF-8, as Notepad and PowerShell write it
WIDE = ("\udcff\udcfe", "\udcfe\udcff")  # of UTF-16, little and big end first, which is no UTF-8


def read_list(stream: BinaryIO, *, null_separated: bool) -> Iterator[str]:
    """The paths of a list, as `find.read_paths` has them, without a mark of UTF-8 before the first.

    A list with NULs was written by a program, and is taken as it is. Raises DataError for one in UTF-16, for lines where NULs
    are to end the paths, and for NULs where lines are.
    """
    name = str(getattr(stream, "name", 0) or "stdin")  # which is opened by its number
    if null_separated:
        yield from decode_paths(refuse_lines(split_at_null(stream), name))
        return
    paths = read_paths(stream, null_separated=False)
    first = next(paths, "")
    if first.startswith(WIDE):
        raise DataError(f"{name}: a list of paths in UTF-16: write it in UTF-8, as does: iconv -f UTF-16 -t UTF-8")
    if "\0" in first:  # which no path has; a later one costs its own line alone
        raise DataError(f"{name}: a list of paths that end with NULs, as find -print0 writes it: add -0 to read it")
    yield from chain(filter(None, [first.removeprefix(MARK)]), paths)


def refuse_lines(entries: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The entries of a list as they come. Raises DataError where it has line ends and no NUL, and is no file's name."""
    first = next(entries, b"")
    second = next(entries, None) if b"\n" in first else b""  # waited for by no others; none where there is no NUL
    if second is None and not os.path.lexists(first):
        raise DataError(f"{name}: a list of paths in lines, without a NUL: leave out -0 to read it")
    yield from chain([first, second or b""], entries)
