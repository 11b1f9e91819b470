"""What records become: csv, jsonl, json; one small class each, a dict chooses.

A sink turns a record into bytes and hands them to a `Target` in one write a record.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Protocol

from iqa_cli.errors import UsageError
from iqa_cli.files.appended import AppendedFile
from iqa_cli.files.atomic import STDOUT, Target, WholeFile, open_target
from iqa_cli.files.outputs import Check, Output, holds_json, holds_table, may_replace, read_rows
from iqa_cli.records import COLUMNS, DETAIL_COLUMNS, GROUP_COLUMNS, REASON_COLUMNS, Reason, ScoreRecord, Status

Value = str | float | int | bool | tuple[str, ...] | None
Columns = tuple[str, ...]  # COLUMNS, or what `list_columns` makes of them
SURROGATES = re.compile("[\ud800-\udfff]")  # what Python makes of bytes that are no UTF-8
PLACES = 4  # of measurements for reasons
DECIMALS = {"score": 2, "percentile": 1, "uncertainty": 1, "native_detail": 1, "effective_mp": 2}
"""More would suggest a precision that opinions, and measurements, do not have."""


class Sink(Protocol):
    """Takes records. One that writes a format has a `finish`, too, which writes what stands for none where none came."""

    def write(self, record: ScoreRecord) -> None:
        """Add a record. Raises as `Target.write` does."""


def list_columns(*, groups: bool = False, detail: bool = False, reasons: bool = False) -> Columns:
    """The columns of a run. groups, reasons: whether it looks for those; detail: whether it measures detail."""
    return COLUMNS + DETAIL_COLUMNS * detail + GROUP_COLUMNS * groups + REASON_COLUMNS * reasons


ALL_COLUMNS = tuple(list_columns(groups=g, detail=d, reasons=r) for g, d, r in product((False, True), repeat=3))


def round_record(record: ScoreRecord, columns: Columns = COLUMNS) -> dict[str, Value]:
    """The fields in the order of the columns, rounded as every output shows them. The one place where a score is rounded."""
    extra = {**describe_place(record), **list_reasons(record)}
    values: dict[str, Value] = {name: extra[name] if name in extra else getattr(record, name) for name in columns}
    for name, decimals in DECIMALS.items():
        value = values.get(name)
        if isinstance(value, float):
            values[name] = round(value, decimals)
    return values | {"status": str(record.status)}


def describe_place(record: ScoreRecord) -> dict[str, Value]:
    """The record's place in its group, in the order of GROUP_COLUMNS."""
    place = record.place
    values = (None,) * 4 if place is None else (place.group, str(place.kind), place.rank, place.best)
    return dict(zip(GROUP_COLUMNS, values, strict=True))


def list_reasons(record: ScoreRecord) -> dict[str, Value]:
    """The codes of what is wrong with the photo; None where that was not looked for."""
    return {"reasons": None if record.reasons is None else tuple(reason.code for reason in record.reasons)}


def describe_record(record: ScoreRecord, columns: Columns = COLUMNS) -> dict[str, Any]:
    """The rounded fields as JSON has them: reasons with the numbers behind them."""
    shown: dict[str, Any] = round_record(record, columns)
    return shown | ({"reason_values": describe_reasons(record.reasons)} if "reasons" in columns else {})


def describe_reasons(reasons: Iterable[Reason] | None) -> list[dict[str, Any]] | None:
    """What was measured where something is wrong, and what it should have been."""
    if reasons is None:
        return None
    return [{**asdict(reason), "value": round(reason.value, PLACES)} for reason in reasons]


def format_record(record: ScoreRecord, columns: Columns = COLUMNS) -> dict[str, str]:
    """The rounded fields as text: fixed decimals, nothing for None, true and false."""
    texts = {name: format_value(value) for name, value in round_record(record, columns).items()}
    for name, decimals in DECIMALS.items():
        if texts.get(name):
            texts[name] = f"{float(texts[name]):.{decimals}f}"
    return texts


def format_value(value: Value) -> str:
    """A value as text."""
    if isinstance(value, tuple):
        return ";".join(value)
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def encode_csv(values: Iterable[Value]) -> bytes:
    """One CSV line, UTF-8; file names of undecodable bytes come out as the bytes they are."""
    text = io.StringIO()
    # Python before 3.13 quotes a carriage return only if the line end has one, so it is written so and then replaced.
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return (text.getvalue().removesuffix("\r\n") + "\n").encode("utf-8", "surrogateescape")


def encode_json(values: Mapping[str, Any]) -> bytes:
    """One JSON object on one line, strict UTF-8; a path that is none comes as `clean` says."""
    return json.dumps(clean(values), ensure_ascii=False).encode()


def clean(data: Any) -> Any:
    """JSON data that any parser reads: bytes of file names that are no UTF-8 are U+FFFD.

    An object whose "path" holds some has "path_base64", too: all bytes of the path, in base64.
    """
    if isinstance(data, Mapping):
        return {str(clean(key)): clean(value) for key, value in data.items()} | encode_path(data.get("path"))
    if isinstance(data, list | tuple):
        return [clean(value) for value in data]
    return SURROGATES.sub("\ufffd", data) if isinstance(data, str) else data


def encode_path(path: object) -> dict[str, str]:
    """The bytes of a path that is no UTF-8; nothing for any other."""
    if not isinstance(path, str) or not SURROGATES.search(path):
        return {}
    return {"path_base64": base64.b64encode(path.encode("utf-8", "surrogateescape")).decode()}


class CsvSink:
    """A line a record, below a header."""

    def __init__(self, target: Target, columns: Columns = COLUMNS, *, header: bool = True) -> None:
        self.target, self.columns = target, columns
        self.before = encode_csv(columns) if header else b""

    def write(self, record: ScoreRecord) -> None:
        """One line; before the first, the header."""
        self.target.write(self.before + encode_csv(format_record(record, self.columns).values()))
        self.before = b""

    def finish(self) -> None:
        """The header, where no line has brought it."""
        self.target.write(self.before)


class JsonlSink:
    """A JSON object a line; without any, nothing."""

    def __init__(self, target: Target, columns: Columns = COLUMNS) -> None:
        self.target, self.columns = target, columns

    def write(self, record: ScoreRecord) -> None:
        """One line."""
        self.target.write(encode_json(describe_record(record, self.columns)) + b"\n")

    def finish(self) -> None:
        """Nothing more, be it that there is no line."""
        self.target.write(b"")


class JsonSink:
    """One JSON array of objects, an element a line, valid at any time."""

    def __init__(self, target: Target, columns: Columns = COLUMNS) -> None:
        self.target, self.columns = target, columns
        self.before = b"[\n"

    def write(self, record: ScoreRecord) -> None:
        """One element."""
        self.target.write(self.before + encode_json(describe_record(record, self.columns)), tail=b"\n]\n")
        self.before = b",\n"

    def finish(self) -> None:
        """An array of nothing, where there is no element."""
        if self.before == b"[\n":
            self.target.write(b"[]\n")


class PathSink:
    """The paths of images that have a score, each with an end; bytes that are no UTF-8 are as they are."""

    def __init__(self, target: Target, _: Columns = COLUMNS, *, end: bytes = b"\n") -> None:
        self.target, self.end = target, end

    def write(self, record: ScoreRecord) -> None:
        """One path; nothing of a failure, which is no path to go on with."""
        if record.status is Status.OK:
            self.target.write(os.fsencode(record.path) + self.end)

    def finish(self) -> None:
        """Nothing more, be it that there is no path."""
        self.target.write(b"")


SINKS: dict[str, Callable[[Target, Columns], CsvSink | JsonlSink | JsonSink | PathSink]] = {
    "csv": CsvSink,
    "jsonl": JsonlSink,
    "json": JsonSink,
    "paths": PathSink,
    "paths0": partial(PathSink, end=b"\0"),
}


# ---- files of them ----


def is_row(head: bytes, columns: Columns) -> bool:
    """CSV of records without a header."""
    row = next(iter(read_rows(head)), [])
    return len(row) == len(columns) and row[columns.index("status")] in set(Status)


def is_table(head: bytes) -> bool:
    """CSV of records, with a header or without."""
    return any(is_same_table(head, "csv", columns) for columns in ALL_COLUMNS)


def is_same_table(head: bytes, kind: str, columns: Columns) -> bool:
    """Whether records of these columns, and of no more, may follow; kind: csv or jsonl."""
    if kind == "csv":
        return holds_table(*columns)(head) or is_row(head, columns)
    return holds_json(list_fields(columns), also=OTHER_FIELDS)(head)


WATCHED = ("bytes", "modified", "settings")  # fields that `iqa watch` adds
OTHER_FIELDS = ("path_base64", *WATCHED)  # that some objects have, and others have not


def list_fields(columns: Columns) -> Columns:
    """The fields of each record in JSON."""
    return columns + ("reason_values",) * ("reasons" in columns)


KINDS: dict[str, tuple[str, Check]] = {
    "csv": ("CSV of scores", is_table),
    "jsonl": ("JSON Lines of scores", holds_json(*map(list_fields, ALL_COLUMNS), also=OTHER_FIELDS)),
    "json": ("a JSON array of scores", holds_json(*map(list_fields, ALL_COLUMNS), also=OTHER_FIELDS, opening="[{")),
}
"""What an earlier output of each format is, in words, and how it is told."""


def list_outputs(files: Mapping[str, Path], *, append: bool = False) -> list[Output]:
    """The files among outputs by format, as `outputs.check_outputs` wants them. append: nothing is replaced."""
    outputs = [Output(path, f"--{kind}", *KINDS[kind]) for kind, path in files.items() if path != STDOUT]
    return [replace(output, is_earlier=lambda _: True) for output in outputs] if append else outputs


def open_appended(path: Path, kind: str, columns: Columns) -> AppendedFile:
    """A file of records to be added to. Raises UsageError where what is there has other columns."""
    words = KINDS[kind][0]
    if not may_replace(Output(path, f"--{kind}", words, partial(is_same_table, kind=kind, columns=columns))):
        raise UsageError(f"--append: {path} is not {words} with the columns {', '.join(columns)}: name another file")
    return AppendedFile(path)


class SinkGroup:
    """Several sinks as one."""

    def __init__(self, sinks: Iterable[Sink]) -> None:
        self.sinks = tuple(sinks)

    def write(self, record: ScoreRecord) -> None:
        """To all of them."""
        for sink in self.sinks:
            sink.write(record)


@contextmanager
def open_sinks(
    paths: Mapping[str, Path], columns: Columns = COLUMNS, *, header: bool = True, append: bool = False
) -> Iterator[Sink]:
    """All of the outputs named, format (a key of SINKS) -> path, as one sink; complete when the block ends, however it ends.

    Where it ends well without a record, they say that there is none; where it fails before the first, they stay as they were.
    header: of CSV. append: to what the files hold. Raises UsageError where two outputs are the same file or one cannot be
    appended to, DataError where one cannot be written.
    """
    if len({path if path == STDOUT else os.path.realpath(path) for path in paths.values()}) < len(paths):
        raise UsageError(f"two outputs would be written to one file: {', '.join(map(str, paths.values()))}")
    with ExitStack() as stack:
        opened = [open_sink(*output, columns, header=header, append=append) for output in paths.items()]
        yield SinkGroup([stack.enter_context(output) for output in opened])


@contextmanager
def open_sink(kind: str, path: Path, columns: Columns, *, header: bool, append: bool) -> Iterator[Sink]:
    """One of the outputs. A header is not repeated."""
    make = partial(open_appended, kind=kind, columns=columns) if append else WholeFile
    with open_target(path, make) as target:
        begun = isinstance(target, AppendedFile) and target.begun > 0
        sink = CsvSink(target, columns, header=header and not begun) if kind == "csv" else SINKS[kind](target, columns)
        yield sink
        sink.finish()
