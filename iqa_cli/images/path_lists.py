"""Lists of paths as people and programs write them: as they are, or refused with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

from iqa_cli.errors import DataError
from iqa_cli.images.find import read_paths

MARK = "\ufeff"  # of UTF-8, as Notepad and PowerShell write it
WIDE = ("\udcff\udcfe", "\udcfe\udcff")  # of UTF-16, little and big end first, which is no UTF-8


def read_list(stream: BinaryIO, *, null_separated: bool) -> Iterator[str]:
    """The paths of a list, as `find.read_paths` has them, without a mark of UTF-8 before the first.

    A list with NULs was written by a program, and is taken as it is. Raises DataError for one in UTF-16.
    """
    paths = read_paths(stream, null_separated=null_separated)
    if null_separated:
        yield from paths
        return
    first = next(paths, "")
    if first.startswith(WIDE):
        name = getattr(stream, "name", 0) or "stdin"  # which is opened by its number
        raise DataError(f"{name}: a list of paths in UTF-16: write it in UTF-8, as does: iconv -f UTF-16 -t UTF-8")
    yield from chain(filter(None, [first.removeprefix(MARK)]), paths)
