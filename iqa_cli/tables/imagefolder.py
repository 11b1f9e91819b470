"""Hugging Face's imagefolder: metadata.csv, metadata.jsonl or metadata.parquet in the folder of the images, by `file_name`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from iqa_cli.errors import DataError, UsageError
from iqa_cli.files.atomic import open_target
from iqa_cli.files.outputs import Output, begins_json, begins_table
from iqa_cli.records import COLUMNS, ScoreRecord, Status
from iqa_cli.scoring.writers import Sink, encode_csv, encode_json, format_record, round_record
from iqa_cli.tables.parquet import list_parquet, need_pyarrow, open_table, score_schema

NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
OPTION = "--imagefolder"
FIELDS = ("file_name", *COLUMNS[1:], "model_sha256")


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
        return list_parquet(path, OPTION, FIELDS[0])
    return Output(path, OPTION, kind, begins_table(*FIELDS) if path.suffix == ".csv" else begins_json(*FIELDS))


class Describer:
    """Records as rows about files in a folder. sha256: of the model's weights."""

    def __init__(self, path: Path, sha256: str) -> None:
        self.path, self.sha256 = path, sha256
        self.folder = os.path.realpath(path.parent)

    def describe(self, record: ScoreRecord, *, text: bool = False) -> dict[str, Any] | None:
        """A row; None for a file that is not there, which the format refuses. text: numbers as every CSV has them.

        Raises DataError for an image that is not in the folder.
        """
        if record.status is Status.MISSING:
            return None
        values: dict[str, Any] = dict(format_record(record) if text else round_record(record))
        name = os.path.relpath(os.path.realpath(record.path), self.folder)
        if name.startswith(os.pardir) or not os.path.lexists(record.path):
            raise DataError(f"{record.path}: not below {self.path.parent}, whose images {OPTION} {self.path} is about")
        del values["path"]
        return {"file_name": name, **values, "model_sha256": self.sha256}


class MetadataSink:
    """CSV with a header, or JSON Lines."""

    def __init__(self, target: Any, describer: Describer, *, csv: bool) -> None:
        self.target, self.describer, self.csv = target, describer, csv
        self.before = encode_csv(FIELDS) if csv else b""

    def write(self, record: ScoreRecord) -> None:
        """One line. Raises as `Describer.describe` and `Target.write` do."""
        row = self.describer.describe(record, text=self.csv)
        if row is not None:
            self.target.write(self.before + (encode_csv(row.values()) if self.csv else encode_json(row) + b"\n"))
            self.before = b""


@contextmanager
def open_metadata(path: Path, sha256: str) -> Iterator[Sink]:
    """The metadata of a folder, complete when the block ends, however it ends. Raises DataError."""
    describer = Describer(path, sha256)
    if path.suffix == ".parquet":
        import pyarrow as pa

        schema = score_schema()
        fields = pa.schema([("file_name", pa.string()), *(schema.field(name) for name in FIELDS[1:])])
        with open_table(path, fields, describer.describe) as sink:
            yield sink
        return
    with open_target(path) as target:
        yield MetadataSink(target, describer, csv=path.suffix == ".csv")
