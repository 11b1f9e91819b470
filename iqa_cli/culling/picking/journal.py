"""Journal of a transfer: an undo file. All steps stand in it, and on the disk, before the first one is taken.

JSON Lines: what was asked for, the steps, then what is noted while they are taken, each line flushed. A line that was cut
short counts for nothing. Names that are no UTF-8 are lone surrogates, escaped.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from iqa_cli.culling.picking.steps import Action, Made, Refused, Step, flush_folder, rename
from iqa_cli.errors import DataError, UsageError
from iqa_cli.files.atomic import create_claimed, remove_leftovers, write_fully
from iqa_cli.files.locks import claim_if_free
from iqa_cli.files.replacing import make_aside

KIND, VERSION = "transfer of photos", 1
PREFIX, SUFFIX = "iqa-pick-", ".undo"  # of its name
Request = Mapping[str, Any]
"""What was asked for, as JSON: a run that was asked for the same goes on with a journal that is not finished."""


@dataclass
class Journal:
    """A journal in memory.

    folders: those that the transfer makes, outer ones first. beside: files that would belong to photos of the new names, and
    were there before. made: number of a step -> states of files made for it. removed: numbers of steps of which what was made
    has gone again, or is about to.
    """

    path: Path
    action: Action
    request: Request
    folders: list[str]
    steps: list[Step]
    beside: list[str] = field(default_factory=list)
    made: dict[int, list[Made]] = field(default_factory=lambda: defaultdict(list))
    removed: set[int] = field(default_factory=set)
    finished: bool = False

    @property
    def units(self) -> list[list[int]]:
        """The numbers of the steps of each unit."""
        units: dict[int, list[int]] = {}
        for number, step in enumerate(self.steps):
            units.setdefault(step.unit, []).append(number)
        return list(units.values())


def name_journal(folder: Path) -> Path:
    """A name for an undo file that none in the folder has."""
    number = 1
    while os.path.lexists(path := folder / f"{PREFIX}{number}{SUFFIX}"):
        number += 1
    return path


def write_journal(journal: Journal) -> None:
    """Write a new journal, whole or not at all, never over another one: where its name is taken by now, it gets the next.

    Raises DataError.
    """
    head = {"iqa": KIND, "version": VERSION, "action": journal.action, "request": journal.request}
    head |= {"folders": journal.folders, "beside": journal.beside}
    lines = (json.dumps(line).encode("ascii") + b"\n" for line in (head, *map(asdict, journal.steps)))
    data = b"".join(lines)
    try:
        while not write_new(journal.path, data):
            journal.path = name_journal(journal.path.parent)
    except OSError as error:
        raise DataError(f"{journal.path}: cannot write the undo file: {error.strerror}") from error
    flush_folder(str(journal.path.parent))


def write_new(path: Path, data: bytes) -> bool:
    """Make a file of these bytes, at once, so that none is cut short; False where the name is taken. Raises OSError."""
    remove_leftovers(path)
    aside, file = make_aside(path, create_claimed)
    with file:
        try:
            write_fully(file, data)
            os.fsync(file.fileno())
            return rename(str(aside), str(path))
        except Refused:
            return False
        finally:
            aside.unlink(missing_ok=True)


def read_journal(path: Path) -> Journal:
    """A journal from its file. Raises DataError for a file that is none, or cannot be read."""
    try:
        with path.open("rb") as file:
            head, *lines = read_lines(file)
            if head["iqa"] != KIND or head["version"] != VERSION:
                raise ValueError("another kind")
            journal = Journal(path, Action(head["action"]), dict(head["request"]), [*map(str, head["folders"])], [])
            journal.beside += map(str, head.get("beside", ()))
            for line in lines:
                add_line(journal, line)
    except OSError as error:
        raise DataError(f"{path}: cannot read the undo file: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DataError(f"{path}: this is no undo file of iqa pick") from error
    return journal


def read_lines(file: BinaryIO) -> Iterator[dict[str, Any]]:
    """The lines that are whole. Raises ValueError where the first is not, or one is no object, and RecursionError."""
    yield read_object(json.loads(file.readline()))
    for line in file:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        yield read_object(value)


def read_object(value: object) -> dict[str, Any]:
    """A value that is an object. Raises ValueError for others."""
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


def add_line(journal: Journal, line: Mapping[str, Any]) -> None:
    """Take in one line. Raises ValueError, KeyError or TypeError where it means nothing."""
    if "source" in line:
        step = Step(int(line["unit"]), str(line["source"]), str(line["target"]), int(line["size"]), int(line["modified"]))
        if "\0" in step.source + step.target:
            raise ValueError("no path")
        journal.steps.append(step)
    elif "made" in line:
        journal.made[int(line["made"])].append(Made(int(line["size"]), int(line["modified"])))
        journal.removed.discard(int(line["made"]))
    elif "removed" in line:
        journal.removed.add(int(line["removed"]))
    journal.finished |= line.get("finished") is True


@contextmanager
def open_journal(journal: Journal) -> Iterator[JournalWriter]:
    """The file of a journal, to be added to; this process's own while the block lasts.

    Raises UsageError where another process has it, DataError where it cannot be written.
    """
    remove_leftovers(journal.path)
    try:
        file = journal.path.open("r+b", buffering=0)
    except OSError as error:
        raise DataError(f"{journal.path}: cannot write the undo file: {error.strerror}") from error
    with file:
        if not claim_if_free(file):
            raise UsageError(f"{journal.path}: another process works by this undo file: wait until it ends")
        yield JournalWriter(journal, file)


class JournalWriter:
    """Adds to a journal, in memory and in its file. Raises DataError where that cannot be written."""

    def __init__(self, journal: Journal, file: Any) -> None:
        self.journal, self.file = journal, file
        file.seek(0, os.SEEK_END)
        self.before = b"\n"  # a line that was cut short ends here

    def note_made(self, number: int, state: Made) -> None:
        """That a file of this state is about to get its name, or a link has got it."""
        self._add({"made": number, **asdict(state)})
        self.journal.made[number].append(state)
        self.journal.removed.discard(number)

    def note_removed(self, number: int) -> None:
        """That what was made for a step, if anything was, is about to go again, or never got its name."""
        if self.journal.made[number] and number not in self.journal.removed:
            self._add({"removed": number})
            self.journal.removed.add(number)

    def note_finished(self) -> None:
        """That there is nothing more to do."""
        self._add({"finished": True})
        self.journal.finished = True

    def _add(self, line: Mapping[str, Any]) -> None:
        try:
            write_fully(self.file, self.before + json.dumps(line).encode("ascii") + b"\n")
            os.fsync(self.file.fileno())
        except OSError as error:
            raise DataError(f"{self.journal.path}: cannot write the undo file: {error.strerror}") from error
        self.before = b""


def find_unfinished(folder: Path) -> list[Path]:
    """The undo files in a folder whose transfers were cut short, the oldest first."""
    found = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        with suppress(DataError):
            if not read_journal(path).finished:
                found.append(path)
    return found


def find_damaged(folder: Path) -> dict[Path, str]:
    """The undo files in a folder that cannot be read, by the names that `name_journal` gives, and why."""
    damaged = {}
    for path in sorted(folder.glob(f"{PREFIX}*{SUFFIX}")):
        try:
            read_journal(path)
        except DataError as error:
            damaged[path] = str(error)
    return damaged


def list_new_folders(targets: Iterable[str]) -> list[str]:
    """The folders that have to be made for files of these names, outer ones first."""
    missing: set[str] = set()
    for target in targets:
        for parent in Path(target).parents:
            if str(parent) in missing or os.path.lexists(parent):
                break
            missing.add(str(parent))
    return sorted(missing, key=lambda folder: (folder.count(os.sep), folder))
