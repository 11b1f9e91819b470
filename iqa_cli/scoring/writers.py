"""What records become: csv, jsonl, json; one small class each, a dict chooses.

A sink turns a record into bytes and hands them to a `Target` in one write a record.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from iqa_cli.errors import UsageError
from iqa_cli.records import COLUMNS, ScoreRecord
from iqa_cli.targets import Target, open_target

Value = str | float | int | None
DECIMALS = {"score": 2, "percentile": 1}  # more would suggest a precision that opinions do not have


class Sink(Protocol):
    """Takes records. Without any, nothing is written at all."""

    def write(self, record: ScoreRecord) -> None:
        """Add a record. Raises as `Target.write` does."""


def round_record(record: ScoreRecord) -> dict[str, Value]:
    """The fields in the order of COLUMNS, rounded as every output shows them. The one place where a score is rounded."""
    values: dict[str, Value] = {name: getattr(record, name) for name in COLUMNS}
    for name, decimals in DECIMALS.items():
        value = values[name]
        if isinstance(value, float):
            values[name] = round(value, decimals)
    return values | {"status": str(record.status)}


def format_record(record: ScoreRecord) -> dict[str, str]:
    """The rounded fields as text: fixed decimals, nothing for None."""
    texts = {name: "" if value is None else str(value) for name, value in round_record(record).items()}
    for name, decimals in DECIMALS.items():
        if texts[name]:
            texts[name] = f"{float(texts[name]):.{decimals}f}"
    return texts


def encode_csv(values: Iterable[Value]) -> bytes:
    """One CSV line, UTF-8; file names of undecodable bytes come out as the bytes they are."""
    text = io.StringIO()
    # Python before 3.13 quotes a carriage return only if the line end has one, so it is written so and then replaced.
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return (text.getvalue().removesuffix("\r\n") + "\n").encode("utf-8", "surrogateescape")


def encode_json(values: Mapping[str, Value]) -> bytes:
    r"""One JSON object on one line, UTF-8; undecodable bytes of file names stay Python's surrogates, written as \udcXX."""
    return json.dumps(values, ensure_ascii=False).encode("utf-8", "backslashreplace")


class CsvSink:
    """A header, and a line a record."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.before = encode_csv(COLUMNS)

    def write(self, record: ScoreRecord) -> None:
        """One line; before the first, the header."""
        self.target.write(self.before + encode_csv(format_record(record).values()))
        self.before = b""


class JsonlSink:
    """A JSON object a line."""

    def __init__(self, target: Target) -> None:
        self.target = target

    def write(self, record: ScoreRecord) -> None:
        """One line."""
        self.target.write(encode_json(round_record(record)) + b"\n")


class JsonSink:
    """One JSON array of objects, an element a line, valid at any time."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.before = b"[\n"

    def write(self, record: ScoreRecord) -> None:
        """One element."""
        self.target.write(self.before + encode_json(round_record(record)), tail=b"\n]\n")
        self.before = b",\n"


SINKS: dict[str, Callable[[Target], Sink]] = {"csv": CsvSink, "jsonl": JsonlSink, "json": JsonSink}


class SinkGroup:
    """Several sinks as one."""

    def __init__(self, sinks: Iterable[Sink]) -> None:
        self.sinks = tuple(sinks)

    def write(self, record: ScoreRecord) -> None:
        """To all of them."""
        for sink in self.sinks:
            sink.write(record)


@contextmanager
def open_sinks(paths: Mapping[str, Path]) -> Iterator[Sink]:
    """All of the outputs named, format (a key of SINKS) -> path, as one sink; complete when the block ends, however it ends.

    Raises UsageError where two outputs are the same file, DataError where one cannot be written.
    """
    if len({path.resolve() for path in paths.values()}) < len(paths):
        raise UsageError(f"two outputs would be written to one file: {', '.join(map(str, paths.values()))}")
    with ExitStack() as stack:
        yield SinkGroup([SINKS[kind](stack.enter_context(open_target(path))) for kind, path in paths.items()])
