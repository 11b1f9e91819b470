"""Evaluation flags: what `iqa evaluate` and `iqa datasets` can be told, in groups, and the options it makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from iqa_cli.cli.options import (
    DATA,
    MODEL,
    OUTPUT,
    STREAM,
    Backend,
    BatchSize,
    CropCount,
    CsvFile,
    DataRoots,
    Device,
    Force,
    OwnFlags,
    Workers,
    parse_output,
)
from iqa_cli.errors import UsageError
from iqa_cli.options import DEFAULT_MODEL, BackendChoice, EvaluateOptions, ScoreOptions, Side

MEASURE = "Measure"  # a panel of the help

DataRoot = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="The folder of the set, or one that holds it; else $IQA_DATA.", rich_help_panel=DATA),
]


@dataclass(frozen=True)
class SetFlags:
    """Which rated images are scored."""

    dataset: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset", "-d", metavar="NAME", help="A set that iqa datasets lists, or csv; repeatable.", rich_help_panel=DATA
        ),
    ] = None
    data_root: DataRoots = None
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

    csv: CsvFile = None
    json: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", parser=parse_output, help="Write all figures as a JSON array; - is stdout.", rich_help_panel=OUTPUT
        ),
    ] = None
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw scores against opinions, .png or .svg.", rich_help_panel=OUTPUT),
    ] = None
    force: Force = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no hints.", rich_help_panel=OUTPUT)] = False

    @property
    def takes_stdout(self) -> bool:
        """Whether one of them is stdout, which then has no table. Raises UsageError for both."""
        if self.csv == self.json == STREAM:
            raise UsageError("only one of the outputs can be stdout")
        return STREAM in (self.csv, self.json)


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
    backend: Backend = BackendChoice.AUTO
    device: Device = "auto"
    crops: CropCount = None
    workers: Workers = None
    batch_size: BatchSize = 1
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


def gather_evaluation(sets: SetFlags, own: OwnFlags, measure: MeasureFlags, models: ModelFlags) -> EvaluateOptions:
    """The options of an evaluation. Raises UsageError where they make no sense."""
    return EvaluateOptions(
        datasets=tuple(sets.dataset or ()),
        models=tuple(models.model or (DEFAULT_MODEL,)),
        data_roots=tuple(sets.data_root or ()),
        own=own.gather(),
        side=sets.split,
        repeats=measure.repeats,
        seed=sets.seed,
        rounds=measure.rounds,
        allow_missing=sets.allow_missing,
        scoring=models.choose(),
    )
