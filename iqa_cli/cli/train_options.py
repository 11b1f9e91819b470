"""Options that `iqa train` and `iqa distill` share, the training options they make, and the check of what a training writes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iqa_cli.cli.options import DATA, DataRoots, Force, OwnFlags
from iqa_cli.files.outputs import (
    Check,
    Output,
    begins_json,
    begins_table,
    check_folders,
    check_outputs,
    is_plot,
    is_safetensors,
    list_model_files,
    list_model_parts,
    may_replace,
)

if TYPE_CHECKING:
    from iqa_cli.training.options import TrainingOptions

NETWORK, LOOP, RUN = "Network", "Training", "Run"  # panels of the help

BackboneWeights = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="Its pretrained weights. \\[default: from the hub; none: random]", rich_help_panel=NETWORK
    ),
]
Teachers = Annotated[
    list[str] | None,
    typer.Option(
        "--teacher", metavar="MODEL", help="Name or path of a model to learn from; repeatable.", rich_help_panel=NETWORK
    ),
]


@dataclass(frozen=True)
class RatedFlags:
    """Whose ratings, and where they are; fields are named as those of `training.options.TrainingOptions`, here as below."""

    dataset: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset",
            "-d",
            metavar="NAME",
            help="Whose labels to train on, as livec; repeatable: each set's scale is brought to 0..1 by its ends, "
            "so that higher is better. csv: your own.",
            rich_help_panel=DATA,
        ),
    ] = None
    data_root: DataRoots = None


class SplitChoice(StrEnum):
    """`training.options.SplitKind`, as the command line lists it."""

    SEEDED = "seeded"
    OFFICIAL = "official"


@dataclass(frozen=True)
class SplitFlags:
    """What is trained on, and what is tested on."""

    folds: Annotated[
        int | None, typer.Option(min=2, help="Cross-validate: a training for each fold, tested on it.", rich_help_panel=DATA)
    ] = None
    fold_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV of image and fold; else the seed draws them.", rich_help_panel=DATA),
    ] = None
    repeats: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Train on so many seeded 80/20 splits, test each on its test part, and print the median.",
            rich_help_panel=DATA,
        ),
    ] = None
    split: Annotated[
        SplitChoice | None,
        typer.Option(help="official: the one that came with the set (koniq10k, livefb, biq2021).", rich_help_panel=DATA),
    ] = None
    only: Annotated[
        list[int] | None,
        typer.Option(
            min=0, metavar="NUMBER", help="Of the folds or splits, train this one now; repeatable.", rich_help_panel=DATA
        ),
    ] = None


@dataclass(frozen=True)
class RunFlags:
    """How it is trained, where that is kept, and what is shown of it."""

    recipe: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="TOML with any of the options, or paper/livec and so on; flags override it.",
            rich_help_panel=LOOP,
        ),
    ] = None
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", "-s", metavar="KEY=VALUE", help="Any option of a recipe, as loop.rate=1e-4.", rich_help_panel=LOOP
        ),
    ] = None
    epochs: Annotated[int | None, typer.Option(min=0, help="Of fine-tuning.", rich_help_panel=LOOP)] = None
    seed: Annotated[int | None, typer.Option(min=0, help="Of everything random.", rich_help_panel=LOOP)] = None
    device: Annotated[
        str | None, typer.Option(help="auto: a GPU if there is one, else cpu; or cpu, cuda, mps, ...", rich_help_panel=LOOP)
    ] = None
    run_dir: Annotated[
        Path | None,
        typer.Option(
            "--run-dir",
            "-r",
            metavar="DIR",
            help="Keeps options, statistics, weights and card.  \\[default: runs/DATASET]",
            rich_help_panel=RUN,
        ),
    ] = None
    features: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keeps features and teacher predictions for other runs.",
            rich_help_panel=RUN,
        ),
    ] = None
    decoded: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keeps decoded images, for all epochs, workers and runs.", rich_help_panel=RUN),
    ] = None
    tensorboard: Annotated[
        bool | None,
        typer.Option(
            "--tensorboard", help="Also write event files for TensorBoard, \\[tensorboard] extra.", rich_help_panel=RUN
        ),
    ] = None
    name: Annotated[str | None, typer.Option(help="Of the model and its files.", rich_help_panel=RUN)] = None
    measured: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="results.json of a cross-validation, to be quoted in the card.", rich_help_panel=RUN),
    ] = None
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.", rich_help_panel=RUN)] = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the recipe and the split, and write nothing.", rich_help_panel=RUN)
    ] = False
    force: Force = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Neither progress nor epochs.", rich_help_panel=RUN)] = False


NO_SETTINGS = ("recipe", "settings", "run_dir", "resume", "dry_run", "force", "quiet")
"""Flags about the command, not about the training."""

TABLES = {"epochs": "loop", "device": "loop", "seed": "samples"}
"""Flags that stand in a table of a recipe."""


def describe_flags(*groups: RatedFlags | OwnFlags | SplitFlags | RunFlags, **others: Any) -> dict[str, Any]:
    """What was said on the command line, as a recipe says it; what was not said is not there."""
    said: dict[str, Any] = {}
    for name, value in [(f.name, getattr(group, f.name)) for group in groups for f in fields(group)] + [*others.items()]:
        if name not in NO_SETTINGS and value is not None and value != []:
            table = said.setdefault(TABLES[name], {}) if name in TABLES else said
            table[name] = write_flag(value)
    return said


def write_flag(value: Any) -> Any:
    """A value as TOML has it: a path or a choice is a text, and one of what may be several stands alone."""
    if isinstance(value, list | tuple):
        return write_flag(value[0]) if len(value) == 1 else [write_flag(each) for each in value]
    return str(value) if isinstance(value, Path | StrEnum) else value


def gather_options(run: RunFlags, flags: Mapping[str, Any], begin: Mapping[str, Any] | None = None) -> TrainingOptions:
    """The options of a training: the recipe's, over them the flags', over them those of --set. Raises UsageError.

    begin: what a command does without a recipe.
    """
    from iqa_cli.training.options import TrainingOptions
    from iqa_cli.training.recipes import apply_settings, parse_settings, read_recipe

    options = TrainingOptions(run_dir=run.run_dir or Path("runs"), resume=run.resume)
    if run.recipe is not None:
        options = apply_settings(options, read_recipe(run.recipe), str(run.recipe))
    elif begin is not None:
        options = apply_settings(options, begin, "the defaults")
    options = apply_settings(options, flags, "the command line")
    options = apply_settings(options, parse_settings(run.settings or []), "--set")
    if run.run_dir is None:
        kind = "-folds" if options.folds else "-splits" if options.repeats else ""
        options = replace(options, run_dir=Path("runs", ("+".join(options.sets) or options.name) + kind))
    return options


# ---- outputs ----

OPTION = "--run-dir"
BEGUN = "options.json"  # what a run folder has from its beginning
FILES: dict[str, tuple[str, Check]] = {
    BEGUN: ("the options", begins_json("backbone", "samples", "loop")),
    "split.json": ("the split", begins_json("train", "validation", "test")),
    "stats.jsonl": ("statistics", begins_json("epoch", "losses")),
    "last.safetensors": ("weights", is_safetensors),
    "best.safetensors": ("weights", is_safetensors),
    "state.safetensors": ("the state", is_safetensors),
    "learning.csv": ("learning curves", begins_table("epoch", "phase")),
    "learning.png": ("learning curves", is_plot),
    "test.csv": ("predictions", begins_table("image", "opinion", "score")),
    "test.json": ("figures", begins_json("trial", "sets")),
    "results.json": ("results", begins_json("protocol", "trials")),
    "lock": ("a lock", lambda head: re.fullmatch(rb"\d+ \S+\n", head) is not None),
}
"""What stands in a run folder beside weights and card, in words, and how it is told."""


def check_training_outputs(options: TrainingOptions, *, force: bool = False) -> None:
    """Raises UsageError where a training would write over its inputs, or over what no training has written."""
    folders = [folder for folder in (options.run_dir, options.features, options.decoded) if folder is not None]
    check_folders(folders, [*options.unlabeled, *options.roots], force=force)
    outputs = [output for folder in list_folders(options.run_dir) for output in list_run_files(folder, options.name)]
    check_outputs(outputs, list_inputs(options), force=force)


def list_folders(run_dir: Path) -> list[Path]:
    """The run folder, and those of its folds or splits that are there already."""
    return [run_dir, *(path for path in sorted(run_dir.glob("*")) if re.fullmatch(r"(fold|split)-?\d+", path.name))]


def list_run_files(folder: Path, name: str) -> list[Output]:
    """What a training writes in its folder; where a run was begun there, all of these are its own."""
    outputs = [
        *(Output(folder / file, OPTION, *kind) for file, kind in FILES.items()),
        *list_model_files(folder, name, "safetensors", OPTION),
    ]
    begun = (folder / BEGUN).is_file() and may_replace(outputs[0])
    return [replace(output, is_earlier=lambda _: True) for output in outputs] if begun else outputs


def list_inputs(options: TrainingOptions) -> Iterator[str | Path]:
    """The files that a training reads."""
    yield from (path for path in (options.labels, options.fold_file, options.measured) if path is not None)
    if options.backbone_weights not in (None, "none"):
        yield str(options.backbone_weights)
    for teacher in options.teachers:
        for place in glob(teacher.replace("{fold}", "*")):  # noqa: PTH207  # may be absolute
            yield from list_model_parts(place)
