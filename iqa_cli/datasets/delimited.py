"""CSV files as people and spreadsheets write them: the delimiter, the decimal mark and the shape, recognised or refused.

The delimiter (comma, semicolon or tab) is the one that gives the header the columns that are asked for. A column of numbers has
decimal points or decimal commas, throughout. What could be read in two ways raises DataError with the file, the row (the
header's is usually 1) and what to do: a label that is read wrong would spoil every figure behind it without a word.
"""

from __future__ import annotations

import csv
import io
import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from iqa_cli.errors import DataError
from iqa_cli.files import csv_rows
from iqa_cli.files.csv_rows import DELIMITERS, UTF_16, Cells, check_shape, name_columns

Row = dict[str, str]  # column -> what stands there


class MissingColumnError(DataError):
    """A CSV file has no column of that name."""


SOMETHING = re.compile(r"[^\s,;]")  # a row without it holds nothing but delimiters
POINT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
MAYBE_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
SEPARATED = re.compile(r"[+-]?[0-9]+([.,'\u2019_\s][0-9]+)+")  # \s: spreadsheets separate thousands by narrow spaces, too


def read_table(
    path: Path,
    columns: Sequence[str],
    numbers: Sequence[str] = (),
    sparse: Sequence[str] = (),
    extra: Sequence[str] = (),
) -> list[Row]:
    """The rows of a CSV file that has at least these columns, every cell of them filled; those of numbers with decimal points.

    sparse: columns that must be there, too, but may have empty cells. extra: columns of numbers that may have empty cells, too,
    and need not be there. Rows that hold nothing but delimiters are left out.
    """
    wanted = [*columns, *numbers]
    text = read_text(path)
    delimiter = recognise_delimiter(path, text, [*wanted, *sparse])
    try:
        (_, header), *rows = split_rows(text, delimiter)
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV file in UTF-8: {error}") from error
    names = name_columns(path, header)
    for number, cells in rows:
        check_shape(path, f"row {number}", cells, names, delimiter)
    table = [{name: cell for name, cell in zip(names, cells, strict=True) if name} for _, cells in rows]
    at = [number for number, _ in rows]
    check_filled(path, wanted, table, at)
    for column in (*numbers, *(column for column in extra if column in names)):
        filled = [(number, row) for number, row in zip(at, table, strict=True) if row[column].strip()]
        places, cells = [number for number, _ in filled], [row[column] for _, row in filled]
        for (_, row), value in zip(filled, read_numbers(path, column, cells, places), strict=True):
            row[column] = value
    return table


def read_names(path: Path, columns: Sequence[str], numbers: Sequence[str] = (), sparse: Sequence[str] = ()) -> list[Row]:
    """The same without the spaces around names: two spellings of one would be two images, or two groups."""
    named = {*columns, *sparse}
    rows = read_table(path, columns, numbers, sparse)
    return [{column: cell.strip() if column in named else cell for column, cell in row.items()} for row in rows]


def tidy_path(cell: str) -> str:
    """The path of an image in one spelling: ./a.png and sub/../a.png are a.png."""
    path = posixpath.normpath(cell.strip())
    return re.sub("^//", "/", path)  # which normpath leaves as they are


def read_text(path: Path) -> str:
    """A file in UTF-8, or in UTF-16 where a mark says so, as spreadsheets save "Unicode text"; without that mark."""
    try:
        data = path.read_bytes()
        return data.decode("utf-16" if data.startswith(UTF_16) else "utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot read the labels: {error.strerror}") from error
    except UnicodeDecodeError as error:
        row, encoding = data[: error.start].count(b"\n") + 1, "UTF-16" if data.startswith(UTF_16) else "UTF-8"
        raise DataError(f"{path}: row {row} is not in {encoding}: save the file as CSV UTF-8") from error


def split_rows(text: str, delimiter: str) -> Iterator[Cells]:
    """The rows that hold something, with their numbers. Raises csv.Error where quotation marks do not match."""
    rows = csv_rows.split_rows(io.StringIO(text, newline=""), delimiter)
    return ((number, row) for number, (_, row) in enumerate(rows, 1) if any(map(SOMETHING.search, row)))


def read_header(text: str, delimiter: str) -> list[str]:
    """The columns' names if that were the delimiter; none where the first row cannot be read so."""
    try:
        return [cell.strip() for cell in next(split_rows(text, delimiter), (0, []))[1]]
    except csv.Error:
        return []


def recognise_delimiter(path: Path, text: str, wanted: Sequence[str]) -> str:
    """The one delimiter with which the header has all wanted columns. Raises MissingColumnError for none, DataError for two."""
    headers = {delimiter: read_header(text, delimiter) for delimiter in DELIMITERS}
    found = [delimiter for delimiter, header in headers.items() if set(wanted) <= set(header)]
    if not found:
        there = max(headers.values(), key=len)
        missing = ", ".join(column for column in dict.fromkeys(wanted) if column not in there)
        named = ", ".join(filter(None, there)) or "none"
        raise MissingColumnError(f"{path}: no column {missing}; there are {named} (separated by commas, semicolons or tabs)")
    splitting = [delimiter for delimiter in found if len(headers[delimiter]) > 1]
    if len(splitting) > 1:
        kinds = " or ".join(DELIMITERS[delimiter] for delimiter in splitting)
        raise DataError(f"{path}: the header may be separated by {kinds}; put names that hold one in quotation marks")
    return (splitting or found)[0]


def check_filled(path: Path, wanted: Sequence[str], table: Sequence[Row], at: Sequence[int]) -> None:
    """Raises DataError where nothing stands in a wanted column."""
    for number, row in zip(at, table, strict=True):
        for column in wanted:
            if not row[column].strip():
                raise DataError(f"{path}: row {number} has nothing in column {column}; fill it in, or remove the row")


def read_numbers(path: Path, column: str, cells: Sequence[str], at: Sequence[int]) -> list[str]:
    """A column of numbers with decimal points, whichever mark it has. Raises DataError where that may be read in two ways."""
    texts = [cell.strip() for cell in cells]
    for number, text in zip(at, texts, strict=True):
        if not (POINT.fullmatch(text) or COMMA.fullmatch(text)):
            remedy = "; write it without thousands separators" if SEPARATED.fullmatch(text) else ""
            raise DataError(f"{path}: row {number}, column {column}: {text} is no number{remedy}")
    commas = [place for place, text in enumerate(texts) if "," in text]
    points = [place for place, text in enumerate(texts) if "." in text]
    if commas and points:
        both = " and ".join(f"{texts[place]} in row {at[place]}" for place in (commas[0], points[0]))
        raise DataError(f"{path}: column {column} has decimal commas and points, {both}; write all with points")
    if commas and all(MAYBE_THOUSANDS.fullmatch(texts[place]) for place in commas):
        text = texts[commas[0]]
        meanings = f"{text.replace(',', '.')} or {text.replace(',', '')}"
        raise DataError(f"{path}: row {at[commas[0]]}, column {column}: {text} may mean {meanings}; write one of these")
    return [text.replace(",", ".") for text in texts]
