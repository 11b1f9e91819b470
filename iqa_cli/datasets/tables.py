"""The kinds of file that labels come in besides CSV: Excel, MATLAB and text files -> rows of text, or of numbers.

All raise DataError where a file cannot be read or lacks what is asked for, and ExtraMissing where reading it needs a package
of the [train] extra.
"""

from __future__ import annotations

import math
import os
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iqa_cli.datasets.delimited import Row
from iqa_cli.errors import DataError, ExtraMissing
from iqa_cli.files.csv_rows import UTF_16
from iqa_cli.images.find import walk_folder


def is_file(path: Path) -> bool:
    """Whether there is such a file, as far as this process may see; a name that no file can have is that of none."""
    return os.path.isfile(path)  # noqa: PTH113  # Path.is_file raises for names that are too long, and where it may not look


def is_folder(path: Path) -> bool:
    """The same of a folder."""
    return os.path.isdir(path)  # noqa: PTH112  # as above


def find_file(root: Path, *names: str) -> Path:
    """The first of these files below the folder that is there. Raises DataError where none is."""
    for name in names:
        if is_file(root / name):
            return root / name
    raise DataError(f"{root}: no label file {' or '.join(names)}")


def read_words(path: Path) -> list[list[str]]:
    """The words of each line of a text file, without empty lines; a mark at its beginning says in which encoding it is."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot read the labels: {error.strerror}") from error
    text = data.decode("utf-16", "replace") if data.startswith(UTF_16) else data.removeprefix(BOM_UTF8).decode("latin-1")
    return [line.split() for line in text.splitlines() if line.strip()]


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
    return [[unwrap_cell(path, name, *cell) for cell in enumerate(variables[name].ravel(), 1)] for name in names]


def unwrap_cell(path: Path, name: str, number: int, cell: Any) -> Any:
    """The one value in a cell of a MATLAB variable. Raises DataError where there is none, or several."""
    size = getattr(cell, "size", 1)
    if size != 1:
        raise DataError(f"{path}: entry {number} of {name} holds {size} values where one is expected")
    return cell.item() if hasattr(cell, "item") else cell


def check_names(path: Path, names: Sequence[object]) -> list[str]:
    """The names of images as they are. Raises DataError where something else stands in place of one."""
    found = [name for name in names if isinstance(name, str)]
    if len(found) < len(names):
        number, wrong = next((number, name) for number, name in enumerate(names, 1) if not isinstance(name, str))
        raise DataError(f"{path}: entry {number} is no name of an image: {wrong!s}")
    return found


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
    """The images anywhere below root/folder: name in lower case -> path relative to root.

    What systems keep in folders of their own is left out: thumbnails have the names of images.
    """
    paths = sorted(map(Path, walk_folder(str(root / folder), Counter())))
    return {path.name.lower(): path.relative_to(root).as_posix() for path in paths}
