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
    named: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Draw the photo and a map of where it loses quality, as PNG; of several photos, and where FILE ends in /, into"
            " that folder.",
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

    @property
    def output(self) -> Path | None:
        """Where pictures go."""
        return None if self.named is None else parse_output(self.named)

    @property
    def names_folder(self) -> bool:
        """Whether that ends as only folders do."""
        return self.named is not None and self.named.endswith("/")
