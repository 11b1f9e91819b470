"""What a person at a terminal sees: progress, summary and errors on stderr, tables on stdout. Only `cli` imports this."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len, set_cell_size
from rich.console import Console, JustifyMethod
from rich.live import Live
from rich.table import Table
from rich.text import Text

from iqa_cli.cli.views.kept import Kept
from iqa_cli.errors import IqaError
from iqa_cli.files.atomic import STDOUT, open_stdout
from iqa_cli.options import FILE_KINDS
from iqa_cli.records import COLUMNS, DETAIL_COLUMNS, GROUP_COLUMNS, GroupPlace, ScoreRecord, Status
from iqa_cli.scoring.writers import Columns, encode_csv, format_record

if TYPE_CHECKING:  # an error message need not wait for the network's libraries
    from iqa_cli.models.card import ModelCard
    from iqa_cli.scoring.tally import Tally

BAR = 10  # characters of the bar beside a percentile
GAP = 2  # characters between columns
GROUP = 17  # characters of a place in a group
LEAST = 8  # characters of a column, with what is between, below which words come to pieces
ROOMY = 72  # characters a line from which there is room for a bar
SHORTEST = 16  # characters of a path beside anything else; where there is less room, it has a line of its own
SHOWN_DATASET = "livec"  # of a card's results: the one that most papers report
Column = tuple[str, int, JustifyMethod]  # title, characters, side
Row = Mapping[str, str]  # column -> what stands there


def open_console(*, stderr: bool) -> Console:
    """A console that prints text as it is: no markup, no colours for what looks like a number."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def show(text: str) -> str:
    r"""The text as a terminal may see it: control characters and undecodable bytes, which file names can hold, as \x1b."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def print_error(error: str) -> None:
    """One red line, or a few, on stderr."""
    text = "\n".join(map(show, error.splitlines()))
    open_console(stderr=True).print(f"iqa: error: {text}", style="red", soft_wrap=True)


def print_note(text: str) -> None:
    """One line on stderr, about what was done."""
    open_console(stderr=True).print(show(text), soft_wrap=True)


def print_line(text: str) -> None:
    """One line on stdout."""
    open_console(stderr=False).print(show(text), soft_wrap=True)


def print_notes(lines: Iterable[str]) -> None:
    """Lines on stderr."""
    console = open_console(stderr=True)
    for line in lines:
        console.print(show(line), soft_wrap=True)


def print_warnings(lines: Iterable[str]) -> None:
    """Yellow lines on stderr, about what went wrong that ends nothing."""
    console = open_console(stderr=True)
    for line in lines:
        console.print(f"iqa: warning: {show(line)}", style="yellow", soft_wrap=True)


# ---- while it runs ----


@contextmanager
def follow(
    tally: Tally, files: Sequence[Path | str], *, quiet: bool, count: Callable[[], int] | None, held: bool = False
) -> Iterator[Callable[[], None]]:
    """Show a run while the block lasts and sum it up at its end; if it is cut short, say what is kept.

    files: where records go, URLs among them, none or STDOUT for stdout. count: finds out how many images there will be, in a
    thread of its own; None where that cannot be known beforehand. held: nothing is written before the end; what the block is
    given ends the progress, so that it can be.
    """
    console, kept = open_console(stderr=True), Kept(files)
    shown = not files or STDOUT in files
    table_grows = shown and not held and sys.stdout.isatty()  # which is progress enough, and would tear a bar to pieces
    try:
        if quiet or table_grows or not sys.stderr.isatty():
            yield lambda: None
        else:
            from iqa_cli.cli.views.progress import Progress  # which uses this module

            draw = Progress(tally, count).render
            live = Live(console=console, get_renderable=draw, transient=True, redirect_stdout=False, redirect_stderr=False)
            with live:  # which leaves stdout to the records
                yield live.stop
    except (KeyboardInterrupt, SystemExit, IqaError) as error:
        if said := kept.describe(tally, error):
            console.print(f"iqa: {show(said)}", style="yellow", soft_wrap=True)
        raise
    if not quiet:
        for line in summarise(tally):
            console.print(line, soft_wrap=True)
        print_warnings(tally.notes)
    print_warnings(tally.list_warnings())


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Say at a terminal what the block does while it lasts; nothing for an empty text, and elsewhere."""
    if text and sys.stderr.isatty():
        with open_console(stderr=True).status(text):
            yield
    else:
        yield


def summarise(tally: Tally) -> Iterator[str]:
    """What came of a run, in one to four lines."""
    seconds = monotonic() - tally.started
    images = "image" if tally.recorded == 1 else "images"
    yield (
        f"scored {tally.statuses[Status.OK]:,} of {tally.recorded:,} {images} in {seconds:.1f} s"
        f" ({tally.recorded / seconds:.1f} images/s)" + (f", {tally.reused:,} from {tally.source}" if tally.reused else "")
    )
    failed = [f"{number:,} {status}" for status, number in tally.statuses.most_common() if status is not Status.OK]
    if failed:
        yield f"failed: {', '.join(failed)}"
    if tally.reasons:
        yield "reasons: " + ", ".join(f"{number:,} {code}" for code, number in tally.reasons.most_common())
    if tally.left_out:
        yield tally.describe_left_out()


# ---- tables on stdout ----


class TableSink:
    """Records as a table that grows line by line, for reading at a terminal. A path takes one line, shortened where it must.

    Below it, where something is wrong with the photo, stands what. A terminal too narrow for columns has the path below them.
    """

    def __init__(self, columns: Columns = COLUMNS, *, header: bool = True) -> None:
        self.console = open_console(stderr=False)
        self.grouped = {*GROUP_COLUMNS} <= {*columns}
        self.detailed = {*DETAIL_COLUMNS} <= {*columns}
        self.header = header

    def write(self, record: ScoreRecord) -> None:
        """One line, or two for an image that failed; before the first, the header."""
        columns = [*self._list_columns()]
        indent = sum(width + GAP for _, width, _ in columns)
        narrow = indent + SHORTEST > self.console.width
        if self.header and not narrow:
            self._print(columns, [Text(title, style="bold") for title, _, _ in columns], Text("Image", style="bold"))
        self.header = False
        path = shorten(show(record.path), self.console.width - (0 if narrow else indent))
        if record.status is Status.OK:
            wrong = ", ".join(reason.code.replace("_", " ") for reason in record.reasons or ())
            values = self._show_values(record, bar=("", BAR, "left") in columns)
            image = Text.assemble(path, *((("\n", (wrong, "yellow"))) if wrong else ()))
        else:
            columns, values = [("", indent - GAP, "left")], [Text.assemble(" ", (f" {record.status} ", "bold reverse red"))]
            image = Text.assemble((path, "bold red"), "\n", (show(record.detail), "red"))
        if narrow:
            print_apart(self.console, zip([title for title, _, _ in columns], values, strict=True), [image])
        else:
            self._print(columns, values, image)

    def _list_columns(self) -> Iterator[Column]:
        """Those before the path: numbers, perhaps a bar, and what else the run may have."""
        others: list[Column] = [("Detail", 6, "right"), ("Real MP", 7, "right")] if self.detailed else []
        others += [("Group", GROUP, "left")] if self.grouped else []
        yield from (("Score", 6, "right"), ("±", 4, "right"), ("Percentile", 10, "right"))
        if self.console.width >= ROOMY + sum(width + GAP for _, width, _ in others):
            yield "", BAR, "left"
        yield from others

    def _show_values(self, record: ScoreRecord, *, bar: bool) -> list[Text]:
        """What stands in the columns."""
        values = format_record(record, COLUMNS + DETAIL_COLUMNS)
        shown = [Text(values["score"]), Text(values["uncertainty"], style="dim"), Text(values["percentile"])]
        shown += [Text("━" * round((record.percentile or 0) / 100 * BAR), style="cyan")] if bar else []
        shown += [Text(values[name]) for name in DETAIL_COLUMNS] if self.detailed else []
        return shown + ([show_place(record.place)] if self.grouped else [])

    def _print(self, columns: Sequence[Column], values: Sequence[Text], image: Text) -> None:
        """A line of the table."""
        line = Table.grid(padding=(0, GAP, 0, 0))
        for _, width, side in columns:
            line.add_column(width=width, justify=side)
        line.add_column(overflow="fold")
        line.add_row(*values, image)
        self.console.print(line)


def print_apart(console: Console, values: Iterable[tuple[str, Text]], below: Iterable[Text]) -> None:
    """What a table has in a line, where columns have no room: values behind their titles, and each of the others below."""
    titled = (Text.assemble((title and f"{title} ", "dim"), value) for title, value in values if value)
    console.print(Text(" " * GAP).join(titled))
    for text in below:
        console.print(text, overflow="fold")


def show_place(place: GroupPlace | None) -> Text:
    """A place in a group: the best stands out, what is kept whole has no rank."""
    if place is None:
        return Text()
    if place.rank is None:
        return Text(f"{place.kind} of {place.size}", style="cyan")
    return Text(f"{place.kind} {place.rank}/{place.size}", style="bold green" if place.best else "dim")


def shorten(text: str, width: int) -> str:
    """The text in so many columns of a terminal, its middle left out: beginnings tell folders apart, ends tell files apart."""
    if cell_len(text) <= width:
        return text
    width = max(width, 1)
    first, last = width // 3, width - width // 3 - 1
    end = text[-last:]
    while cell_len(end) > last:  # letters of two columns
        end = end[1:]
    return f"{set_cell_size(text, first).rstrip()}…{end}"


def print_rows(rows: Sequence[Row]) -> None:
    """Rows of the same columns, at least one: a table if stdout is a terminal, a line a cell if it is narrow, else CSV."""
    if not sys.stdout.isatty():
        open_stdout().write(b"".join(map(encode_csv, [list(rows[0]), *(list(row.values()) for row in rows)])))
        return
    if has_no_room(len(rows[0])):
        for row in rows:
            print_pairs([*row.items(), ("", "")])
        return
    table = Table(*rows[0].keys(), box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(Text(show(value), overflow="fold") for value in row.values()))
    open_console(stderr=False).print(table)


def has_no_room(columns: int) -> bool:
    """Whether a terminal is too narrow for so many columns."""
    return open_console(stderr=False).width < columns * LEAST


def print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Print names and texts side by side at a terminal, else `name: text` a line."""
    console = open_console(stderr=False)
    if not sys.stdout.isatty():
        for name, text in pairs:
            console.print(Text(show(f"{name}: {text}")), soft_wrap=True)
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in pairs:
        table.add_row(name, Text(show(text)))
    console.print(table)


def print_models(cards: Iterable[ModelCard], folder: Path) -> None:
    """The models in a folder, at least one, as `print_rows` does."""
    print_rows([describe_card(card, folder) for card in cards])


def describe_card(card: ModelCard, folder: Path) -> Row:
    """A model in a row: what runs it here, how large its files are, what was measured on LIVE-C."""
    there = {backend: card.files[kind] for backend, kind in FILE_KINDS.items() if kind in card.files}
    there = {backend: file for backend, file in there.items() if (folder / file.name).is_file()}
    figures = next((result for result in card.results if result.get("dataset") == SHOWN_DATASET), {})
    return {
        "model": card.name,
        "backends": " ".join(there),
        "size": " ".join(f"{file.bytes / 1e6:.1f} MB" for file in there.values()),
        "LIVE-C SRCC": show_median(figures.get("srcc")),
        "LIVE-C PLCC": show_median(figures.get("plcc")),
        "licence": card.licence,
        "summary": card.summary,
    }


def show_median(figures: Mapping[str, float] | None) -> str:
    """The median of a correlation over splits, as papers print it, or the value on the only one; empty where there is none."""
    value = (figures or {}).get("median", (figures or {}).get("value"))
    return "" if value is None else f"{value:.3f}"
