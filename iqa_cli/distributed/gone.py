"""Gone: what a job names and is not there any more, as on a disk that is not mounted. Rows of what was in it stay."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from iqa_cli.distributed.folders import Folder
from iqa_cli.distributed.parts import digest
from iqa_cli.errors import DataError
from iqa_cli.records import Status
from iqa_cli.remote.names import SEPARATOR
from iqa_cli.scoring.tally import Tally
from iqa_cli.scoring.writers import clean, list_columns
from iqa_cli.tables.parquet import encode_rows, read_rows, score_schema

SHOWN = 5  # names of which something is told


class Gone:
    """Names of folders and archives, and patterns, of which nothing is there any more; counts the rows that stay, by name."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = {str(clean(name.rstrip("/"))) or "/" for name in names if name}
        patterns = (name for name in self.names if re.search(r"[*?]", name))
        self.patterns = {name: (name, f"{name}/*", f"{name}{SEPARATOR}*") for name in patterns}
        self.kept: Counter[str] = Counter()

    def find(self, path: str) -> str | None:
        """The name by which an image was found; None for one that was found by another name. path: as its row has it."""
        if path.rstrip("/") in self.names:  # what the row says is that it was gone
            return None
        held = next((each for each in list_holders(path) if each in self.names), None)
        return held or next((name for name, all_of in self.patterns.items() if any(fnmatchcase(path, p) for p in all_of)), None)

    def keep_rows(self, folder: Folder, name: str) -> str | None:
        """The file that now holds those rows of a part that stay; None where none does. Raises DataError.

        A part of which only some rows stay is written anew under another name: its own is that of all of its images.
        """
        rows = read_part(folder, name) if self.names else []
        if rows is None:
            return name
        found = [self.find(row["path"]) for row in rows]
        self.kept.update(filter(None, found))
        staying = [row for row, each in zip(rows, found, strict=True) if each]
        if len(staying) in (0, len(rows)):
            return name if staying else None
        kept = f"{name.rpartition('-')[0]}-{digest(repr([name, [row['path'] for row in staying]]).encode()).hex()}.parquet"
        folder.write(kept, encode_part(staying))
        return kept

    def describe(self) -> Iterator[str]:
        """What is to be told of them."""
        for name, count in self.kept.most_common(SHOWN):
            yield f"{name}: nothing is there any more; rows of an earlier run that are kept: {count:,}"
        if len(self.kept) > SHOWN:
            yield f"and so of {len(self.kept) - SHOWN:,} others"


def list_holders(path: str) -> Iterator[str]:
    """The archive and the folders that an image is in by its path, the inner ones first."""
    if SEPARATOR in path:
        yield path.partition(SEPARATOR)[0]
    while "/" in path:
        path = path.rpartition("/")[0].rstrip("/")
        yield path or "/"


def read_part(folder: Folder, name: str) -> list[dict[str, Any]] | None:
    """The rows of a part; None where it cannot be read as one. Raises DataError where the folder cannot be reached."""
    data = folder.read(name) or b""
    with NamedTemporaryFile(suffix=".parquet") as file:
        file.write(data)
        file.flush()
        try:
            return [dict(row) for row in read_rows(Path(file.name))]
        except DataError:
            return None


def encode_part(rows: Sequence[dict[str, Any]]) -> bytes:
    """A file of rows of parts, with their counts."""
    columns = list_columns(detail="native_detail" in rows[0])
    statuses = Counter(Status(row["status"]) for row in rows)
    return encode_rows(rows, score_schema(columns), Tally(statuses=statuses).describe())
