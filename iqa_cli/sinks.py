"""Where records go: csv, jsonl, json; one small class each, a dict chooses.

A sink turns a record into bytes and hands them to a `Target` in one write a record. Targets are a file that appears whole
or not at all (`WholeFile`) and a stream that shows every record at once (`Stream`).
"""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from iqa_cli.errors import DataError, UsageError
from iqa_cli.records import COLUMNS, ScoreRecord

Value = str | float | int | None
DECIMALS = {"score": 2, "percentile": 1}  # more would suggest a precision that opinions do not have


class PipeClosed(Exception):  # noqa: N818  nothing went wrong: whoever read the output has had enough
    """Nobody reads the stream any more."""


class Target(Protocol):
    """Takes bytes."""

    def write(self, data: bytes, tail: bytes = b"") -> None:
        """Add `data`, which is complete if `tail` follows; a later write comes in the tail's place.

        Raises DataError where it cannot be written, PipeClosed where nobody reads it.
        """


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


def write_fully(file: BinaryIO | io.FileIO, data: bytes) -> None:
    """Write all of the data to a file that may take it in parts. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


class Stream:
    """A pipe or a terminal: every write is seen at once, the last tail when the stream ends."""

    def __init__(self, file: BinaryIO | io.FileIO) -> None:
        self.file = file
        self.tail = b""

    def write(self, data: bytes, tail: bytes = b"") -> None:
        """Write and flush."""
        try:
            write_fully(self.file, data)
            self.file.flush()
        except BrokenPipeError as error:
            raise PipeClosed from error
        except OSError as error:
            raise DataError(f"cannot write the results: {error.strerror}") from error
        self.tail = tail


def open_stdout() -> Stream:
    """Standard output, without a buffer: so nothing is left to write once its reader has gone."""
    return Stream(open(sys.stdout.fileno(), "wb", buffering=0, closefd=False))


class WholeFile:
    """A file made of whole writes: what one left half done, on a full disk or at Ctrl-C, is overwritten or cut off.

    It is written aside in the folder of `path` and gets that name at `finish`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.final = path.resolve()  # so that a link stays a link
        self.aside = self.final.with_name(f".{self.final.name}.{os.getpid()}.part")
        self.kept = 0  # bytes of whole writes
        self.tail = b""
        with self._naming_failures():
            if self.final.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            self.aside.unlink(missing_ok=True)  # of a killed run that had this number
            self.file = self.aside.open("xb", buffering=0)

    @contextmanager
    def _naming_failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(f"{self.path}: cannot write the results: {error.strerror}") from error

    def write(self, data: bytes, tail: bytes = b"") -> None:
        """Write behind the last whole write. The tail goes along, so that a full disk leaves room for it."""
        with self._naming_failures():
            self._put(data + tail)
        self.kept, self.tail = self.kept + len(data), tail

    def _put(self, data: bytes) -> None:
        self.file.seek(self.kept)
        write_fully(self.file, data)

    def finish(self) -> None:
        """Give the whole writes and the tail their name, once they are on the disk. Without any, leave nothing behind."""
        with self._naming_failures():
            try:
                self._put(self.tail)
                self.file.truncate(self.kept + len(self.tail))
                os.fsync(self.file.fileno())
                self.file.close()  # Windows neither renames nor removes an open file
                if self.kept:
                    self.aside.replace(self.final)
            finally:
                self.file.close()
                self.aside.unlink(missing_ok=True)


def is_stream(path: Path) -> bool:
    """Whether a path is something that no file can take the place of: a named pipe, a device, /dev/stdout."""
    return path.parts[:2] == ("/", "dev") or (path.exists() and not path.is_file() and not path.is_dir())


@contextmanager
def open_target(path: Path) -> Iterator[Target]:
    """A path to write to: a whole file, or a stream if it is a pipe or a device. Complete when the block ends, however it ends.

    Raises DataError where it cannot be written.
    """
    if not is_stream(path):
        whole = WholeFile(path)
        try:
            yield whole
        finally:
            whole.finish()
        return
    try:
        file = path.open("wb", buffering=0)
    except OSError as error:
        raise DataError(f"{path}: cannot write the results: {error.strerror}") from error
    with file:
        stream = Stream(file)
        try:
            yield stream
        finally:
            stream.write(stream.tail)


@contextmanager
def open_sinks(paths: Mapping[str, Path]) -> Iterator[Sink]:
    """All of the outputs named, format (a key of SINKS) -> path, as one sink; complete when the block ends, however it ends.

    Raises UsageError where two outputs are the same file, DataError where one cannot be written.
    """
    if len({path.resolve() for path in paths.values()}) < len(paths):
        raise UsageError(f"two outputs would be written to one file: {', '.join(map(str, paths.values()))}")
    with ExitStack() as stack:
        yield SinkGroup([SINKS[kind](stack.enter_context(open_target(path))) for kind, path in paths.items()])
