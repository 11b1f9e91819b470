"""Parquet: scores with typed columns, in row groups. Without its end it cannot be read, so it appears whole or not at all."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from iqa_cli.errors import DataError, ExtraMissing
from iqa_cli.files.atomic import SealedFile, Target, open_target
from iqa_cli.files.outputs import Output
from iqa_cli.records import COLUMNS, ScoreRecord
from iqa_cli.remote.names import split_key, split_member
from iqa_cli.scoring.writers import ALL_COLUMNS, DECIMALS, Columns, Sink, clean, round_record

GROUP = 10_000  # rows that are held, and written together
MAGIC = b"PAR1"
FACTS = b"iqa"  # under which facts about the rows are kept in the schema
KIND = "Parquet of scores"
ADDED = ("model_sha256", "shard", "key", "path_base64")  # columns besides those of every output
Row = Mapping[str, Any]


def need_pyarrow(option: str) -> None:
    """Raises ExtraMissing where Parquet cannot be written."""
    if find_spec("pyarrow") is None:
        raise ExtraMissing("parquet", option)


@cache
def score_schema(columns: Columns = COLUMNS) -> Any:
    """The columns: those of every output, then the model's SHA-256, the shard, and WebDataset's key in it.

    path_base64: all bytes of a path that is no UTF-8; else null, as those two are for an image in no archive.
    """
    import pyarrow as pa

    text, number, pixels = pa.string(), pa.float64(), pa.int32()
    types = {
        **dict.fromkeys(columns, text),
        **dict.fromkeys({*DECIMALS} & {*columns}, number),
        **dict.fromkeys({"width", "height", "rank_in_group"} & set(columns), pixels),
        **dict.fromkeys({"best_of_group"} & set(columns), pa.bool_()),
        **dict.fromkeys({"reasons"} & set(columns), pa.list_(text)),
        **dict.fromkeys(ADDED, text),
    }
    return pa.schema(list(types.items()))


def describe_row(record: ScoreRecord, sha256: str, columns: Columns) -> dict[str, Any]:
    """A record as a row of these columns. sha256: of the model's weights."""
    inside = split_member(record.path)
    shard, key = (None, None) if inside is None else (inside[0], split_key(inside[1])[0])
    values: dict[str, Any] = clean({**round_record(record, columns), "model_sha256": sha256, "shard": shard, "key": key})
    return values


class TargetFile(io.RawIOBase):
    """A target as the file that pyarrow writes to, from its beginning to its end."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.place = 0

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """How many bytes were written."""
        return self.place

    def write(self, data: Any) -> int:
        """Hand them on. Raises as the target does."""
        block = bytes(data)
        self.target.write(block)
        self.place += len(block)
        return len(block)


class ParquetSink:
    """Rows, in groups, and at the end what makes them a file. describe: a record as a row; None: it has none.

    Without any rows, nothing is written before `finish`.
    """

    def __init__(self, target: Target, schema: Any, describe: Callable[[ScoreRecord], Row | None]) -> None:
        self.target, self.schema, self.describe = target, schema, describe
        self.held: list[Row] = []
        self.writer: Any = None

    def write(self, record: ScoreRecord) -> None:
        """Hold a row; write a group of them. Raises as `Target.write` does."""
        row = self.describe(record)
        if row is not None:
            self.held.append(row)
        if len(self.held) >= GROUP:
            self.flush()

    def flush(self) -> None:
        """Write what is held, be it nothing: then what begins a file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self.writer is None:
            self.writer = pq.ParquetWriter(pa.PythonFile(TargetFile(self.target), mode="w"), self.schema, compression="zstd")
        if self.held:
            self.writer.write_table(pa.Table.from_pylist(self.held, self.schema))
        self.held = []

    def finish(self) -> None:
        """Write the rest and the end. Raises as `Target.write` does."""
        self.flush()
        self.writer.close()
        if isinstance(self.target, SealedFile):
            self.target.seal()


@contextmanager
def open_table(path: Path, schema: Any, describe: Callable[[ScoreRecord], Row | None]) -> Iterator[Sink]:
    """A Parquet file of records, complete when the block ends; where that fails, with the rows so far, if there are any.

    Raises WriteError where it cannot be written.
    """
    with open_target(path, SealedFile) as target:
        sink = ParquetSink(target, schema, describe)
        try:
            yield sink
        except BaseException:
            if sink.held or sink.writer is not None:
                sink.finish()
            raise
        sink.finish()


@contextmanager
def open_parquet(path: Path, sha256: str, columns: Columns = COLUMNS) -> Iterator[Sink]:
    """The same with the columns of `score_schema`. sha256: of the model's weights."""
    with open_table(path, score_schema(columns), lambda record: describe_row(record, sha256, columns)) as sink:
        yield sink


def encode_rows(rows: Sequence[Row], schema: Any, facts: Mapping[str, Any]) -> bytes:
    """A whole Parquet file of rows, maybe none, with facts about them, as JSON has them, which `read_facts` gives back."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    target = io.BytesIO()
    table = pa.Table.from_pylist(list(rows), schema.with_metadata({FACTS: json.dumps(facts)}))
    pq.write_table(table, target, row_group_size=GROUP, compression="zstd")
    return target.getvalue()


def read_facts(data: bytes) -> dict[str, Any] | None:
    """The facts in a Parquet file that `encode_rows` has made; None where it is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        known = pq.read_schema(io.BytesIO(data)).metadata or {}
        facts = json.loads(known[FACTS])
    except (KeyError, ValueError, RecursionError, OSError, pa.ArrowException):
        return None
    return facts if isinstance(facts, dict) else None


def read_columns(path: Path) -> list[str]:
    """The names of the columns of a Parquet file. Raises DataError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(path).names)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from error


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a Parquet file, one group held at a time. Raises DataError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(GROUP):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from error


def extend_table(path: Path, target: Target, key: str, columns: Mapping[str, str], find: Callable[[str], Row]) -> None:
    """Write a Parquet file with columns of `score_schema` behind its own, a group of rows at a time.

    columns: their new names by theirs there; find: their values by those of the key. Raises DataError.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = score_schema()
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            for name in columns:
                schema = schema.append(pa.field(name, types.field(columns[name]).type))
            with pq.ParquetWriter(pa.PythonFile(TargetFile(target), mode="w"), schema, compression="zstd") as writer:
                for batch in file.iter_batches(GROUP):
                    rows = [find(str(value)) for value in batch.column(key).to_pylist()]
                    added = [pa.array([row[name] for row in rows], schema.field(name).type) for name in columns]
                    writer.write_table(pa.Table.from_arrays([*batch.columns, *added], schema=schema))
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from error


EARLIER = tuple((*columns, *ADDED) for columns in ALL_COLUMNS)


def list_parquet(path: Path, option: str = "--parquet", earlier: Collection[Columns] = EARLIER) -> Output:
    """A Parquet file as `outputs.check_outputs` wants it. earlier: columns that one of this kind may have, and no more."""

    def is_earlier(head: bytes) -> bool:
        if not head.startswith(MAGIC):
            return False
        try:
            return tuple(read_columns(path)) in earlier
        except DataError:
            return False

    return Output(path, option, KIND, is_earlier)
