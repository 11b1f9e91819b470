"""The kinds of file that labels come in besides CSV: Excel, MATLAB and text files -> rows of text, or of numbers.

All raise DataError where a file cannot be read or lacks what is asked for, and ExtraMissing where reading it needs a package
of the [train] extra.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iqa_cli.datasets.delimited import Row
from iqa_cli.errors import DataError, ExtraMissing


def find_file(root: Path, *names: str) -> Path:
    """The first of these files below the folder that is there. Raises DataError where none is."""
    for name in names:
        if (root / name).is_file():
            return root / name
    raise DataError(f"{root}: no label file {' or '.join(names)}")


def read_words(path: Path) -> list[list[str]]:
    """The words of each line of a text file, without empty lines."""
    try:
        lines = path.read_text(encoding="latin-1").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot read the labels: {error.strerror}") from error
    return [line.split() for line in lines if line.strip()]


def read_sheet(path: Path, columns: Sequence[str], sheet: str | None = None) -> list[Row]:
    """The rows of a sheet (the first, unless named) of an Excel file below the first row that has all these columns.

    Rows without the first column are padding and left out. A whole number reads the same whether it was stored as one or not.
    """
    try:
        import openpyxl  # in the [train] extra
    except ImportError as error:
        raise ExtraMissing("train", f"reading {path.name}") from error
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            page = book[sheet] if sheet else book.worksheets[0]
            page.reset_dimensions()  # what a file says of its own size is often wrong
            cells = [list(row) for row in page.iter_rows(values_only=True)]
        finally:
            book.close()
    except Exception as error:  # broken files make openpyxl raise whatever zip and XML cause
        raise DataError(f"{path}: not an Excel file with the labels: {error}") from error
    top = next((number for number, row in enumerate(cells) if set(columns) <= set(row)), None)
    if top is None:
        there = [str(cell) for cell in cells[0] if cell is not None] if cells else []
        raise DataError(f"{path}: no row with the columns {', '.join(columns)}; it begins with {', '.join(there) or 'nothing'}")
    twice = next((column for column in columns if cells[top].count(column) > 1), None)
    if twice is not None:
        raise DataError(f"{path}: {cells[top].count(twice)} columns are called {twice}; rename or remove all but one")
    places = {column: cells[top].index(column) for column in columns}
    rows = [
        {column: write_cell(row[place]) if place < len(row) else "" for column, place in places.items()}
        for row in cells[top + 1 :]
    ]
    return [row for row in rows if row[columns[0]]]


def write_cell(cell: object) -> str:
    """A cell of a sheet as a CSV file would have it."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return "" if cell is None else str(cell).strip()


def read_matrices(path: Path, *names: str) -> list[list[Any]]:
    """Variables of a MATLAB file, each flattened; a cell that holds one value becomes that value."""
    try:
        from scipy.io import loadmat  # in the [train] extra
    except ImportError as error:
        raise ExtraMissing("train", f"reading {path.name}") from error
    try:
        variables = loadmat(path, variable_names=names)
    except Exception as error:  # broken files make SciPy raise anything
        raise DataError(f"{path}: not a MATLAB file with the labels: {error}") from error
    missing = [name for name in names if name not in variables]
    if missing:
        raise DataError(f"{path}: no variable {', '.join(missing)}")
    return [[getattr(cell, "item", lambda cell=cell: cell)() for cell in variables[name].ravel()] for name in names]


def parse_number(text: object, path: Path, image: str) -> float:
    """A finite number. Raises DataError, with the file and the image that it belongs to."""
    try:
        number = float(str(text))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{path}: what stands for {image} is no number: {text!s}")
    return number


def check_length(path: Path, expected: int, *rows: Sequence[object]) -> None:
    """Raises DataError where the rows of one file do not belong together."""
    for row in rows:
        if len(row) != expected:
            raise DataError(f"{path}: {len(row)} entries where {expected} are expected")


def index_names(root: Path, folder: str) -> dict[str, str]:
    """The files anywhere below root/folder: name in lower case -> path relative to root."""
    return {path.name.lower(): path.relative_to(root).as_posix() for path in sorted((root / folder).rglob("*.*"))}
