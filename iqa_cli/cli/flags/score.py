"""Options of `iqa score` in groups, and what they make."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from iqa_cli.cli.flags.shared import MODEL, OUTPUT, STREAM, CsvFile, Force, JsonFile, RuntimeFlags, parse_output
from iqa_cli.errors import UsageError
from iqa_cli.options import MAX_PIXELS, MAX_TIMEOUT, ScoreOptions
from iqa_cli.scoring.selection import Order, Selection

INPUT, CHOICE = "Input", "Choice"  # panels of the help
STDIN = "-"


@dataclass(frozen=True)
class InputFlags:
    """Which images are scored, and which of them are refused."""

    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH...", help="Images, and folders of them; - reads a list of paths from stdin."),
    ] = None
    files_from: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", parser=parse_output, help="Also score the paths listed in FILE, one a line.", rich_help_panel=INPUT
        ),
    ] = None
    null: Annotated[
        bool,
        typer.Option(
            "--null",
            "-0",
            help="Lists end each path with a NUL, as find -print0 does; --format paths, too.",
            rich_help_panel=INPUT,
        ),
    ] = False
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

    def has_many(self) -> bool:
        """Whether folders or lists are among them; images that are named one by one need no cache."""
        paths = self.paths or []
        return self.files_from is not None or STDIN in paths or any(map(os.path.isdir, paths))


@dataclass(frozen=True)
class ChoiceFlags:
    """Which records are written; one that has no score always is."""

    sort: Annotated[
        Order | None,
        typer.Option(help="Write records at the end, sorted; -score: the best first.", rich_help_panel=CHOICE),
    ] = None
    top: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the N best, best first.", rich_help_panel=CHOICE)
    ] = None
    bottom: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Only the N worst, worst first; with --top, both.", rich_help_panel=CHOICE),
    ] = None
    lowest: Annotated[
        float | None, typer.Option("--min", metavar="S", help="Only scores of S or more.", rich_help_panel=CHOICE)
    ] = None
    highest: Annotated[
        float | None, typer.Option("--max", metavar="S", help="Only scores of S or less.", rich_help_panel=CHOICE)
    ] = None
    group: Annotated[
        bool,
        typer.Option(
            "--group",
            help="Find bursts, near duplicates and series that belong together, and rank within.",
            rich_help_panel=CHOICE,
        ),
    ] = False
    fail_under: Annotated[
        float | None,
        typer.Option(metavar="S", help="Exit with 5 if some score is below S, written or not.", rich_help_panel=CHOICE),
    ] = None

    def gather(self) -> Selection:
        """What is selected. Raises UsageError where nothing can be."""
        return Selection(self.sort, self.top, self.bottom, self.lowest, self.highest, self.fail_under)


class Format(StrEnum):
    """What records are written as on stdout. PATHS: of images that have a score, a path a line."""

    CSV = "csv"
    JSONL = "jsonl"
    JSON = "json"
    PATHS = "paths"


@dataclass(frozen=True)
class OutputFlags:
    """Files to write, instead of stdout."""

    csv: CsvFile = None
    jsonl: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=parse_output,
            help="Write JSON Lines, an object an image; - is stdout.",
            rich_help_panel=OUTPUT,
        ),
    ] = None
    json: JsonFile = None
    format: Annotated[
        Format | None,
        typer.Option(help="What to write on stdout; paths: of images that have a score.", rich_help_panel=OUTPUT),
    ] = None
    no_header: Annotated[
        bool, typer.Option("--no-header", help="Without the line of column names.", rich_help_panel=OUTPUT)
    ] = False
    append: Annotated[
        bool,
        typer.Option(
            "--append", help="Add to the CSV or JSON Lines that FILE holds, of the same columns.", rich_help_panel=OUTPUT
        ),
    ] = False
    force: Force = False
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress and no summary; errors stay.", rich_help_panel=OUTPUT)
    ] = False

    def list_files(self, *, null: bool = False) -> dict[str, Path]:
        """The outputs that are named, format -> path. Raises UsageError where the flags do not go together.

        null: paths end with a NUL.
        """
        named = {"csv": self.csv, "jsonl": self.jsonl, "json": self.json}
        files = {kind: path for kind, path in named.items() if path is not None}
        if self.format is not None and files:
            raise UsageError("--format is about stdout: leave it out, or the files")
        if self.format is not None:
            files = {"paths0" if null and self.format is Format.PATHS else str(self.format): STREAM}
        if list(files.values()).count(STREAM) > 1:
            raise UsageError("only one of the outputs can be stdout")
        if self.no_header and files and "csv" not in files:
            raise UsageError("--no-header is about CSV: add --csv FILE, or leave it out")
        if self.append and self.json is not None:
            raise UsageError("--append: nothing can be added to a JSON array; write JSON Lines, by --jsonl")
        if self.append and (not files or STREAM in files.values()):
            raise UsageError("--append is about files: add --csv FILE or --jsonl FILE")
        return files


@dataclass(frozen=True)
class ModelFlags:
    """What scores the images."""

    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help=r"A name that iqa models lists, a path, or hf://owner/name\[@revision].",
            rich_help_panel=MODEL,
        ),
    ] = ScoreOptions.model
    cache: Annotated[
        bool | None,
        typer.Option(
            "--cache/--no-cache",
            help=r"Keep scores, and score only what is new or changed.  \[default: for folders and lists]",
            rich_help_panel=MODEL,
        ),
    ] = None


def gather_scoring(images: InputFlags, model: ModelFlags, runtime: RuntimeFlags) -> ScoreOptions:
    """The options of a run. Raises UsageError where they make no sense."""
    return replace(
        runtime.gather(),
        model=model.model,
        max_pixels=images.max_pixels,
        timeout=images.timeout,
        cache=images.has_many() if model.cache is None else model.cache,
        include=tuple(images.include or ()),
        exclude=tuple(images.exclude or ()),
        max_depth=images.max_depth,
        follow_symlinks=images.follow_symlinks,
    )
