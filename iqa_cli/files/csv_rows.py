"""Rows of CSV, read alike in labels, scores and tables that are joined; a row that could be read wrong is refused."""

from __future__ import annotations

import codecs
import csv
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from iqa_cli.errors import DataError

Cells = tuple[int, list[str]]  # the number of a row's last line, from 1, and what stands in the row

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
LONGEST = 1 << 26  # characters of a cell; Python's own limit, 131,072, is less than some captions have
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def split_rows(lines: Iterable[str], delimiter: str = ",") -> Iterator[Cells]:
    """The rows of lines. Raises csv.Error where quotation marks do not match, or a cell is longer than LONGEST."""
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST))  # one for the whole process, so it is never lowered
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    for row in rows:
        yield rows.line_num, row


def read_rows(path: Path) -> Iterator[Cells]:
    """The rows of a file with commas, as they are needed, in UTF-8, or in UTF-16 where a mark says so. Raises DataError.

    Bytes that are no UTF-8, which names of files may hold, become surrogates.
    """
    try:
        with path.open("rb") as file:
            wide = file.read(2) in UTF_16
        encoding, errors = ("utf-16", "strict") if wide else ("utf-8-sig", "surrogateescape")
        with path.open(encoding=encoding, errors=errors, newline="") as lines:
            yield from split_rows(lines)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (csv.Error, UnicodeError) as error:
        raise DataError(f"{path}: no CSV: {error}") from error


def breaks_off(path: Path) -> bool:
    """Whether a file has no line end at its end, so that it may have been cut short. False for what is no regular file."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or not status.st_size:
                return False
            file.seek(-min(2, status.st_size), os.SEEK_END)
            return not file.read().rstrip(b"\0").endswith((b"\n", b"\r"))
    except OSError:
        return False


def name_columns(path: Path, header: Sequence[str]) -> list[str]:
    """The columns' names; empty for those without one. Raises DataError where two have the same."""
    names = [name.strip() for name in header]
    for name, count in Counter(filter(None, names)).most_common(1):
        if count > 1:
            raise DataError(f"{path}: {count} columns are called {name}; rename or remove all but one")
    return names


def check_shape(path: Path, place: str, cells: Sequence[str], names: Sequence[str], delimiter: str = ",") -> None:
    """Raises DataError where a row does not fit the header; only columns on the left (row numbers) may lack a name.

    place: which row it is, in words.
    """
    check_width(path, place, cells, names, delimiter)
    first = next((number for number, name in enumerate(names) if name), 0)
    if any(cell.strip() for name, cell in list(zip(names, cells, strict=True))[first:] if not name):
        raise DataError(f"{path}: {place} has a cell below no column's name; {explain_more(delimiter)}")


def check_width(path: Path, place: str, cells: Sequence[str], names: Sequence[str], delimiter: str = ",") -> None:
    """Raises DataError where a row has fewer or more cells than the header. place: which row it is, in words."""
    if len(cells) < len(names):
        raise DataError(f"{path}: {place} has fewer cells ({len(cells)}) than the header ({len(names)}); fill it up")
    if len(cells) > len(names):
        more = f"{place} has more cells ({len(cells)}) than the header ({len(names)})"
        raise DataError(f"{path}: {more}; {explain_more(delimiter)}")


def explain_more(delimiter: str) -> str:
    """What to do where a row falls into more cells than it should."""
    quote = f"put cells that hold {DELIMITERS[delimiter]} in quotation marks"
    return f"write decimals with a point, or {quote}, or separate columns by semicolons" if delimiter == "," else quote
