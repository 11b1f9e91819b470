"""UndoLog: what sidecars held before a run changed them, on the disk before they are changed; and the way back.

A file of JSON Lines: a line about the run, then a line a sidecar: its path, the bytes before, packed, null for no file, and the
SHA-256 of the bytes after. So a run that is killed at any moment can be undone, and what was edited since is told.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from functools import partial
from pathlib import Path

from iqa_cli.culling.companions import FolderNames
from iqa_cli.errors import DataError
from iqa_cli.files.replacing import name_aside, replace_bytes
from iqa_cli.scoring.writers import Value, encode_json

KIND = "iqa ratings undo 1"
WRITERS = 8  # threads, all of which wait for the disk
VARIABLE = "IQA_STATE"  # the environment variable that names the folder of undo files


def find_folder() -> Path:
    """The folder of undo files: that of IQA_STATE, else the one where this system keeps such things."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "iqa"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "iqa"


class UndoLog:
    """An undo file of its own for this run, made with its first entry.

    check: whether it could be made is tried at once, and told before there is any work. Raises DataError.
    """

    def __init__(self, folder: Path) -> None:
        now = datetime.now().astimezone()
        self.path = folder / f"ratings-{now:%Y%m%d-%H%M%S-%f}-{os.getpid()}.jsonl"
        self.head: dict[str, Value] = {"kind": KIND, "begun": now.isoformat(timespec="seconds"), "process": os.getpid()}
        self.lines: list[bytes] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self.path.open("xb"):
                pass
            self.path.unlink()
        except OSError as error:
            raise DataError(
                f"{folder}: no undo file can be written there: {error.strerror}; name another folder by {VARIABLE}"
            ) from error

    def add(self, sidecar: Path, before: bytes | None, after: bytes) -> None:
        """Note what will be changed, as soon as `flush` says that it is on the disk."""
        packed = None if before is None else base64.b64encode(zlib.compress(before)).decode()
        entry = {"path": str(sidecar), "before": packed, "after": hash_bytes(after)}
        self.lines.append(encode_json(entry) + b"\n")

    def flush(self) -> None:
        """Put what was noted on the disk. Raises DataError."""
        if not self.lines:
            return
        try:
            new = not self.path.exists()
            with self.path.open("ab") as file:
                file.write(b"".join([encode_json(self.head) + b"\n"] * new + self.lines))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise DataError(f"{self.path}: cannot write, so no more sidecars are changed: {error.strerror}") from error
        self.lines = []


@dataclass(frozen=True)
class Change:
    """What a run did to a sidecar. before: None for no file; after: the SHA-256 of what it wrote."""

    sidecar: Path
    before: bytes | None
    after: str


class Outcome(Enum):
    """What became of a change. RESTORED: as before; REMOVED: gone again; UNTOUCHED: it was so already; MISSING: not known, as
    neither the sidecar nor its photo is there any more.
    """

    RESTORED = auto()
    REMOVED = auto()
    UNTOUCHED = auto()
    MISSING = auto()


@dataclass
class Undone:
    """What became of an undo. outcomes: how many sidecars of each; kept: those that stay as they are, and why; missing: those
    that are not where they were, and neither are their photos.
    """

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    kept: list[tuple[Path, str]] = field(default_factory=list)
    missing: list[Path] = field(default_factory=list)


def undo_ratings(log: Path, done: Undone) -> None:
    """Give sidecars the bytes that they had before a run, but none that has been edited since. Raises DataError.

    done: counted in as it goes.
    """
    process, changes = read_log(log)
    undo = partial(undo_change, process=process, folders=FolderNames())
    with ThreadPoolExecutor(WRITERS) as pool:
        for change, outcome in zip(changes, pool.map(undo, changes), strict=True):
            if isinstance(outcome, str):
                done.kept.append((change.sidecar, outcome))
            elif outcome is Outcome.MISSING:
                done.missing.append(change.sidecar)
            else:
                done.outcomes[outcome] += 1


def undo_change(change: Change, *, process: int, folders: FolderNames) -> Outcome | str:
    """Undo one change that a process made: what became of it, or in words why it stays."""
    try:
        name_aside(change.sidecar, process).unlink(missing_ok=True)  # of a run that was killed while it wrote
        now = read_bytes(change.sidecar)
        if now is None and not has_photo(change.sidecar, folders):
            return Outcome.MISSING
        if now == change.before:
            return Outcome.UNTOUCHED
        if now is None:
            return "it has been removed since"
        if hash_bytes(now) != change.after:
            return "it has been edited since"
        if change.before is None:
            change.sidecar.unlink()
            return Outcome.REMOVED
        replace_bytes(change.sidecar, change.before)
    except OSError as error:
        return error.strerror or str(error)
    return Outcome.RESTORED


def has_photo(sidecar: Path, folders: FolderNames) -> bool:
    """Whether the photo of a sidecar is where it was. Raises OSError where the folder cannot be listed."""
    try:
        return folders.find(sidecar.parent).has_photo(sidecar.name)
    except (FileNotFoundError, NotADirectoryError):
        return False


def read_log(log: Path) -> tuple[int, list[Change]]:
    """The process that made an undo file, and what it notes. Raises DataError.

    A last line that was cut short is about a sidecar that was not changed.
    """
    try:
        lines = log.read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(f"{log}: cannot be read: {error.strerror}") from error
    try:
        head = json.loads(lines[0])
        if head["kind"] != KIND:
            raise ValueError(KIND)
        return int(head["process"]), [read_change(json.loads(line)) for line in lines[1:-1]]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, zlib.error, binascii.Error) as error:
        raise DataError(f"{log}: no undo file of ratings, or a damaged one; iqa ratings lists those that there are") from error


def read_change(entry: dict[str, str]) -> Change:
    """A line of an undo file. Raises KeyError, ValueError, TypeError and zlib.error for what is none."""
    path = os.fsdecode(base64.b64decode(entry["path_base64"])) if "path_base64" in entry else entry["path"]
    if "\0" in path:
        raise ValueError("no path")
    before = None if entry["before"] is None else zlib.decompress(base64.b64decode(entry["before"], validate=True))
    return Change(Path(path), before, str(entry["after"]))


def list_logs(folder: Path) -> Iterator[Path]:
    """The undo files in a folder, the latest last."""
    yield from sorted(folder.glob("ratings-*.jsonl"))


def read_bytes(path: Path) -> bytes | None:
    """What a file holds; None for no file. Raises OSError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def hash_bytes(data: bytes) -> str:
    """The SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
