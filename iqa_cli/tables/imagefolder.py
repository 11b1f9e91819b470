"""Hugging Face's imagefolder: metadata.csv, metadata.jsonl or metadata.parquet in the folder of the images, by `file_name`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from iqa_cli.errors import DataError, UsageError
from iqa_cli.files.atomic import open_target
from iqa_cli.files.outputs import Output, holds_json, holds_table
from iqa_cli.records import COLUMNS, ScoreRecord, Status
from iqa_cli.scoring.writers import (
    ALL_COLUMNS,
    SURROGATES,
    Columns,
    Sink,
    clean,
    describe_record,
    encode_csv,
    encode_json,
    format_record,
    list_fields,
    round_record,
)
from iqa_cli.tables.parquet import list_parquet, need_pyarrow, open_table, score_schema

NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
OPTION = "--imagefolder"
VALUES: dict[str, Callable[[ScoreRecord, Columns], Mapping[str, Any]]] = {
    ".csv": format_record,
    ".jsonl": describe_record,
    ".parquet": round_record,
}
"""The fields of a record as each format has them elsewhere, too."""


def name_fields(columns: Columns) -> Columns:
    """The fields of each row, where other outputs have these."""
    return ("file_name", *columns[1:], "model_sha256")


FIELDS = name_fields(COLUMNS)
EARLIER = tuple(map(name_fields, ALL_COLUMNS))
EARLIER_JSON = tuple(name_fields(list_fields(columns)) for columns in ALL_COLUMNS)


def check_name(path: Path) -> None:
    """Raises UsageError for a name that the format does not know, ExtraMissing where Parquet cannot be written."""
    if path.name not in NAMES:
        raise UsageError(
            f"{OPTION} {path}: the file is called {', '.join(NAMES[:-1])} or {NAMES[-1]}, in the folder of the images"
        )
    if path.suffix == ".parquet":
        need_pyarrow(OPTION)


def list_metadata(path: Path) -> Output:
    """The file as `outputs.check_outputs` wants it: metadata of one's own, as captions, are none of an earlier run."""
    kind = "metadata of scores"
    if path.suffix == ".parquet":
        return list_parquet(path, OPTION, EARLIER)
    if path.suffix == ".jsonl":
        return Output(path, OPTION, kind, holds_json(*EARLIER_JSON))
    return Output(path, OPTION, kind, lambda head: any(holds_table(*fields)(head) for fields in EARLIER))


class Describer:
    """Records as rows about files in a folder. sha256: of the model's weights."""

    def __init__(self, path: Path, sha256: str, columns: Columns) -> None:
        self.path, self.sha256, self.columns = path, sha256, columns
        self.folder = os.path.realpath(path.parent)
        self.named = self.folder if os.pardir in path.parts else os.path.abspath(path.parent)  # noqa: PTH100

    def describe(self, record: ScoreRecord) -> dict[str, Any] | None:
        """A row; None for a file that is not there, which the format refuses.

        Raises DataError for an image that is not in the folder, or whose name the format cannot say: only CSV takes any bytes.
        """
        if record.status is Status.MISSING:
            return None
        name = self._name(record.path)
        if name is None or not os.path.lexists(record.path):
            raise DataError(f"{record.path}: not below {self.path.parent}, whose images {OPTION} {self.path} is about")
        if self.path.suffix != ".csv" and SURROGATES.search(name):
            raise DataError(f"{record.path}: a name that is no UTF-8 cannot stand in {OPTION} {self.path}: rename the file")
        values = dict(VALUES[self.path.suffix](record, self.columns))
        del values["path"]
        return {"file_name": name, **values, "model_sha256": self.sha256}

    def _name(self, path: str) -> str | None:
        """The way to an image from the folder, as the names say it, else between the real folders; None where it leads out.

        An image that is a link keeps the name it has in the folder, wherever the link leads.
        """
        head, name = os.path.split(path)
        ways = [os.path.relpath(os.path.join(os.path.realpath(head), name), self.folder)]  # noqa: PTH118
        if os.pardir not in Path(path).parts:
            ways.insert(0, os.path.relpath(path, self.named))
        return next((way for way in ways if Path(way).parts[:1] != (os.pardir,)), None)


class MetadataSink:
    """JSON Lines, or CSV with a header. header: the names of its columns; None: no CSV."""

    def __init__(self, target: Any, describer: Describer, header: Columns | None) -> None:
        self.target, self.describer, self.csv = target, describer, header is not None
        self.before = b"" if header is None else encode_csv(header)

    def write(self, record: ScoreRecord) -> None:
        """One line. Raises as `Describer.describe` and `Target.write` do."""
        row = self.describer.describe(record)
        if row is not None:
            self.target.write(self.before + (encode_csv(row.values()) if self.csv else encode_json(row) + b"\n"))
            self.before = b""

    def finish(self) -> None:
        """The header, where no line has brought it."""
        self.target.write(self.before)


@contextmanager
def open_metadata(path: Path, sha256: str, columns: Columns = COLUMNS) -> Iterator[Sink]:
    """The metadata of a folder, complete when the block ends; where that fails, with the rows so far, if there are any.

    Raises DataError.
    """
    describer, names = Describer(path, sha256, columns), name_fields(columns)
    if path.suffix == ".parquet":
        import pyarrow as pa

        schema = score_schema(columns)
        fields = pa.schema([("file_name", pa.string()), *(schema.field(name) for name in names[1:])])
        with open_table(path, fields, lambda record: clean(describer.describe(record))) as sink:
            yield sink
        return
    with open_target(path) as target:
        sink = MetadataSink(target, describer, names if path.suffix == ".csv" else None)
        yield sink
        sink.finish()
