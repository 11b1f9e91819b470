"""Evaluation flags: what `iqa evaluate` and `iqa datasets` can be told, in groups, and the options it makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from iqa_cli.options import DEFAULT_MODEL, MAX_CROPS, BackendChoice, EvaluateOptions, OwnRatings, ScoreOptions, Side

DATA, OWN, MEASURE, OUTPUT, MODEL = "Data", "Ratings of your own", "Measure", "Output", "Model and speed"  # panels of the help

DataRoot = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="The folder of the set, or one that holds it; else $IQA_DATA.", rich_help_panel=DATA),
]


@dataclass(frozen=True)
class OwnFlags(OwnRatings):
    """Ratings of one's own, as the command line has them."""

    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="FILE", help="CSV with a header, for csv.", rich_help_panel=OWN)
    ] = None
    image_column: Annotated[
        str, typer.Option(metavar="NAME", help="Its paths, below --data-root or beside the file.", rich_help_panel=OWN)
    ] = "image"
    score_column: Annotated[str, typer.Option(metavar="NAME", help="Its scores.", rich_help_panel=OWN)] = "score"
    group_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="What no split may part, as the reference.", rich_help_panel=OWN)
    ] = None
    score_range: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LOW HIGH", help=r"Ends of the scale.  \[default: of the scores]", rich_help_panel=OWN),
    ] = None
    lower_is_better: Annotated[
        bool, typer.Option("--lower-is-better", help="Low scores mean good images, as DMOS do.", rich_help_panel=OWN)
    ] = False


@dataclass(frozen=True)
class SetFlags:
    """Which rated images are scored."""

    dataset: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset", "-d", metavar="NAME", help="A set that iqa datasets lists, or csv; repeatable.", rich_help_panel=DATA
        ),
    ] = None
    data_root: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="The folder of the set, or of all sets, or one for each in order; else $IQA_DATA.",
            rich_help_panel=DATA,
        ),
    ] = None
    split: Annotated[
        Side, typer.Option(help="test: the official part, else that of a seeded 80/20 split.", rich_help_panel=DATA)
    ] = Side.ALL
    seed: Annotated[int, typer.Option(min=0, help="Of the split and of the intervals.", rich_help_panel=DATA)] = 0
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Measure on the images that are there.", rich_help_panel=DATA)
    ] = False


@dataclass(frozen=True)
class MeasureFlags:
    """What is found out about the scores."""

    repeats: Annotated[int, typer.Option(min=1, help="The median over so many seeded test parts.", rich_help_panel=MEASURE)] = 1
    rounds: Annotated[int, typer.Option(min=1, help="Draws of the bootstrap, for the intervals.", rich_help_panel=MEASURE)] = (
        1000
    )
    worst: Annotated[
        int, typer.Option(min=0, metavar="N", help="List the N images it is most wrong about.", rich_help_panel=MEASURE)
    ] = 0


@dataclass(frozen=True)
class OutputFlags:
    """Where that is written, beside stdout."""

    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write CSV, a line an image.", rich_help_panel=OUTPUT)] = None
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all figures as a JSON array.", rich_help_panel=OUTPUT)
    ] = None
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw scores against opinions, .png or .svg.", rich_help_panel=OUTPUT),
    ] = None
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no hints.", rich_help_panel=OUTPUT)] = False


@dataclass(frozen=True)
class ModelFlags:
    """What scores the images, and how."""

    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help=rf"A name, a path, or hf://owner/name; repeatable.  \[default: {DEFAULT_MODEL}]",
            rich_help_panel=MODEL,
        ),
    ] = None
    backend: Annotated[
        BackendChoice, typer.Option(help="What runs the network; auto prefers ONNX Runtime.", rich_help_panel=MODEL)
    ] = BackendChoice.AUTO
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps, ...", rich_help_panel=MODEL)] = "auto"
    crops: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_CROPS, help=r"Views an image.  \[default: the model's]", rich_help_panel=MODEL),
    ] = None
    workers: Annotated[
        int | None, typer.Option(min=1, help=r"Images at a time.  \[default: one a core]", rich_help_panel=MODEL)
    ] = None
    batch_size: Annotated[int, typer.Option(min=1, help="Images a run of the network.", rich_help_panel=MODEL)] = 1
    cache: Annotated[
        bool,
        typer.Option("--cache/--no-cache", help="Keep scores, and reuse those of unchanged images.", rich_help_panel=MODEL),
    ] = True

    def choose(self) -> ScoreOptions:
        """How images are scored, whatever the model."""
        return ScoreOptions(
            backend=self.backend,
            device=self.device,
            batch_size=self.batch_size,
            workers=self.workers,
            crops=self.crops,
            cache=self.cache,
        )


def gather_evaluation(sets: SetFlags, own: OwnRatings, measure: MeasureFlags, models: ModelFlags) -> EvaluateOptions:
    """The options of an evaluation. Raises UsageError where they make no sense."""
    return EvaluateOptions(
        datasets=tuple(sets.dataset or ()),
        models=tuple(models.model or (DEFAULT_MODEL,)),
        data_roots=tuple(sets.data_root or ()),
        own=own,
        side=sets.split,
        repeats=measure.repeats,
        seed=sets.seed,
        rounds=measure.rounds,
        allow_missing=sets.allow_missing,
        scoring=models.choose(),
    )
