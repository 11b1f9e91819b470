"""Arrivals: the images of a folder as they become complete, for as long as somebody asks for the next one.

The system says that something has changed; what it was is found by walking the folder. So names that are no UTF-8, folders that
come with all that is in them, links and patterns are what they are for `iqa score`.
"""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event
from typing import NamedTuple

from iqa_cli.errors import DataError, ExtraMissing
from iqa_cli.images.find import NameFilter, walk_folder
from iqa_cli.records import PASSING, ScoreRecord, Status
from iqa_cli.scoring.cache import FileState, read_state
from iqa_cli.scoring.tally import Tally

TICK = 0.2  # seconds between looks at files that are not complete yet
SHARE = 0.1  # of the time may be spent on walking the folder
PATIENCE = 10  # times as long as others a file waits that is cut short


class Arrival(NamedTuple):
    """A file, and the state in which it was complete."""

    path: str
    state: FileState


class Pace(NamedTuple):
    """settle: seconds that a file must not have changed for. poll: seconds after which the folder is walked although nothing
    is said to have changed, as nothing is over a network.
    """

    settle: float
    poll: float


class Arrivals:
    """An iterator of paths.

    folder: as the user named it. is_known: whether a file need not be scored in that state. warn: called where the system does
    not tell what changes, and where something in the folder cannot be read, each time that more or less of it cannot.
    """

    def __init__(
        self,
        folder: str,
        names: NameFilter,
        is_known: Callable[[str, FileState], bool],
        warn: Callable[[str], None],
        pace: Pace,
    ) -> None:
        self.folder, self.names, self.is_known, self.warn = folder, names, is_known, warn
        self.settle, self.poll = pace
        self.stop = Event()
        self.handed_out: deque[Arrival] = deque()  # in order; whoever has the outcome takes it
        self.done: dict[str, FileState] = {}
        self.waiting: dict[str, tuple[FileState, float]] = {}  # and since when it has been seen so
        self.patient: dict[str, FileState] = {}  # what was cut short
        self.returned: SimpleQueue[Arrival] = SimpleQueue()
        self.failures: SimpleQueue[ScoreRecord] = SimpleQueue()
        self.failed: set[str] = set()  # of what is done, for a reason that may pass
        self.gone: deque[str] = deque()  # of what was done: whoever knows it may forget it
        self.unseen: Counter[str] = Counter()

    def __iter__(self) -> Iterator[str]:
        """The paths. Raises DataError where the folder is gone or cannot be watched."""
        next_walk, cost = 0.0, 0.0
        for changed in self._follow():
            self._take_back()
            now = time.monotonic()
            if changed:
                next_walk = min(next_walk, now + cost / SHARE)
            if now >= next_walk:
                self._walk()
                cost = time.monotonic() - now
                next_walk = time.monotonic() + max(self.poll, cost / SHARE)
            for arrival in self._find_complete():
                self.handed_out.append(arrival)
                yield arrival.path

    def _follow(self) -> Iterator[bool]:
        """Whether something has changed, again and again. Raises DataError where the folder is gone, and ExtraMissing."""
        missed = False
        while not self.stop.is_set():
            told = False
            try:
                for changed in self._ask_system():
                    if not Path(self.folder).is_dir():
                        raise DataError(f"{self.folder}: the folder is gone")
                    yield changed or missed
                    told, missed = True, False
            except (OSError, RuntimeError, UnicodeError) as error:  # as for any name that is no UTF-8
                missed = True
                if not told:
                    self.warn(f"{self.folder}: the system tells no changes ({error}); looking every {self.poll:g} s instead")
                    yield from self._tick()

    def _ask_system(self) -> Iterator[bool]:
        """Whether something has changed since the last time. Raises ExtraMissing, OSError, RuntimeError and UnicodeError."""
        batches = import_watch()(
            self.folder,
            watch_filter=None,
            debounce=50,
            step=20,
            rust_timeout=round(TICK * 1000),
            yield_on_timeout=True,
            stop_event=self.stop,
            recursive=self.names.max_depth != 1,
            ignore_permission_denied=True,
        )
        return map(bool, batches)

    def _tick(self) -> Iterator[bool]:
        """Nothing, until the end. Raises DataError where the folder is gone."""
        while not self.stop.wait(TICK):
            if not Path(self.folder).is_dir():
                raise DataError(f"{self.folder}: the folder is gone")
            yield False

    def _walk(self) -> None:
        """Look at every image of the folder."""
        seen, tally = set(), Tally()
        for path in walk_folder(self.folder, tally.left_out, self.names):
            seen.add(path)
            state = read_state(path)
            if state is not None:
                self._notice(path, state)
        self._forget(seen)
        if tally.unseen != self.unseen:
            self.unseen = tally.unseen
            for warning in tally.list_warnings():
                self.warn(f"{self.folder}: {warning}")

    def _forget(self, seen: set[str]) -> None:
        """Hold nothing any more of files that are gone. seen: the images that are there."""
        for path in [path for path in self.done if path not in seen and is_gone(path)]:
            del self.done[path]
            self.gone.append(path)
        self.failed &= self.done.keys()
        for path in [path for path in self.patient if path not in self.done and path not in self.waiting]:
            del self.patient[path]

    def _notice(self, path: str, state: FileState) -> None:
        """A file as it is now."""
        seen = self.done.get(path)
        may_pass = path in self.failed
        if seen is not None and is_same(seen, state) and (not may_pass or seen.changed == state.changed):
            return
        if not may_pass and self.is_known(path, state):
            self.done[path] = state
            self.waiting.pop(path, None)
        elif path not in self.waiting or not is_same(self.waiting[path][0], state):
            self.waiting[path] = state, time.monotonic()

    def _find_complete(self) -> Iterator[Arrival]:
        """The files that have waited long enough without a change, in the order of their names."""
        for path in sorted(self.waiting, key=os.fsencode):
            state, since = self.waiting[path]
            now = read_state(path)
            if now is None or not is_same(now, state):
                del self.waiting[path]
                if now is not None:
                    self._notice(path, now)
                continue
            needed = self.settle * (PATIENCE if is_same(self.patient.get(path), state) else 1)
            age = time.time() - state.changed / 1e9
            if time.monotonic() - since >= needed or age >= needed:
                del self.waiting[path]
                self.done[path] = now
                self.failed.discard(path)
                yield Arrival(path, now)

    def close(self) -> None:
        """End the iteration, soon."""
        self.stop.set()

    def put_back(self, arrival: Arrival) -> bool:
        """Let a file that was cut short wait longer, unless it has; whether it waits."""
        if is_same(self.patient.get(arrival.path), arrival.state):
            return False
        if time.time() - arrival.state.changed / 1e9 >= PATIENCE * self.settle:
            return False
        self.returned.put(arrival)
        return True

    def note(self, record: ScoreRecord) -> None:
        """Let a file be tried again that failed for what may have passed: once it is there again, or as soon as it changes.

        Its rights count as well, which neither its size nor the time of its modification tells of.
        """
        if record.status in PASSING:
            self.failures.put(record)

    def _take_back(self) -> None:
        """Hear of what was put back or has failed meanwhile."""
        with suppress(Empty):
            while True:
                record = self.failures.get_nowait()
                if record.status is Status.MISSING:
                    self.done.pop(record.path, None)
                elif record.path in self.done:
                    self.failed.add(record.path)
                    now = read_state(record.path)  # which may have changed before this was heard of
                    if now is not None:
                        self._notice(record.path, now)
        with suppress(Empty):
            while True:
                path, state = self.returned.get_nowait()
                self.patient[path] = state
                self.done.pop(path, None)
                self.waiting[path] = state, time.monotonic()


def import_watch() -> Callable[..., Iterator[object]]:
    """What tells of changes. Raises ExtraMissing."""
    try:
        from watchfiles import watch
    except ImportError as error:
        raise ExtraMissing("watch", "watching a folder") from error
    return watch


def is_gone(path: str) -> bool:
    """Whether there is no such file; not where the system does not say so, as of a folder that may not be read."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def is_same(one: FileState | None, other: FileState) -> bool:
    """Whether a file has not changed between two looks."""
    return one is not None and (one.size, one.modified) == (other.size, other.modified)
