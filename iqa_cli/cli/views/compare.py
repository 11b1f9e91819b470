"""Progress and table of a comparison of rated sets."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import isnan

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from iqa_cli.cli.views.terminal import Row, open_console, print_notes, print_rows, show
from iqa_cli.evaluation.transfer.compatibility import SOURCE, Compatibility
from iqa_cli.evaluation.transfer.compatibility import Progress as Extracted


class ComparisonView:
    """Progress on stderr, the table on stdout. done: the comparisons so far."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.done: list[Compatibility] = []
        self.task: TaskID | None = None
        console = open_console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True)

    @property
    def failed(self) -> bool:
        """Whether some image could not be decoded."""
        return any(each.failed or each.target_failed for each in self.done)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Show progress while the block lasts."""
        with self.progress:
            yield

    def show(self, event: Extracted | Compatibility) -> None:
        """Move the bar on, or keep a comparison."""
        if isinstance(event, Compatibility):
            self.done.append(event)
        elif self.task is None or event.done == 1:
            self.task = self.progress.add_task(show(event.dataset), total=event.images, completed=event.done)
        else:
            self.progress.update(self.task, completed=event.done)

    def print(self) -> None:
        """Print a row a comparison: a table at a terminal, else CSV."""
        print_rows([describe(each) for each in self.done])
        if sys.stdout.isatty():
            ceiling = "halves: what as many other images of A's study would have, from halves of A; more is chance."
            lines = (ceiling, f"The idea: {SOURCE}.")
            for line in lines:
                open_console(stderr=False).print(Text(line, style="dim"))
        failed = {each.target: each.target_failed for each in self.done} | {each.source: each.failed for each in self.done}
        for name, count in {} if self.quiet else failed.items():
            if count:
                print_notes([f"{name}: {count} images could not be decoded, and have no part in this"])


def describe(each: Compatibility) -> Row:
    """A comparison in a row."""
    figures = {"cosine": each.cosine, "low": each.low, "high": each.high, "halves": each.ceiling}
    row = {"A": each.target, "B": each.source, "images_A": str(each.target_images), "images_B": str(each.images)}
    shown = {name: "" if isnan(value) else f"{value:.3f}" for name, value in figures.items()}
    return row | shown | {"note": each.warning}
