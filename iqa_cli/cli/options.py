"""Shared flags: options that several commands have, each declared once: as the type of a field, or as a group."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from iqa_cli.options import MAX_CROPS, BackendChoice, OwnRatings

DATA, OWN, OUTPUT, MODEL = "Data", "Ratings of your own", "Output", "Model and speed"  # panels of the help
STREAM = Path("-")  # for an input stdin, for an output stdout

DataRoots = Annotated[
    list[Path] | None,
    typer.Option(
        "--data-root",
        metavar="DIR",
        help="The folder of the set, or of all sets, or one for each in order; else $IQA_DATA.",
        rich_help_panel=DATA,
    ),
]


def parse_output(text: str) -> Path:
    """A file that is named on the command line; - alone is a standard stream, and ./- a file of that name."""
    return Path(text).absolute() if Path(text) == STREAM and text != "-" else Path(text)


CsvFile = Annotated[
    Path | None,
    typer.Option(
        "--csv", metavar="FILE", parser=parse_output, help="Write CSV, a line an image; - is stdout.", rich_help_panel=OUTPUT
    ),
]
JsonFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", parser=parse_output, help="Write one JSON array; - is stdout.", rich_help_panel=OUTPUT),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Write over files that are inputs, or no earlier outputs, too.", rich_help_panel=OUTPUT),
]
Backend = Annotated[
    BackendChoice, typer.Option(help="What runs the network; auto prefers ONNX Runtime.", rich_help_panel=MODEL)
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps, ...", rich_help_panel=MODEL)]
CropCount = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MAX_CROPS,
        help=r"Views an image; more are slower and steadier.  \[default: the model's]",
        rich_help_panel=MODEL,
    ),
]
Workers = Annotated[int | None, typer.Option(min=1, help=r"Images at a time.  \[default: one a core]", rich_help_panel=MODEL)]
BatchSize = Annotated[int, typer.Option(min=1, help="Images a run of the network; helps on a GPU only.", rich_help_panel=MODEL)]


@dataclass(frozen=True)
class OwnFlags:
    """Ratings of one's own, for the set that is called csv; None: not said. Fields are named as those of `OwnRatings`."""

    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="FILE", help="CSV with a header, for csv.", rich_help_panel=OWN)
    ] = None
    image_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help=r"Its paths, below --data-root or beside the file.  \[default: image]", rich_help_panel=OWN
        ),
    ] = None
    score_column: Annotated[
        str | None, typer.Option(metavar="NAME", help=r"Its scores.  \[default: score]", rich_help_panel=OWN)
    ] = None
    group_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="What no split may part, as the reference.", rich_help_panel=OWN)
    ] = None
    score_range: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LOW HIGH", help=r"Ends of the scale.  \[default: of the scores]", rich_help_panel=OWN),
    ] = None
    lower_is_better: Annotated[
        bool | None, typer.Option("--lower-is-better", help="Low scores mean good images, as DMOS do.", rich_help_panel=OWN)
    ] = None

    def gather(self) -> OwnRatings:
        """Where the ratings are. Raises UsageError where that makes no sense."""
        said: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        return OwnRatings(**said)
