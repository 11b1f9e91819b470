"""Files of scores, and folders of them, read: CSV, JSON Lines or Parquet, told by content, a row at a time."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from math import isfinite
from pathlib import Path
from typing import Any

from iqa_cli.errors import DataError
from iqa_cli.files import csv_rows

PATH_COLUMNS = ("path", "file_name")
NO_SCORES = (
    "no row of scores: the columns path (or file_name) and score, with a header, are needed; iqa score writes such files"
)
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Scored:
    """An image in a file of scores. score, percentile: None where it has none; status: why; values: its whole row."""

    path: str
    score: float | None
    percentile: float | None
    status: str
    values: Row


class Format(Enum):
    """What a table is written in."""

    CSV = auto()
    JSON_LINES = auto()
    PARQUET = auto()


def read_scores(path: Path) -> Iterator[Scored]:
    """The images in a file of scores, in its order; of imagefolder metadata, with its folder before their names.

    Of a folder those of each Parquet file in it, by their names, as `iqa score --output` fills one. Raises DataError for what
    cannot be read, or is none of scores, and ExtraMissing where Parquet cannot be read.
    """
    if path.is_dir():
        for part in list_parts(path):
            yield from read_scores(part)
        return
    for number, row in enumerate(read_table(path), 1):
        yield make_scored(path, number, row)


def list_parts(folder: Path) -> list[Path]:
    """The Parquet files in a folder, by name. Raises DataError where there are none."""
    try:
        parts = sorted(path for path in folder.iterdir() if path.suffix == ".parquet" and not path.name.startswith((".", "_")))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from error
    if not parts:
        raise DataError(f"{folder}: no Parquet in this folder: name a file of scores, or a folder that --output has filled")
    return parts


def read_table(path: Path) -> Iterable[Row]:
    """The rows of a table. Raises DataError, and ExtraMissing where Parquet cannot be read."""
    from iqa_cli.tables.parquet import read_rows  # not for the help of a command

    kind = find_format(path)
    if kind is Format.PARQUET:
        return read_rows(path)
    return (row for _, row in read_json_lines(path) if row is not None) if kind is Format.JSON_LINES else read_csv(path)


def find_format(path: Path) -> Format:
    """What a table is written in. Raises DataError where it cannot be read, and ExtraMissing where Parquet cannot be read."""
    from iqa_cli.tables.parquet import MAGIC, need_pyarrow  # as above

    head = read_head(path)
    if head.startswith(MAGIC):
        need_pyarrow(str(path))
        return Format.PARQUET
    if re.match(rb"\[\s*[{\]]", head):
        raise DataError(f"{path}: this is a JSON array, which is not read row by row: write JSON Lines, as --jsonl does")
    return Format.JSON_LINES if head.startswith(b"{") else Format.CSV


def read_head(path: Path) -> bytes:
    """The first bytes of a table, from its first letter on. Raises DataError, as for a pipe, which cannot be read again."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise DataError(f"{path}: no regular file, and a table is read more than once: write it into a file first")
    try:
        with path.open("rb") as file:
            return file.read(1 << 10).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def read_csv(path: Path) -> Iterator[Row]:
    """The rows of CSV with a header; empty lines are left out. Raises DataError, as for a row that does not fit the header."""
    rows = ((line, cells) for line, cells in csv_rows.read_rows(path) if cells)
    names = csv_rows.name_columns(path, next(rows, (0, []))[1])
    for line, cells in rows:
        if "score" not in names or not {*PATH_COLUMNS} & {*names}:  # a table of something else may have any shape
            raise DataError(f"{path}, line {line}: {NO_SCORES}")
        csv_rows.check_shape(path, f"line {line}", cells, names)
        yield {name: cell for name, cell in zip(names, cells, strict=True) if name}


def describe_end(path: Path) -> list[str]:
    """What to say of a CSV that may have been cut short within its last cell, where nothing else would tell."""
    if path.is_dir() or find_format(path) is not Format.CSV or not csv_rows.breaks_off(path):
        return []
    return [f"{path}: its last line has no line end: if the file was cut short there, the last cell is not whole"]


def read_json_lines(path: Path) -> Iterator[tuple[str, Row | None]]:
    """The lines of JSON Lines, without their ends, and the object in each, None in an empty one. Raises DataError.

    Bytes that are no UTF-8 become surrogates.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            text = line.removesuffix("\n")
            if not text.strip():
                yield text, None
                continue
            try:
                row = json.loads(text)
            except (ValueError, RecursionError) as error:  # the latter for lists in lists without end
                raise DataError(f"{path}, line {number}: no JSON: {error}") from error
            if not isinstance(row, dict):
                raise DataError(f"{path}, line {number}: no JSON object")
            yield text, row


def make_scored(path: Path, number: int, row: Row) -> Scored:
    """A row as an image. Raises DataError where it is none of scores."""
    column = next((name for name in PATH_COLUMNS if row.get(name)), None)
    if column is None or "score" not in row:
        raise DataError(f"{path}, row {number}: {NO_SCORES}")
    name = row[column]
    if row.get("path_base64"):
        try:
            name = os.fsdecode(base64.b64decode(str(row["path_base64"]), validate=True))
        except ValueError as error:
            raise DataError(f"{path}, row {number}: path_base64 is {row['path_base64']!r}, which is no Base64") from error
    if not is_path(name):
        raise DataError(f"{path}, row {number}: {column} is {name!r}, which is no name of a file")
    if column == "file_name":
        name = os.path.join(path.parent, name)  # noqa: PTH118  # names stay strings
    score, percentile = (read_number(path, number, row, key) for key in ("score", "percentile"))
    return Scored(name, score, percentile, str(row.get("status") or "no score"), row)


def is_path(name: object) -> bool:
    """Whether a value can be the path of a file: a text without NUL, whose letters all have bytes in names of files."""
    try:
        return isinstance(name, str) and b"\0" not in os.fsencode(name)
    except UnicodeError:
        return False


def read_number(path: Path, number: int, row: Row, column: str) -> float | None:
    """A number in a column; None for none. Raises DataError for anything else, as for true, which Python takes for 1."""
    value = row.get(column)
    if value is None or value == "":
        return None
    try:
        found = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = float("nan")
    if not isfinite(found):
        raise DataError(f"{path}, row {number}: {column} is {value!r}, which is no number")
    return found
