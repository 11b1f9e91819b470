"""Gone: what a job names and is not there any more, as on a disk that is not mounted. Rows of earlier runs stay."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from iqa_cli.distributed.folders import Folder
from iqa_cli.distributed.outcomes import describe_part
from iqa_cli.distributed.parts import digest
from iqa_cli.errors import DataError
from iqa_cli.records import Status
from iqa_cli.remote.names import SEPARATOR
from iqa_cli.scoring.tally import Tally
from iqa_cli.scoring.writers import clean, list_columns
from iqa_cli.tables.parquet import encode_rows, read_facts, read_rows, score_schema

SHOWN = 5  # names of which something is told


class Gone:
    """Names of folders and archives, and patterns, of which nothing is there any more; counts the rows that stay, by name.

    lost: images that were named one by one, by their parts, and the folder or the archive that each was in, of which nothing is
    there. mark: of the job, which stands in its parts.
    """

    def __init__(self, names: Iterable[str], lost: Mapping[str, Mapping[str, str]], mark: str) -> None:
        self.mark = mark
        self.parts = list(lost)
        self.lost = {str(clean(path)): str(clean(holder)) for images in lost.values() for path, holder in images.items()}
        self.stayed: set[str] = set()  # those of them whose rows stay
        self.names = {str(clean(name.rstrip("/"))) or "/" for name in names if name}
        patterns = (name for name in self.names if re.search(r"[*?]", name))
        self.patterns = {name: (name, f"{name}/*", f"{name}{SEPARATOR}*") for name in patterns}
        self.kept: Counter[str] = Counter()

    def find(self, path: str, status: str) -> str | None:
        """The name by which an image was found, or what it was in; None for one that may be there. path, status: of its row."""
        if path in self.lost:
            return None if status == Status.MISSING else self.lost[path]
        if path.rstrip("/") in self.names:  # what the row says is that it was gone
            return None
        held = next((each for each in list_holders(path) if each in self.names), None)
        return held or next((name for name, all_of in self.patterns.items() if any(fnmatchcase(path, p) for p in all_of)), None)

    def keep_rows(self, folder: Folder, name: str) -> str | None:
        """The file that now holds those rows of a part that stay; None where none does. Raises DataError.

        A part of which only some rows stay is written anew under another name: its own is that of all of its images.
        """
        rows = read_part(folder, name) if self.names or self.lost else []
        if rows is None:
            return name
        found = [self.find(row["path"], row["status"]) for row in rows]
        self.kept.update(filter(None, found))
        staying = [row for row, each in zip(rows, found, strict=True) if each]
        self.stayed.update(row["path"] for row in staying if row["path"] in self.lost)
        if len(staying) in (0, len(rows)):
            return name if staying else None
        kept = f"{name.rpartition('-')[0]}-{digest(repr([name, [row['path'] for row in staying]]).encode()).hex()}.parquet"
        counts = Tally(statuses=Counter(Status(row["status"]) for row in staying))
        folder.write(kept, encode_part(staying, describe_part(counts, self.mark), detail="native_detail" in rows[0]))
        return kept

    def drop_rows(self, folder: Folder) -> None:
        """Leave out of the new parts the rows of images of which earlier ones stay; the parts go on to count them.

        Raises DataError.
        """
        for name in self.parts if self.stayed else ():
            rows = read_part(folder, name) or []
            new = [row for row in rows if row["path"] not in self.stayed]
            facts = read_facts(folder.read(name) or b"") if len(new) < len(rows) else None
            if facts is not None:
                folder.write(name, encode_part(new, facts, detail="native_detail" in rows[0]))

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


def encode_part(rows: Sequence[dict[str, Any]], facts: Mapping[str, Any], *, detail: bool) -> bytes:
    """A file of rows of parts, maybe none, with their counts. detail: whether that was measured."""
    return encode_rows(rows, score_schema(list_columns(detail=detail)), facts)
