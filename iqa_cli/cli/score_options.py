"""Score flags: what `iqa score` can be told, in groups, and the options it makes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from iqa_cli.cli.options import MODEL, OUTPUT, Backend, BatchSize, CropCount, CsvFile, Device, Workers
from iqa_cli.options import DEFAULT_MODEL, MAX_PIXELS, MAX_TIMEOUT, BackendChoice, ScoreOptions

INPUT = "Input"  # a panel of the help
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
        typer.Option(metavar="FILE", help="Also score the paths listed in FILE, one a line.", rich_help_panel=INPUT),
    ] = None
    null: Annotated[
        bool, typer.Option("--null", "-0", help="Lists end each path with a NUL, as find -print0 does.", rich_help_panel=INPUT)
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
    ] = 60.0

    def has_many(self) -> bool:
        """Whether folders or lists are among them; images that are named one by one need no cache."""
        paths = self.paths or []
        return self.files_from is not None or STDIN in paths or any(map(os.path.isdir, paths))


@dataclass(frozen=True)
class OutputFlags:
    """Where their records go."""

    csv: CsvFile = None
    jsonl: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write JSON Lines, an object an image.", rich_help_panel=OUTPUT)
    ] = None
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write one JSON array.", rich_help_panel=OUTPUT)] = None
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress and no summary; errors stay.", rich_help_panel=OUTPUT)
    ] = False

    def list_files(self) -> dict[str, Path]:
        """The files to write, format -> path."""
        files = {"csv": self.csv, "jsonl": self.jsonl, "json": self.json}
        return {kind: path for kind, path in files.items() if path is not None}


@dataclass(frozen=True)
class ModelFlags:
    """What scores them, and how fast."""

    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help=r"A name that iqa models lists, a path, or hf://owner/name\[@revision].",
            rich_help_panel=MODEL,
        ),
    ] = DEFAULT_MODEL
    backend: Backend = BackendChoice.AUTO
    device: Device = "auto"
    crops: CropCount = None
    workers: Workers = None
    batch_size: BatchSize = 1
    cache: Annotated[
        bool | None,
        typer.Option(
            "--cache/--no-cache",
            help=r"Keep scores, and score only what is new or changed.  \[default: for folders and lists]",
            rich_help_panel=MODEL,
        ),
    ] = None


def gather_scoring(images: InputFlags, model: ModelFlags) -> ScoreOptions:
    """The options of a run. Raises UsageError where they make no sense."""
    return ScoreOptions(
        model=model.model,
        backend=model.backend,
        device=model.device,
        batch_size=model.batch_size,
        workers=model.workers,
        crops=model.crops,
        max_pixels=images.max_pixels,
        timeout=images.timeout,
        cache=images.has_many() if model.cache is None else model.cache,
        include=tuple(images.include or ()),
        exclude=tuple(images.exclude or ()),
    )
