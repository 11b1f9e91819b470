"""ScoreCache: predictions of earlier runs, for files that have not changed since. A SQLite file in the user's cache folder.

A prediction is stored for a path, the state of the file (size, time of modification, time of change) and the settings that it
depends on. A state younger than a tick of the file system's clock proves nothing, so the content's hash is stored with it, and
compared once. Whatever goes wrong with the cache is a warning, never an error: it only saves time.

Many threads and processes may use one file. A prediction survives a killed process as soon as it is stored.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import stat
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from iqa_cli.errors import DataError
from iqa_cli.files.homes import needing_home
from iqa_cli.records import Detail, Patch

FILE = "scores-1.sqlite"  # the number is that of TABLE: another version of this tool may have another
DAMAGED = "scores-1.damaged"
VARIABLE = "IQA_CACHE"  # the environment variable that names its folder
TABLE = """CREATE TABLE IF NOT EXISTS scores (
    path BLOB, settings BLOB, size INTEGER, modified INTEGER, changed INTEGER, hash BLOB,
    quality REAL, width INTEGER, height INTEGER, PRIMARY KEY (path, settings)) WITHOUT ROWID"""
DETAILS = """CREATE TABLE IF NOT EXISTS details (
    path BLOB, settings BLOB, detail TEXT, PRIMARY KEY (path, settings)) WITHOUT ROWID"""
GET = """SELECT hash, quality, width, height, detail FROM scores LEFT JOIN details USING (path, settings)
    WHERE path = ? AND settings = ? AND (size, modified, changed) = (?, ?, ?)"""
DROP_HASH = "UPDATE scores SET hash = NULL WHERE path = ? AND settings = ?"
PUT = "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
PUT_DETAIL = "INSERT OR REPLACE INTO details VALUES (?, ?, ?)"
RECENT = 2_000_000_000  # ns: the coarsest clock of a file system, FAT's, has steps of 2 s
BUSY_TIMEOUT = 10.0  # seconds to wait for another process that writes
BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


@dataclass(frozen=True)
class Prediction:
    """The network's quality of an image, the size of the upright picture in px, and its detail, where that was measured."""

    quality: float
    width: int
    height: int
    detail: Detail | None = None


@dataclass(frozen=True)
class FileState:
    """Size in bytes, and times of modification and of change in ns; recent: too recent to tell a later change."""

    size: int
    modified: int
    changed: int
    recent: bool


@dataclass(frozen=True)
class CacheState:
    """Size of the cache. file: its path; bytes: on the disk; scores: how many, None where the file is damaged."""

    file: Path
    bytes: int
    scores: int | None


def find_folder() -> Path:
    """The folder of the cache: that of IQA_CACHE, else where this system has caches. Raises DataError without a home."""
    with needing_home(VARIABLE):
        if named := os.environ.get(VARIABLE):
            return Path(named).expanduser()
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "iqa"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "iqa"


def read_state(path: str) -> FileState | None:
    """The current state of a regular file; None for anything else."""
    now = time.time_ns()
    try:
        found = os.stat(path)  # noqa: PTH116  # paths stay as the user named them
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    recent = max(found.st_mtime_ns, found.st_ctime_ns) > now - RECENT
    return FileState(found.st_size, found.st_mtime_ns, found.st_ctime_ns, recent)


def hash_content(path: str) -> bytes | None:
    """A hash of a file's bytes; None where it cannot be read."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # as above
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
    except OSError:
        return None


def connect(folder: Path) -> sqlite3.Connection:
    """The cache in a folder, made if there is none. Raises OSError and sqlite3.Error."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # the names of photos are nobody else's concern
    connection = sqlite3.connect(folder / FILE, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")  # readers do not wait for writers
        connection.execute(
            "PRAGMA synchronous = NORMAL"
        )  # safe from a crash of this process; one of the system costs the newest
        connection.execute(TABLE)
        connection.execute(DETAILS)  # of those scores whose settings measure it
    except BaseException:
        connection.close()
        raise
    return connection


def set_aside(folder: Path) -> None:
    """Move a damaged cache out of the way. Raises OSError."""
    (folder / FILE).replace(folder / DAMAGED)
    for suffix in ("-wal", "-shm"):
        (folder / f"{FILE}{suffix}").unlink(missing_ok=True)


def is_broken(error: Exception) -> bool:
    """Whether it is the file that is damaged, rather than a disk that is full or may not be written."""
    return read_code(error) in BROKEN


def read_code(error: Exception) -> int:
    """SQLite's number of an error, without what it says of the kinds of that error; 0 for any other."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


class ScoreCache:
    """Predictions under some settings. Without a file that works, it finds nothing and stores nothing.

    settings: all that a quality depends on besides the file; warn: called with one line for what goes wrong.
    """

    def __init__(self, folder: Path, settings: Mapping[str, object], warn: Callable[[str], None]) -> None:
        self.folder = folder
        self.settings = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16).digest()
        self.warn = warn
        self.lock = Lock()
        self.hits = 0
        self.replaced = False  # a damaged one, which is done once
        self.connection: sqlite3.Connection | None = None
        self._open()

    def get(self, path: str, place: str, state: FileState) -> Prediction | None:
        """The prediction for a file in this state, or for what is at a place in it, if there is one."""
        rows = self._execute(GET, *self._name(path, place), state.size, state.modified, state.changed)
        if not rows:
            return None
        content, quality, width, height, detail = rows[0]
        if content is not None:
            if content != hash_content(path):
                return None
            if not state.recent and state == read_state(path):  # old enough by now to be proof without a hash
                self._execute(DROP_HASH, *self._name(path, place))
        with self.lock:
            self.hits += 1
        return Prediction(quality, width, height, read_detail(detail) if detail else None)

    def put(self, path: str, place: str, state: FileState, prediction: Prediction) -> None:
        """Store the prediction for a file that was in this state before it was read; nothing, if it has changed meanwhile.

        place: in it, of what the prediction is about; "" for all of it.
        """
        content = hash_content(path) if state.recent else None
        now = read_state(path)
        unchanged = now and (now.size, now.modified, now.changed) == (state.size, state.modified, state.changed)
        if unchanged and (content or not state.recent):
            values = (prediction.quality, prediction.width, prediction.height)
            if prediction.detail is not None:  # first, so that no score of these settings is ever without
                self._execute(PUT_DETAIL, *self._name(path, place), json.dumps(asdict(prediction.detail)))
            self._execute(PUT, *self._name(path, place), state.size, state.modified, state.changed, content, *values)

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            if self.connection is not None:
                self.connection.close()
                self.connection = None

    def _name(self, path: str, place: str) -> tuple[bytes, bytes]:
        """What a prediction is stored under. No path has a NUL, so no place is taken for a file."""
        name = os.fsencode(os.path.abspath(path))  # noqa: PTH100  # a Path takes ten times as long
        return name + b"\0" + place.encode("utf-8", "surrogateescape") if place else name, self.settings

    def _open(self) -> None:
        try:
            self.connection = connect(self.folder)
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)

    def _execute(self, query: str, *values: object) -> list[Any]:
        """The rows that a query finds; none where the cache does not work."""
        with self.lock:
            try:
                return self.connection.execute(query, values).fetchall() if self.connection else []
            except OverflowError:  # a file of an impossible age
                return []
            except sqlite3.Error as error:
                self._give_up(error)
                return []

    def _give_up(self, error: Exception) -> None:
        """Do without a cache from now on; with a new one, where the old one is damaged."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        file = self.folder / FILE
        if is_broken(error) and not self.replaced:
            self.replaced = True
            with suppress(OSError):
                set_aside(self.folder)
                self.warn(f"{file}: the cache was damaged; it is set aside as {DAMAGED}, and a new one begun")
                return self._open()
        reason = getattr(error, "strerror", None) or str(error)
        self.warn(f"{file}: the cache cannot be used: {reason}; images are scored without it")
        return None


def open_cache(settings: Mapping[str, object], warn: Callable[[str], None]) -> ScoreCache | None:
    """The cache of this user under some settings; None where there is no place for one. Arguments as of `ScoreCache`."""
    try:
        return ScoreCache(find_folder(), settings, warn)
    except DataError as error:
        warn(f"the cache cannot be used: {error}; images are scored without it")
        return None


def read_detail(text: str) -> Detail:
    """A detail as it is stored."""
    values = json.loads(text)
    return Detail(**values | {"patches": tuple(Patch(**patch) for patch in values["patches"])})


def describe_cache(folder: Path) -> CacheState:
    """What lies in the cache of a folder. Raises OSError and sqlite3.Error where that cannot be found out."""
    file = folder / FILE
    size = sum(path.stat().st_size for path in folder.glob("scores-*") if path.is_file())
    if not file.exists():
        return CacheState(file, size, 0)
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT)) as connection:
        try:
            made = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'scores'").fetchone()[0]
            count = (
                connection.execute("SELECT count(*) FROM scores").fetchone()[0] if made else 0
            )  # a run may just be making it
            return CacheState(file, size, count)
        except sqlite3.Error as error:
            if is_broken(error):
                return CacheState(file, size, None)
            raise


def clear_cache(folder: Path) -> None:
    """Forget everything, damaged caches included, whoever else uses it. Raises OSError and sqlite3.Error.

    Where the disk has no room to note what is forgotten, the file goes as a damaged one does: who has it open keeps it so long.
    """
    (folder / DAMAGED).unlink(missing_ok=True)
    if not (folder / FILE).exists():
        return
    try:
        with closing(connect(folder)) as connection:
            connection.execute("DELETE FROM scores")
            connection.execute("DELETE FROM details")
            connection.execute("VACUUM")
    except sqlite3.Error as error:
        if not is_broken(error) and read_code(error) not in NO_ROOM:
            raise
        set_aside(folder)
        (folder / DAMAGED).unlink()
