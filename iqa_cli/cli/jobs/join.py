"""`iqa join`: options, one core call, exit code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from iqa_cli.cli import interrupts
from iqa_cli.cli.flags.filter import ScoresFile
from iqa_cli.cli.flags.shared import OUTPUT, Force, parse_output, parse_path, spread
from iqa_cli.files.outputs import Output, check_outputs

EXIT_CODES = "Exit codes: 0 it is done, be it that no row has a score, 2 usage, 4 files."


@dataclass(frozen=True)
class JoinFlags:
    """What is joined to what, and by which columns."""

    scores: ScoresFile
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", parser=parse_path, help="A table of your own: CSV, JSON Lines or Parquet.")
    ]
    on: Annotated[str, typer.Option(metavar="COLUMN", help="The column of TABLE that says which image a row is about.")]
    output: Annotated[
        Path,
        typer.Option(
            metavar="FILE", parser=parse_output, help="Where the new table goes; - is stdout.", rich_help_panel=OUTPUT
        ),
    ]
    by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help=r"The same in SCORES.  \[default: path; where TABLE has key or __key__, key]"),
    ] = None
    prefix: Annotated[str, typer.Option(metavar="TEXT", help="How the new columns begin.", rich_help_panel=OUTPUT)] = "iqa_"
    force: Force = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No summary; errors stay.", rich_help_panel=OUTPUT)] = False


@spread
def join(*, flags: JoinFlags) -> None:
    """Add scores to the rows of a table by a key, in a new table of the same format.

    All rows and columns stay, in their order; a row whose image is not in SCORES has empty cells.

    $ iqa join scores.parquet captions.parquet --on __key__ --output scored.parquet

    $ iqa join scores.csv photos.csv --on file --output scored.csv
    """
    from iqa_cli.cli.views import terminal
    from iqa_cli.filtering.joining import Match, join_scores
    from iqa_cli.filtering.scores import describe_end

    output = Output(flags.output, "--output", "a joined table", None)
    check_outputs([output], [flags.scores, flags.table], force=flags.force)
    with interrupts.raised():
        joined = join_scores(flags.scores, flags.table, Match(flags.on, flags.by, flags.prefix), flags.output)
    if flags.quiet:
        return
    terminal.print_notes([f"{joined.rows - joined.without:,} of {joined.rows:,} rows have their image in the scores"])
    if joined.unused:
        terminal.print_notes([f"{len(joined.unused):,} images of the scores are in no row, as {min(joined.unused)}"])
    terminal.print_notes(f"iqa: warning: {note}" for note in describe_end(flags.scores))
