"""Options of `iqa watch`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from iqa_cli.cli.flags.shared import OUTPUT, parse_output

ARRIVAL = "Arrival"  # a panel of the help


@dataclass(frozen=True)
class WatchFlags:
    """Which folder is watched, and where records go."""

    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where photos arrive; folders in it count, too.")]
    jsonl: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            parser=parse_output,
            help="Add JSON Lines to FILE, an object a photo; - is stdout.",
            rich_help_panel=OUTPUT,
        ),
    ]
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No table and no summary; errors stay.", rich_help_panel=OUTPUT)
    ] = False
    settle: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0.1,
            max=3600,
            help="A photo is complete that has not changed for so long.",
            rich_help_panel=ARRIVAL,
        ),
    ] = 1.0
    poll: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0.2,
            max=86_400,
            help="Look through the folder this often, too: over a network nothing says that photos have come.",
            rich_help_panel=ARRIVAL,
        ),
    ] = 60.0
