"""A transfer of photos, forward and back. Either may be cut short, even by kill -9, and goes on when it is called again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from iqa_cli.culling.picking.journal import Journal, JournalWriter, open_journal
from iqa_cli.culling.picking.steps import Refused, find_state, flush_folder, refuse_lost, refuse_parting, take, take_back
from iqa_cli.culling.picking.strays import find_strays, take_along
from iqa_cli.errors import DataError

Progress = Callable[[int], None]
"""Told how many files are done."""


@dataclass(frozen=True)
class Outcome:
    """What came of a transfer. done: files; refused: path of a file that is where it was -> why."""

    done: int
    refused: dict[str, str]


def carry_out(journal: Journal, progress: Progress) -> Outcome:
    """Take all steps of a journal that are not taken yet. A unit of which one file cannot go stays where it is.

    Raises UsageError where another process works by the journal, DataError where it cannot be written.
    """
    refused: dict[str, str] = {}
    done = 0
    with open_journal(journal) as writer:
        if not journal.finished:
            make_folders(journal.folders)
            for unit in journal.units:
                why = dict(carry_unit(writer, unit))
                refused |= why
                done += 0 if why else len(unit)
                progress(len(unit))
            for folder in {os.path.dirname(path) for step in journal.steps for path in (step.source, step.target)}:  # noqa: PTH120
                flush_folder(folder)
            writer.note_finished()
    return Outcome(done, refused)


def make_folders(folders: list[str]) -> None:
    """Make folders. Raises DataError."""
    for folder in folders:
        try:
            Path(folder).mkdir(exist_ok=True)
        except OSError as error:
            raise DataError(f"{folder}: cannot make this folder: {error.strerror}") from error


def carry_unit(writer: JournalWriter, unit: list[int]) -> Iterator[tuple[str, str]]:
    """Take the steps of a unit; where one fails, take all back, and say why."""
    journal = writer.journal
    for number in unit:
        step = journal.steps[number]
        try:
            take(journal.action, step, journal.made[number], partial(writer.note_made, number))
            note_kept(writer, number)
        except (Refused, OSError) as error:
            writer.note_removed(number)
            yield from undo_steps(writer, [other for other in unit if other <= number])
            yield step.source, describe(error)
            return


def note_kept(writer: JournalWriter, number: int) -> None:
    """Note that what was made for a step is there, where it was about to go. Raises DataError."""
    journal = writer.journal
    state = find_state(journal.steps[number].target)
    if number in journal.removed and state in journal.made[number]:
        writer.note_made(number, state)


def undo_steps(writer: JournalWriter, numbers: list[int]) -> Iterator[tuple[str, str]]:
    """Take steps back, the last one first; yields those that cannot be, and why."""
    journal = writer.journal
    for number in reversed(numbers):
        step = journal.steps[number]
        try:
            if journal.made[number] and number not in journal.removed:
                refuse_lost(journal.action, step)
            refuse_part(journal, number)
            writer.note_removed(number)
            take_back(journal.action, step, journal.made[number])
        except (Refused, OSError) as error:
            note_kept(writer, number)
            yield step.source, describe(error)


def describe(error: Exception) -> str:
    """Why a step failed, in words."""
    return str(error) if isinstance(error, Refused) else (getattr(error, "strerror", None) or str(error)).lower()


def undo(journal: Journal, progress: Progress) -> Outcome:
    """Take back all steps of a journal. When all is as it was, the folders that were made go, and so does the journal.

    A unit of which one file must stay where it is stays whole. What was made beside the photos since comes along; where it
    cannot, they stay together. Raises UsageError where another process works by the journal, DataError where it cannot be
    opened.
    """
    refused: dict[str, str] = {}
    done = 0
    with open_journal(journal) as writer:
        strays = find_strays(journal)
        for unit in reversed(journal.units):
            own = strays.get(journal.steps[unit[0]].unit, {})
            why = dict(refuse_unit(journal, unit)) or dict(take_along(journal.action, own))
            if not why:
                why = dict(undo_steps(writer, unit))
                done += len(own) + len(unit) - len(why)
            refused |= why
            progress(len(unit))
        for folder in {os.path.dirname(path) for step in journal.steps for path in (step.source, step.target)}:  # noqa: PTH120
            flush_folder(folder)
        if not refused:
            journal.path.unlink()
        remove_folders(journal.folders)
    return Outcome(done, refused)


def refuse_part(journal: Journal, number: int) -> None:
    """As `refuse_parting`, of what has not gone already. Raises Refused and OSError."""
    if number not in journal.removed:
        refuse_parting(journal.action, journal.steps[number], journal.made[number])


def refuse_unit(journal: Journal, unit: list[int]) -> Iterator[tuple[str, str]]:
    """The files of a unit for which it has to stay where it is, and why."""
    for number in unit:
        try:
            refuse_part(journal, number)
        except (Refused, OSError) as error:
            yield journal.steps[number].source, describe(error)


def remove_folders(folders: list[str]) -> None:
    """Remove folders that were made, inner ones first."""
    for folder in reversed(folders):
        with suppress(OSError):  # there is something else in it by now
            Path(folder).rmdir()
