"""What `iqa explain` shows: a page a photo."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from iqa_cli.cli.views.terminal import open_console, show
from iqa_cli.explain.reasons import KINDS
from iqa_cli.records import ScoreRecord, Status
from iqa_cli.scoring.writers import format_record

if TYPE_CHECKING:
    from iqa_cli.scoring.explaining import Explanation

BAR = 30  # characters
WIDEST = 100  # characters of a line
ROWS, COLUMNS = ("upper", "middle", "lower"), ("left", "center", "right")
LEAST = 2.0  # points below the average from which a part is worth a word


def print_page(found: Explanation, picture: Path | None) -> None:
    """All there is to say of one photo. picture: where its picture is."""
    console, record = open_console(stderr=False), found.record
    console.print(Text(show(record.path), style="bold"), soft_wrap=True)
    if record.status is not Status.OK:
        console.print(Text.assemble("  ", (f" {record.status} ", "reverse red"), f" {show(record.detail)}"), soft_wrap=True)
        console.print()
        return
    width = min(console.width, WIDEST)
    console.print(Padding(make_figures(found), (0, 0, 1, 2)), width=width)
    console.print(Padding(make_reasons(found), (0, 0, 1, 2)), width=width)
    if picture is not None:
        console.print(f"  Picture: {show(str(picture))}", soft_wrap=True)
        console.print()


def make_figures(found: Explanation) -> Table:
    """Score, percentile, size, and where quality is lost."""
    record = found.record
    values = format_record(record)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    filled = round((record.score or 0) / 100 * BAR)
    bar = Text.assemble(("━" * filled, "cyan"), ("─" * (BAR - filled), "bright_black"))
    spread = f" ± {values['uncertainty']}" if values["uncertainty"] else ""
    table.add_row("Score", Text.assemble((values["score"], "bold"), f"{spread} of 100  ", bar))
    if values["percentile"]:
        meaning = f"; the score is {show(found.scale)}" if found.scale else ""
        table.add_row("Percentile", f"{values['percentile']}: so many in 100 training photos were rated no higher{meaning}")
    table.add_row(
        "Size", f"{record.width} x {record.height} px, {(record.width or 0) * (record.height or 0) / 1e6:.1f} megapixels"
    )
    if found.detail is not None:
        detail = found.detail
        interval = f"{format_megapixels(detail.effective_low)} to {format_megapixels(detail.effective_high)}"
        held = format_megapixels(detail.effective_mp)
        table.add_row("Detail", f"{detail.detail:.0f} of 100: as much as {held} megapixels hold ({interval})")
    table.add_row("Weakest", name_weakest(found) or "not known: the network gives no number for parts of it")
    return table


def format_megapixels(value: float) -> str:
    """Megapixels with two digits, those before the point always."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def make_reasons(found: Explanation) -> Table | Text:
    """What is wrong, with what was measured, and what to do about it."""
    if not found.reasons:
        return Text("Nothing is wrong that is measured here.", style="green")
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold yellow", no_wrap=True)
    table.add_column(overflow="fold")
    for reason in found.reasons:
        kind = KINDS[reason.code]
        limit = "at most" if reason.value > reason.threshold else "at least"
        numbers = f"{reason.measurement.replace('_', ' ')} {reason.value:.3g}, {limit} {reason.threshold:g} is fine"
        table.add_row(reason.code, Text.assemble(kind.sentence, (f" ({numbers})", "dim"), "\n", ("→ ", "cyan"), kind.advice))
    return table


def name_weakest(found: Explanation) -> str:
    """Where in the photo its parts score lowest, in words; empty where that is not known."""
    if found.map is None:
        return ""
    rows, columns = found.map.shape
    thirds = {
        f"{row} {column}" if (row, column) != ("middle", "center") else "center": float(
            found.map[
                i * rows // 3 : max(i * rows // 3 + 1, (i + 1) * rows // 3),
                j * columns // 3 : max(j * columns // 3 + 1, (j + 1) * columns // 3),
            ].mean()
        )
        for i, row in enumerate(ROWS)
        for j, column in enumerate(COLUMNS)
    }
    known = {place: points for place, points in thirds.items() if isfinite(points)}
    if not known:
        return ""
    place, points = min(known.items(), key=lambda item: item[1])
    if points > -LEAST:
        return "no part: they score much alike"
    return f"the {place}, which scores {-points:.0f} points lower than the average part"


def show_score(record: ScoreRecord) -> str:
    """The score in a line."""
    values = format_record(record)
    spread = f" ± {values['uncertainty']}" if values["uncertainty"] else ""
    detail = "" if record.native is None else f", detail {record.native.detail:.0f}"
    percentile = f", percentile {values['percentile']}" if values["percentile"] else ""
    return f"Score {values['score']}{spread}{percentile}{detail}, {record.width} x {record.height} px"


def name_reasons(found: Explanation) -> str:
    """The reasons in a line."""
    return " ".join(KINDS[reason.code].sentence for reason in found.reasons) or "Nothing is wrong that is measured here."
