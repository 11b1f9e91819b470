"""ScoreLog: JSON Lines that are added to as photos arrive, each line whole and on its way to the disk at once.

A line has three fields more than those of `iqa score`: `bytes`, `modified` and `settings`, by which a later run knows a photo
that it need not score again. Of several lines of one path the last counts.
"""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from iqa_cli.errors import UsageError, WriteError
from iqa_cli.files.atomic import STDOUT, Stream, is_named, is_stream, open_stdout, open_stream, write_fully
from iqa_cli.files.locks import claim_if_free
from iqa_cli.files.outputs import Output, may_replace
from iqa_cli.options import MAX_PIXELS
from iqa_cli.records import COLUMNS, PASSING, ScoreRecord, Status
from iqa_cli.scoring.cache import FileState
from iqa_cli.scoring.writers import KINDS, encode_json, is_same_table, round_record

SETTINGS = "settings"  # the field that tells how a photo was scored

Mark = tuple[int, float]
"""Size in bytes and time of modification in seconds, to the millisecond: JSON's numbers hold no nanoseconds."""


def make_mark(state: FileState) -> Mark:
    """What a line says of the state of its file."""
    return state.size, round(state.modified / 1e9, 3)


def encode_line(record: ScoreRecord, state: FileState, settings: str) -> bytes:
    """A record as a line, with the state in which its file was scored, and how."""
    size, modified = make_mark(state)
    return encode_json(round_record(record) | {"bytes": size, "modified": modified, SETTINGS: settings}) + b"\n"


class ScoreLog:
    """A file of lines, or a stream of them, for one model.

    settings: a word for all else that scores depend on, as `run.sign_settings` gives. known: absolute path -> the state in
    which a file was scored so, as far as its line is in the file; of a stream nothing is remembered. limit: of pixels; what was
    too large once, and is not by this limit, is not known.

    Raises UsageError for a file that is none, or that another process adds to; WriteError where it cannot be read or written.
    """

    def __init__(self, path: Path, model: str, settings: str, limit: int = MAX_PIXELS) -> None:
        self.path, self.model, self.settings, self.limit = path, model, settings, limit
        self.known: dict[str, Mark] = {}
        self.stream: Stream | None = None
        self.file: io.FileIO | None = None
        if path == STDOUT:
            self.stream = open_stdout()
            return
        with self._naming_failures():
            if is_stream(path):
                self.stream = Stream(open_stream(path))
                return
            words, is_log = KINDS["jsonl"][0], partial(is_same_table, kind="jsonl", columns=COLUMNS)
            if not may_replace(Output(path, "--jsonl", words, is_log)):
                raise UsageError(f"--jsonl {path} is not {words} with the columns {', '.join(COLUMNS)}")
            self._open()
            self._read()

    @contextmanager
    def _naming_failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise WriteError(f"{self.path}: cannot write the results: {error.strerror}") from error

    def _open(self) -> None:
        """Open the file that has the name, and claim it. Raises OSError and UsageError."""
        self.file = self.path.open("ab+", buffering=0)
        if not claim_if_free(self.file):
            self.close()
            raise UsageError(f"{self.path}: another process adds to this file: end it, or name another file")

    def _read(self) -> None:
        """What is known; a line that a killed run left half written is cut off. Raises OSError."""
        assert self.file is not None
        whole = 0
        with self.path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n") and not is_json(line):
                    break
                whole += len(line)
                self._learn(line)
        self.file.truncate(whole)
        self._end_line()

    def _end_line(self) -> None:
        """Give the last line its end, which editors and programs that join lines leave out. Raises OSError."""
        assert self.file is not None
        if self.file.seek(0, io.SEEK_END):
            self.file.seek(-1, io.SEEK_END)
            if self.file.read(1) != b"\n":
                write_fully(self.file, b"\n")

    def _learn(self, line: bytes) -> None:
        """Take a photo as known; no more, where its last line is of other settings, or a failure that may have passed."""
        try:
            values = json.loads(line)
            path, model, mark = read_path(values), values["model"], (int(values["bytes"]), float(values["modified"]))
            passing = values.get("status") in PASSING or self._fits_now(values)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):  # of `iqa score`, or of nobody
            return
        name = os.path.abspath(path)  # noqa: PTH100  # paths stay as the user named them
        same = model == self.model and values.get(SETTINGS, self.settings) == self.settings  # old lines have none
        if same and not passing:
            self.known[name] = mark
        else:
            self.known.pop(name, None)

    def _fits_now(self, values: Mapping[str, Any]) -> bool:
        """Whether a photo was too large for another limit, or for the memory that there was. Raises TypeError."""
        size = (values.get("width") or 0) * (values.get("height") or 0)
        return values.get("status") == Status.TOO_LARGE and 0 < size <= self.limit

    def knows(self, path: str, state: FileState) -> bool:
        """Whether that file was scored in that state."""
        return self.known.get(os.path.abspath(path)) == make_mark(state)  # noqa: PTH100

    def count_known(self, folder: str) -> int:
        """How many photos are known of those that are in a folder now."""
        top = os.path.join(os.path.abspath(folder), "")  # noqa: PTH100, PTH118
        names: dict[str, set[str]] = {}
        for place, name in map(os.path.split, self.known):
            if os.path.join(place, "").startswith(top):  # noqa: PTH118
                names.setdefault(place, set()).add(name)
        return sum(len(known & list_names(place)) for place, known in names.items())

    def forget(self, path: str) -> None:
        """Hold nothing any more of a photo that is gone; a later run finds its line."""
        self.known.pop(os.path.abspath(path), None)  # noqa: PTH100

    def write(self, record: ScoreRecord, state: FileState) -> None:
        """Add a line. Raises WriteError, and PipeClosed where nobody reads it."""
        line = encode_line(record, state, self.settings)
        if self.stream is not None:
            self.stream.write(line)
            return
        with self._naming_failures():
            self._add(line)
        self.known[os.path.abspath(record.path)] = make_mark(state)  # noqa: PTH100

    def _add(self, line: bytes) -> None:
        """Write behind the last whole line of the file that has the name by now. Raises OSError and UsageError."""
        if self.file is None or not is_named(self.file, self.path):
            self.close()
            self._open()
            self._end_line()
        assert self.file is not None
        end = self.file.seek(0, io.SEEK_END)
        try:
            write_fully(self.file, line)
        except OSError:
            self.file.truncate(end)  # of a full disk
            raise

    def close(self) -> None:
        """Let go of the file, or of the stream; stdout itself stays open."""
        if self.stream is not None:
            self.stream.file.close()
        if self.file is not None:
            self.file.close()
            self.file = None


def is_json(line: bytes) -> bool:
    """Whether a line is whole."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def list_names(folder: str) -> set[str]:
    """What is in a folder; nothing where that cannot be read."""
    try:
        return set(os.listdir(folder))  # noqa: PTH208
    except OSError:
        return set()


def read_path(values: Mapping[str, Any]) -> str:
    """The path of a line, also one that is no UTF-8. Raises ValueError, TypeError or KeyError."""
    if "path_base64" in values:
        return os.fsdecode(base64.b64decode(values["path_base64"], validate=True))
    return str(values["path"])
