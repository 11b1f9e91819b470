"""What a person sees on stderr while photos are scored: how far, how fast, how long still, and the worst so far."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING

from rich.console import ConsoleRenderable, Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from iqa_cli.cli.views.terminal import SHORTEST, open_console, shorten, show
from iqa_cli.records import Status
from iqa_cli.scoring.writers import format_record

if TYPE_CHECKING:
    from iqa_cli.scoring.tally import Tally

RECENT = 15.0  # seconds of which the rate is


@contextmanager
def follow_watch(folder: str, tally: Tally, *, known: int, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Say that a folder is watched, and at the end of the block, which only an exception is, what came of it.

    What the block is given prints a warning.
    """
    console = open_console(stderr=True)

    def print_notes(lines: Iterable[str]) -> None:
        for line in [] if quiet else lines:
            console.print(f"iqa: {show(line)}", soft_wrap=True)

    print_notes([f"watching {folder}, of which {known:,} photos are known; Ctrl-C ends it"])
    try:
        yield lambda text: print_notes([f"warning: {text}"])
    finally:
        failed = tally.recorded - tally.statuses[Status.OK]
        photos = "photo" if tally.recorded == 1 else "photos"
        print_notes([f"scored {tally.recorded - failed:,} of {tally.recorded:,} {photos}", *tally.notes])


class Progress:
    """Draws a tally, again and again. clock: seconds, from any beginning."""

    def __init__(self, tally: Tally, count: Callable[[], int] | None, clock: Callable[[], float] = monotonic) -> None:
        self.tally, self.clock = tally, clock
        self.total: int | None = None
        self.seen: deque[tuple[float, int]] = deque([(clock(), 0)])  # when, and how many there were: of the last seconds
        if count is not None:
            Thread(target=self._find_total, args=(count,), daemon=True).start()  # a daemon: nobody need wait for a count

    def _find_total(self, count: Callable[[], int]) -> None:
        self.total = count()

    def _measure_rate(self) -> float:
        """Images a second, of late: those of the cache are quick, and would promise too much."""
        now, recorded = self.clock(), self.tally.recorded
        if not recorded:
            self.seen = deque([(now, 0)])  # while the model is loaded
        self.seen.append((now, recorded))
        while len(self.seen) > 2 and self.seen[1][0] <= now - RECENT:
            self.seen.popleft()
        began, before = self.seen[0]
        return (recorded - before) / (now - began) if now > began else 0.0

    def render(self) -> Group:
        """How far, how many failed, how fast, how long still; and which photo is the worst so far."""
        recorded, rate = self.tally.recorded, self._measure_rate()
        failed = recorded - self.tally.statuses[Status.OK]
        line = Table.grid(padding=(0, 2))
        line.add_row(
            ProgressBar(self.total, recorded, width=30, pulse=self.total is None),
            f"{recorded:,}" + (f" of {self.total:,}" if self.total is not None else " images"),
            Text(f"{failed:,} failed", style="red") if failed else "",
            f"{rate:.1f} images/s",
            f"{show_time((self.total - recorded) / rate)} left"
            if self.total and rate
            else f"{show_time(self.clock() - self.tally.started)}",
        )
        return Group(line, *self._name_worst())

    def _name_worst(self) -> Iterator[ConsoleRenderable]:
        """The worst photo so far, in a line of its own, or in two of a narrow terminal."""
        worst = self.tally.worst
        if worst is not None:
            said = f"worst so far: {format_record(worst)['score']} "
            room = open_console(stderr=True).width - 1
            apart = room < len(said) + SHORTEST
            path = shorten(show(worst.path), room - (0 if apart else len(said)))
            yield Text.assemble(said, "\n" if apart else "", (path, "cyan"), no_wrap=True)


def show_time(seconds: float) -> str:
    """Hours, minutes and seconds: 0:01:05."""
    minutes, second = divmod(round(max(seconds, 0)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{second:02}"
