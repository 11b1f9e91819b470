"""Options of `iqa filter` in groups, and what they make."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from iqa_cli.cli.flags.shared import OUTPUT, STREAM, Force, parse_output, parse_path
from iqa_cli.errors import UsageError
from iqa_cli.filtering.choice import Limits

LIMITS = "What stays"  # a panel of the help

ScoresFile = Annotated[
    Path,
    typer.Argument(
        metavar="SCORES",
        parser=parse_path,
        help="What iqa score wrote: CSV, JSON Lines, Parquet, or a folder filled by --output.",
    ),
]


@dataclass(frozen=True)
class LimitFlags:
    """Which images stay; all that is given counts."""

    scores: ScoresFile
    lowest: Annotated[float | None, typer.Option("--min", metavar="S", help="Scores of S or more.", rich_help_panel=LIMITS)] = (
        None
    )
    percentile: Annotated[float | None, typer.Option(metavar="P", help="Percentiles of P or more.", rich_help_panel=LIMITS)] = (
        None
    )
    keep_fraction: Annotated[
        float | None,
        typer.Option(metavar="F", help="The best: .8 are four fifths of all that have a score.", rich_help_panel=LIMITS),
    ] = None
    per_class: Annotated[
        bool, typer.Option("--per-class", help="The best of each folder, at least one.", rich_help_panel=LIMITS)
    ] = False
    class_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="The best of each value in a column of SCORES.", rich_help_panel=LIMITS)
    ] = None

    def gather(self) -> Limits:
        """The limits. Raises UsageError where they make no sense."""
        return Limits(self.lowest, self.percentile, self.keep_fraction, self.per_class, self.class_column)


@dataclass(frozen=True)
class KeepFlags:
    """What is made of the images that stay."""

    list: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", parser=parse_output, help="Write their paths, one a line; - is stdout.", rich_help_panel=OUTPUT
        ),
    ] = None
    null: Annotated[bool, typer.Option("--null", "-0", help="End each path with a NUL.", rich_help_panel=OUTPUT)] = False
    links: Annotated[
        Path | None,
        typer.Option(metavar="DIR", parser=parse_path, help="Fill a new folder with links to them.", rich_help_panel=OUTPUT),
    ] = None
    shards: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=parse_path,
            help="Fill a new folder with tars of their samples, whole.",
            rich_help_panel=OUTPUT,
        ),
    ] = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the histogram of scores, and write nothing.", rich_help_panel=OUTPUT)
    ] = False
    force: Force = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No summary; errors stay.", rich_help_panel=OUTPUT)] = False

    def find_list(self) -> Path | None:
        """Where the list goes: where that is said; to stdout without any other output; None: nowhere.

        Raises UsageError where the options do not go together.
        """
        if self.dry_run:
            return None
        if self.list is None and (self.links or self.shards):
            if self.null:
                raise UsageError("--null is about the list: add --list FILE, or leave it out")
            return None
        return self.list or STREAM
