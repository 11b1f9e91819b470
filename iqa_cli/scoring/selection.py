"""Which records are written, and in what order. A record without a score is never left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

from iqa_cli.errors import UsageError
from iqa_cli.records import ScoreRecord
from iqa_cli.scoring.writers import DECIMALS, Sink

SPARE = 10_000  # scores that are held beyond those asked for, before the others are let go


class Order(StrEnum):
    """What records are sorted by; a minus: the best first."""

    SCORE = "score"
    BEST = "-score"
    PATH = "path"


@dataclass(frozen=True)
class Selection:
    """Scores are compared as they are shown. Raises UsageError for limits that leave nothing.

    order: None: that of the paths; of the highest or lowest ones, these first. top, bottom: how many of the highest and of the
    lowest scores; None: all. lowest, highest: limits of the score, both included. fail_under: scores below it are counted.
    """

    order: Order | None = None
    top: int | None = None
    bottom: int | None = None
    lowest: float | None = None
    highest: float | None = None
    fail_under: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("min", self.lowest), ("max", self.highest), ("fail-under", self.fail_under)):
            if value is not None and not isfinite(value):
                raise UsageError(f"--{name} is a score, not {value:g}")
        if self.lowest is not None and self.highest is not None and self.lowest > self.highest:
            raise UsageError(f"no score is at least {self.lowest:g} and at most {self.highest:g}: exchange --min and --max")

    @property
    def waits(self) -> bool:
        """Whether nothing can be written before the last record is there."""
        return self.order is not None or self.limit is not None

    @property
    def limit(self) -> int | None:
        """How many scores are written at most; None: any number."""
        return None if self.top is None and self.bottom is None else (self.top or 0) + (self.bottom or 0)

    def admits(self, record: ScoreRecord) -> bool:
        """Whether its score is within the limits; that of a failure is."""
        score = show_score(record)
        above = self.lowest is None or score is None or score >= self.lowest
        return above and (self.highest is None or score is None or score <= self.highest)

    def fails(self, record: ScoreRecord) -> bool:
        """Whether its score is below `fail_under`."""
        score = show_score(record)
        return self.fail_under is not None and score is not None and score < self.fail_under

    def choose(self, scored: Sequence[ScoreRecord]) -> list[ScoreRecord]:
        """The highest and the lowest of these scores, as they came; equal ones count in that order, too."""
        if self.limit is None:
            return list(scored)
        lowest = sorted(scored, key=rank)
        best = sorted(scored, key=lambda record: -rank(record))[: self.top or 0]
        chosen = {id(record) for record in (*best, *lowest[: self.bottom or 0])}
        return [record for record in scored if id(record) in chosen]

    def sort(self, records: Sequence[ScoreRecord]) -> list[ScoreRecord]:
        """In the order asked for; by scores, failures come last."""
        order = self.order or (Order.SCORE if self.top is None else Order.BEST)
        if order is Order.PATH:
            return sorted(records, key=lambda record: os.fsencode(record.path))
        sign = 1 if order is Order.SCORE else -1
        return sorted(records, key=lambda record: (record.score is None, sign * rank(record)))


def show_score(record: ScoreRecord) -> float | None:
    """Its score, rounded as every output has it."""
    return None if record.score is None else round(record.score, DECIMALS["score"])


def rank(record: ScoreRecord) -> float:
    """Its score, to sort by; 0 for a failure."""
    return record.score or 0.0


class SelectingSink:
    """Passes on what is selected, at once where it may; failing: how many scores were below `Selection.fail_under`."""

    def __init__(self, selection: Selection, sink: Sink) -> None:
        self.selection, self.sink = selection, sink
        self.held: list[ScoreRecord] = []
        self.failures: list[ScoreRecord] = []  # held apart: none is let go, however many others are
        self.failing = 0

    @property
    def holds(self) -> bool:
        """Whether there is something to pass on at the end."""
        return bool(self.held or self.failures)

    def write(self, record: ScoreRecord) -> None:
        """Pass it on, hold it, or leave it out. Raises as the sink does."""
        self.failing += self.selection.fails(record)
        if not self.selection.admits(record):
            return
        if not self.selection.waits:
            self.sink.write(record)
            return
        if record.score is None:
            self.failures.append(record)
            return
        self.held.append(record)
        if self.selection.limit is not None and len(self.held) >= 2 * self.selection.limit + SPARE:
            self.held = self.selection.choose(self.held)

    def finish(self) -> None:
        """Pass on all that is held."""
        held, self.held, self.failures = [*self.selection.choose(self.held), *self.failures], [], []
        for record in self.selection.sort(held):
            self.sink.write(record)


@contextmanager
def selecting(selection: Selection, sink: Sink, before: Callable[[], None]) -> Iterator[SelectingSink]:
    """A sink before another; what it holds is passed on when the block ends, however it ends. before: is called first."""
    chosen = SelectingSink(selection, sink)
    try:
        yield chosen
    finally:
        if chosen.holds:
            before()
            chosen.finish()
