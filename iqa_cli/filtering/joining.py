"""Scores as further columns of a table that is there, by a key. The table itself stays as it is: another one is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iqa_cli.errors import DataError
from iqa_cli.files.atomic import SealedFile, Target, open_target
from iqa_cli.files.csv_rows import check_width, read_rows
from iqa_cli.filtering.scores import Format, Scored, find_format, read_json_lines, read_number, read_scores
from iqa_cli.scoring.writers import clean, encode_csv, encode_json
from iqa_cli.tables.parquet import extend_table, read_columns

NUMBERS = ("score", "percentile", "uncertainty")
ADDED = (*NUMBERS, "status", "detail", "model", "model_sha256")
KEYS = ("key", "__key__")  # what tables of WebDataset call its key
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Match:
    """How rows meet. on: the column of the table; by: that of the scores, None: their key for a key, else their path.

    prefix: of the names of the new columns.
    """

    on: str
    by: str | None = None
    prefix: str = "iqa_"

    @property
    def names(self) -> dict[str, str]:
        """The new columns by those of the scores."""
        return {f"{self.prefix}{name}": name for name in ADDED}


@dataclass
class Joined:
    """What came of it. rows: of the table; without: of them, those that are not in the scores; unused: keys that no row has."""

    rows: int = 0
    without: int = 0
    unused: set[str] = field(default_factory=set)


def join_scores(scores: Path, table: Path, match: Match, output: Path) -> Joined:
    """Write the table with the columns of the scores behind its own, in the format that it has, whole or not at all.

    The scores are held in memory. Raises DataError for what cannot be read or is not there, and for two rows of scores that
    differ and have one key.
    """
    known = gather_scores(scores, match)
    joined = Joined(unused=set(known))
    names = match.names
    nothing = dict.fromkeys(names)

    def find(key: str) -> Values:
        joined.rows += 1
        joined.without += key not in known
        joined.unused.discard(key)
        return known.get(key, nothing)

    with open_target(output, SealedFile) as target:
        copy_table(table, target, match, find)
        if isinstance(target, SealedFile):
            target.seal()
    return joined


def gather_scores(scores: Path, match: Match) -> dict[str, Values]:
    """The new columns of each key. Raises DataError."""
    by = match.by or ("key" if match.on in KEYS else "path")
    known: dict[str, Values] = {}
    paths: dict[str, str] = {}
    for number, image in enumerate(read_scores(scores), 1):
        if by != "path" and image.values.get(by) is None:
            raise DataError(f"{scores}, row {number}: nothing in the column {by!r}, by which it is to be joined")
        key = image.path if by == "path" else str(image.values[by])
        values = describe(scores, number, image, match.prefix)
        if known.setdefault(key, values) != values:
            raise DataError(f"{scores}: {paths[key]} and {image.path} have the same {by}, {key}: join by another column")
        paths.setdefault(key, image.path)
    return known


def describe(scores: Path, number: int, image: Scored, prefix: str) -> Values:
    """The new columns of an image, of texts that any format takes. Raises DataError for what is no number."""
    numbers = {name: read_number(scores, number, image.values, name) for name in NUMBERS}
    texts = {name: clean(str(image.values.get(name) or "")) or None for name in ADDED if name not in NUMBERS}
    return {f"{prefix}{name}": value for name, value in (numbers | texts).items()}


def copy_table(table: Path, target: Target, match: Match, find: Callable[[str], Values]) -> None:
    """Write the rows with their new columns. Raises DataError."""
    kind = find_format(table)
    if kind is Format.PARQUET:
        check_columns(table, read_columns(table), match)
        extend_table(table, target, match.on, match.names, find)
        return
    extend = extend_json_lines if kind is Format.JSON_LINES else extend_csv
    for line in extend(table, match, find):
        target.write(line)


def extend_json_lines(table: Path, match: Match, find: Callable[[str], Values]) -> Iterator[bytes]:
    """The lines as they are written there, with new fields before the end of each object. Raises DataError."""
    for text, row in read_json_lines(table):
        line = text.encode("utf-8", "surrogateescape")
        if row is not None:
            check_columns(table, list(row), match)
            line = line.rstrip().removesuffix(b"}").rstrip() + b", " + encode_json(find(str(row[match.on])))[1:]
        yield line + b"\n"


def extend_csv(table: Path, match: Match, find: Callable[[str], Values]) -> Iterator[bytes]:
    """The header and the rows of CSV with new cells, and empty lines as they are. Raises DataError."""
    header: list[str] = []
    for line, row in read_rows(table):
        if not row:
            yield b"\n"
        elif not header:
            header = row
            check_columns(table, header, match)
            yield encode_csv([*header, *match.names])
        else:
            check_width(table, f"line {line}", row, header)
            found = find(row[header.index(match.on)])
            yield encode_csv([*row, *("" if found[name] is None else found[name] for name in match.names)])
    if not header:
        check_columns(table, header, match)


def check_columns(table: Path, columns: list[str], match: Match) -> None:
    """Raises DataError where the key is missing, or a new column is there already."""
    if match.on not in columns:
        raise DataError(f"{table}: no column {match.on!r}: it has {', '.join(columns) or 'none'}: say another by --on")
    if (count := columns.count(match.on)) > 1:
        raise DataError(f"{table}: {count} columns are called {match.on}; rename or remove all but one")
    if twice := [name for name in match.names if name in columns]:
        raise DataError(f"{table}: it has a column {twice[0]!r} already: say another beginning by --prefix")
