"""What `iqa pick` shows: suggestions on stdout, what is done with them on stderr."""

from __future__ import annotations

import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from iqa_cli.cli.views.terminal import open_console, print_apart, shorten, show
from iqa_cli.culling.picking.steps import Action
from iqa_cli.culling.picking.suggestions import Advice, Suggestion
from iqa_cli.files.atomic import open_stdout
from iqa_cli.records import GROUP_COLUMNS
from iqa_cli.scoring.writers import encode_csv, format_record, list_columns

if TYPE_CHECKING:
    from iqa_cli.culling.picking.journal import Journal
    from iqa_cli.culling.picking.plan import Plan
    from iqa_cli.culling.picking.transfer import Outcome

STYLES = {Advice.PICK: "bold green", Advice.ALTERNATE: "", Advice.REJECT: "yellow"}
TITLES = ("Score", "Suggestion", "Image", "Reason")
WIDTHS = (6, 16)  # characters of the score and of the suggestion
NARROWEST, GAPS = 20, 6  # characters of a path beside anything else, and between the columns
SHORTEST = 10  # characters of a reason beside anything else
SHOWN = 20  # files that stay where they were, of which the reason is told
DONE = {Action.COPY: "copied", Action.MOVE: "moved", Action.LINK: "linked"}
COLUMNS = ("path", "suggestion", "reason", "score", *GROUP_COLUMNS, "target")


def print_paths(paths: Iterable[str], *, null: bool) -> None:
    """Paths on stdout, one a line, or each with a NUL."""
    stdout = open_stdout()
    for path in paths:
        stdout.write(os.fsencode(path) + (b"\0" if null else b"\n"))


# ---- suggestions ----


def print_suggestions(suggestions: Sequence[Suggestion], plan: Plan | None) -> None:
    """A line a photo: a table at a terminal, else CSV."""
    if sys.stdout.isatty():
        print_table(suggestions)
        return
    targets = {photo: steps[0].target for photo, steps in plan.units.items()} if plan else {}
    stdout = open_stdout()
    stdout.write(encode_csv(COLUMNS))
    for suggestion in suggestions:
        stdout.write(encode_csv(describe_suggestion(suggestion, targets).values()))


def describe_suggestion(suggestion: Suggestion, targets: Mapping[str, str]) -> dict[str, str]:
    """A suggestion as text, in the order of COLUMNS."""
    record, advice, reason = suggestion
    values = format_record(record, list_columns(groups=True))
    own = {"path": record.path, "suggestion": advice or "", "reason": reason, "target": targets.get(record.path, "")}
    return {name: own.get(name, values.get(name, "")) for name in COLUMNS}


def print_table(suggestions: Sequence[Suggestion]) -> None:
    """A table whose paths take half of what the line has left, and their reasons the rest; or, in a narrow line, lines."""
    console = open_console(stderr=False)
    room = console.width - sum(WIDTHS) - GAPS
    path_width = max(NARROWEST, min(room // 2, max((len(show(each.record.path)) for each in suggestions), default=0)))
    if room < NARROWEST + SHORTEST:
        for score, advice, *rest in (format_row(suggestion, console.width) for suggestion in suggestions):
            print_apart(console, zip(TITLES[:2] if score else ("", ""), (score, advice), strict=True), filter(None, rest))
        return
    rows = [[Text(title, "bold") for title in TITLES], *(format_row(suggestion, path_width) for suggestion in suggestions)]
    for row in rows:
        line = Table.grid(padding=(0, 2, 0, 0))
        line.add_column(width=WIDTHS[0], justify="right")
        line.add_column(width=WIDTHS[1])
        line.add_column(width=path_width, overflow="fold")
        line.add_column(overflow="fold")
        line.add_row(*row)
        console.print(line)


def format_row(suggestion: Suggestion, path_width: int) -> list[Text]:
    """A line of the table."""
    record, advice, reason = suggestion
    path = Text(shorten(show(record.path), path_width))
    if advice is None:
        return [Text(), Text(f" {record.status} ", "bold reverse red"), path, Text(show(reason), "red")]
    return [Text(format_record(record)["score"]), Text(advice, STYLES[advice]), path, Text(show(reason), "dim")]


def print_summary(suggestions: Sequence[Suggestion], plan: Plan | None, *, apply: bool) -> None:
    """How many are suggested what, and what would be done, on stderr."""
    console = open_console(stderr=True)
    counts = Counter(suggestion.advice for suggestion in suggestions)
    parts = [
        f"{counts[advice]:,} {name}{'' if counts[advice] == 1 else 's'}" for advice, name in zip(Advice, Advice, strict=True)
    ]
    parts += [f"{counts[None]:,} without a score"] if counts[None] else []
    console.print(", ".join(parts), soft_wrap=True)
    if plan is not None and not apply:
        verb = "link to" if plan.action is Action.LINK else plan.action
        size = "" if plan.action is Action.LINK else f", {format_size(plan.size)}"
        files = f"{count(len(plan.steps), 'file')}{size}"
        photos = count(len(plan.units), "photo")
        console.print(f"would {verb} {photos} with what belongs to them ({files}): {show(str(plan.folder))}", soft_wrap=True)
        console.print("nothing is done yet: add --apply", style="bold", soft_wrap=True)


def count(number: int, noun: str) -> str:
    """So many of something."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_size(size: int) -> str:
    """Bytes as people read them."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def print_refused(refused: Mapping[str, str]) -> None:
    """What stays where it is, and why, on stderr."""
    console = open_console(stderr=True)
    for path, why in islice(refused.items(), SHOWN):
        console.print(f"iqa: warning: {show(path)} stays: {show(why)}", style="yellow", soft_wrap=True)
    if len(refused) > SHOWN:
        console.print(f"iqa: warning: and {len(refused) - SHOWN:,} others stay", style="yellow", soft_wrap=True)


# ---- transfers ----


@contextmanager
def follow_transfer(journal: Journal, *, quiet: bool, back: bool = False) -> Iterator[Callable[[int], None]]:
    """Show a transfer while the block lasts; if it is cut short, say how it goes on. back: it is being undone."""
    console = open_console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("files"), TimeRemainingColumn())
    hidden = quiet or not sys.stderr.isatty()
    with Progress(*columns, console=console, transient=True, disable=hidden, redirect_stdout=False) as progress:
        task = progress.add_task("", total=len(journal.steps))
        try:
            yield lambda count: progress.advance(task, count)
        except (KeyboardInterrupt, SystemExit):
            progress.stop()
            again = "" if back else "call it again to go on, or take it back: "
            console.print(f"iqa: interrupted: {again}{name_undo(journal)}", style="yellow", soft_wrap=True)
            raise


def name_undo(journal: Journal) -> str:
    """The command that takes a transfer back."""
    return f"iqa pick --undo {shlex.quote(show(str(journal.path)))}"


def print_outcome(journal: Journal, outcome: Outcome, *, quiet: bool) -> None:
    """What came of a transfer, on stderr."""
    print_refused(outcome.refused)
    if not quiet:
        console = open_console(stderr=True)
        console.print(
            f"{DONE[journal.action]} {count(outcome.done, 'file')} to {show(str(journal.path.parent))}",
            style="bold",
            soft_wrap=True,
        )
        console.print(f"to take it back: {name_undo(journal)}", soft_wrap=True)


def print_undone(journal: Journal, outcome: Outcome, *, quiet: bool) -> None:
    """What came of taking a transfer back, on stderr."""
    print_refused(outcome.refused)
    console = open_console(stderr=True)
    if not quiet and not outcome.refused:
        console.print(f"{count(outcome.done, 'file')} taken back", style="bold", soft_wrap=True)
    elif outcome.refused:
        console.print(f"{show(str(journal.path))} is kept: undo again once that is mended", style="yellow", soft_wrap=True)
