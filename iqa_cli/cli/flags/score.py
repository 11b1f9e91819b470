"""Options of `iqa score` in groups, and what they make."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from iqa_cli.cli.flags.images import INPUT, FolderFlags
from iqa_cli.cli.flags.shared import MODEL, OUTPUT, STREAM, BatchFlags, CsvFile, Force, JsonFile, parse_output
from iqa_cli.errors import UsageError
from iqa_cli.options import REPORT_PREVIEW, ScoreOptions
from iqa_cli.remote.names import is_archive
from iqa_cli.scoring.selection import Order, Selection

CHOICE = "Choice"  # a panel of the help
STDIN = "-"


@dataclass(frozen=True)
class InputFlags(FolderFlags):
    """Which images are scored, and which of them are refused."""

    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH...", help="Images; folders, archives and URLs of them; - reads a list of paths from stdin."
        ),
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

    def has_many(self) -> bool:
        """Whether folders, archives or lists are among them; images that are named one by one need no cache."""
        return self.has_list or any(map(is_container, self.paths or []))

    @property
    def has_list(self) -> bool:
        """Whether a list of paths is among them."""
        return self.files_from is not None or STDIN in (self.paths or [])


def is_container(path: str) -> bool:
    """Whether a path is that of a folder or of an archive."""
    return os.path.isdir(path) or is_archive(path)  # noqa: PTH112


@dataclass(frozen=True)
class ChoiceFlags:
    """Which records are written, and what else they say; one that has no score always is."""

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
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Say what is wrong with each photo, as soft or dark; in JSON with the numbers. See iqa explain.",
            rich_help_panel=CHOICE,
        ),
    ] = False
    detail: Annotated[
        bool,
        typer.Option("--detail", help="Measure at full size how much of the resolution is real, too.", rich_help_panel=CHOICE),
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
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=parse_output,
            help="Write a page for the browser: thumbnails to sort, filter and mark; - is stdout.",
            rich_help_panel=OUTPUT,
        ),
    ] = None
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
        named = {"csv": self.csv, "jsonl": self.jsonl, "json": self.json, "html": self.html}
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
        if self.append and self.html is not None:
            raise UsageError("--append: nothing can be added to a page; write it of all photos")
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


def gather_scoring(images: InputFlags, model: ModelFlags, runtime: BatchFlags, output: OutputFlags) -> ScoreOptions:
    """The options of a run. Raises UsageError where they make no sense."""
    return replace(
        images.apply(runtime.gather()),
        model=model.model,
        cache=images.has_many() if model.cache is None else model.cache,
        preview=0 if output.html is None else REPORT_PREVIEW,
    )
