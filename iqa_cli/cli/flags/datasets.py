"""Options of `iqa datasets compare`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from iqa_cli.cli.flags.shared import DATA, MODEL, OUTPUT, DataRoot
from iqa_cli.options import DEFAULT_MODEL, EvaluateOptions

LIMIT = 1000  # images: their vector has a cosine of about .99 with that of as many others


@dataclass(frozen=True)
class ComparisonFlags:
    """Where sets are, and how they are compared."""

    data_root: DataRoot = None
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="Whose features: an installed model, or a path of one.", rich_help_panel=MODEL),
    ] = DEFAULT_MODEL
    limit: Annotated[
        int, typer.Option(min=20, metavar="N", help="At most N images of a set, drawn by the seed.", rich_help_panel=DATA)
    ] = LIMIT
    seed: Annotated[int, typer.Option(min=0, help="Of images and intervals.", rich_help_panel=DATA)] = EvaluateOptions.seed
    rounds: Annotated[int, typer.Option(min=1, help="Draws of the bootstrap, for the intervals.", rich_help_panel=DATA)] = (
        EvaluateOptions.rounds
    )
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no hints.", rich_help_panel=OUTPUT)] = False
