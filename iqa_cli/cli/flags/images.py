"""Options that say which files of folders are images to score, and how they are decoded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import typer

from iqa_cli.options import MAX_PIXELS, MAX_TIMEOUT, RawChoice, ScoreOptions

INPUT = "Input"  # a panel of the help


@dataclass(frozen=True)
class FolderFlags:
    """What of folders counts, and which images are refused."""

    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Of what folders hold, score only files like this, as '*.jpg' or 'DCIM/*'; repeatable.",
            rich_help_panel=INPUT,
        ),
    ] = None
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB", help="Leave out files and folders like this, as '*thumb*'; repeatable.", rich_help_panel=INPUT
        ),
    ] = None
    max_depth: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Look into N levels of each folder; 1: the files in it alone.", rich_help_panel=INPUT
        ),
    ] = None
    follow_symlinks: Annotated[
        bool,
        typer.Option(
            "--follow-symlinks/--no-follow-symlinks",
            help="Whether links in folders count as what they lead to.",
            rich_help_panel=INPUT,
        ),
    ] = ScoreOptions.follow_symlinks
    max_pixels: Annotated[
        int | None,
        typer.Option(
            min=1, help=rf"Report larger images instead of decoding them.  \[default: {MAX_PIXELS}]", rich_help_panel=INPUT
        ),
    ] = None
    timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0.001,
            max=MAX_TIMEOUT,
            help="Report images that take longer to decode.",
            rich_help_panel=INPUT,
        ),
    ] = ScoreOptions.timeout
    raw: Annotated[
        RawChoice,
        typer.Option(help="Of camera RAW: the preview in the file, or develop it, in seconds a photo.", rich_help_panel=INPUT),
    ] = ScoreOptions.raw

    def apply(self, options: ScoreOptions) -> ScoreOptions:
        """The options with these. Raises UsageError where they make no sense."""
        return replace(
            options,
            max_pixels=self.max_pixels,
            timeout=self.timeout,
            include=tuple(self.include or ()),
            exclude=tuple(self.exclude or ()),
            max_depth=self.max_depth,
            follow_symlinks=self.follow_symlinks,
            raw=self.raw,
        )
