"""ScoreLog: JSON Lines that are added to as photos arrive, each line whole and on its way to the disk at once.

A line has two fields more than those of `iqa score`: `bytes` and `modified`, by which a later run knows a photo that it need
not score again. Of several lines of one path the last counts.
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
from iqa_cli.records import COLUMNS, PASSING, ScoreRecord
from iqa_cli.scoring.cache import FileState
from iqa_cli.scoring.writers import KINDS, WATCHED, encode_json, is_same_table, round_record

Mark = tuple[int, float]
"""Size in bytes and time of modification in seconds, to the millisecond: JSON's numbers hold no nanoseconds."""


def make_mark(state: FileState) -> Mark:
    """What a line says of the state of its file."""
    return state.size, round(state.modified / 1e9, 3)


def encode_line(record: ScoreRecord, state: FileState) -> bytes:
    """A record as a line, with the state in which its file was scored."""
    return encode_json(round_record(record) | dict(zip(WATCHED, make_mark(state), strict=True))) + b"\n"


class ScoreLog:
    """A file of lines, or a stream of them, for one model.

    known: absolute path -> the state in which it was scored. Raises UsageError for a file that is none, or that another process
    adds to; WriteError where it cannot be read or written.
    """

    def __init__(self, path: Path, model: str) -> None:
        self.path, self.model = path, model
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
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                self._learn(line)
        self.file.truncate(whole)

    def _learn(self, line: bytes) -> None:
        """Take a photo as known, or no more, where its last line says that it failed for what may have passed."""
        try:
            values = json.loads(line)
            path, model, mark = read_path(values), values["model"], (int(values["bytes"]), float(values["modified"]))
        except (ValueError, TypeError, KeyError, AttributeError):  # of `iqa score`, or of nobody
            return
        if model == self.model:
            name = os.path.abspath(path)  # noqa: PTH100  # paths stay as the user named them
            if values.get("status") in PASSING:
                self.known.pop(name, None)
            else:
                self.known[name] = mark

    def knows(self, path: str, state: FileState) -> bool:
        """Whether that file was scored in that state."""
        return self.known.get(os.path.abspath(path)) == make_mark(state)  # noqa: PTH100

    def write(self, record: ScoreRecord, state: FileState) -> None:
        """Add a line. Raises WriteError, and PipeClosed where nobody reads it."""
        line = encode_line(record, state)
        if self.stream is not None:
            self.stream.write(line)
        else:
            with self._naming_failures():
                self._add(line)
        self.known[os.path.abspath(record.path)] = make_mark(state)  # noqa: PTH100

    def _add(self, line: bytes) -> None:
        """Write behind the last whole line of the file that has the name by now. Raises OSError and UsageError."""
        if self.file is None or not is_named(self.file, self.path):
            self.close()
            self._open()
        assert self.file is not None
        end = self.file.seek(0, io.SEEK_END)
        try:
            write_fully(self.file, line)
        except OSError:
            self.file.truncate(end)  # of a full disk
            raise

    def close(self) -> None:
        """Let go of the file."""
        if self.file is not None:
            self.file.close()
            self.file = None


def read_path(values: Mapping[str, Any]) -> str:
    """The path of a line, also one that is no UTF-8. Raises ValueError, TypeError or KeyError."""
    if "path_base64" in values:
        return os.fsdecode(base64.b64decode(values["path_base64"], validate=True))
    return str(values["path"])
