"""Options of `iqa explain` in groups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from iqa_cli.cli.flags.shared import MODEL, OUTPUT, Force, parse_output
from iqa_cli.options import ScoreOptions


@dataclass(frozen=True)
class ExplainFlags:
    """Which photos are explained, and where that goes."""

    paths: Annotated[list[str], typer.Argument(metavar="PHOTO...", help="Photos, and folders and archives of them.")]
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            parser=parse_output,
            help="Draw the photo and a map of where it loses quality, as PNG; of several photos into the folder FILE.",
            rich_help_panel=OUTPUT,
        ),
    ] = None
    json: Annotated[
        bool,
        typer.Option(
            "--json", help="JSON on stdout instead of a page, an object a photo, with the map.", rich_help_panel=OUTPUT
        ),
    ] = False
    force: Force = False
    model: Annotated[str, typer.Option("--model", "-m", help="As of iqa score.", rich_help_panel=MODEL)] = ScoreOptions.model
