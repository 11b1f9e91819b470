"""The commands of the torch line: options, one core call. `cli` registers them and turns errors into exit codes."""

from __future__ import annotations

import os
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iqa_cli.errors import ExtraMissing
from iqa_cli.options import DEFAULT_MODEL, BackendChoice

if TYPE_CHECKING:
    from types import ModuleType

    from iqa_cli.recipes import StudyOptions

DATA, NETWORK, LOOP, RUN = "Data", "Network", "Training", "Run"  # panels of the help


def import_torch_line(module: str, needed_for: str) -> ModuleType:
    """A module below the torch line. Raises ExtraMissing where what it needs is not installed."""
    import importlib

    try:
        return importlib.import_module(f"iqa_cli.nn.{module}")
    except ModuleNotFoundError as error:
        raise ExtraMissing("train", needed_for) from error


def drop_unset(values: dict[str, Any]) -> dict[str, Any]:
    """Only what was said on the command line: without None and without empty tables."""
    return {name: value for name, value in values.items() if value is not None and value != {}}


def text_of(path: Path | None) -> str | None:
    """A path as recipes write it."""
    return None if path is None else str(path)


def texts_of(paths: list[Path] | None) -> list[str] | None:
    """Paths as recipes write them."""
    return [str(path) for path in paths] if paths else None


def one_or_all(values: list[str] | None) -> str | list[str] | None:
    """As recipes write what may be one or several."""
    return values[0] if values and len(values) == 1 else values or None


def gather_options(
    run_dir: Path | None, recipe: Path | None, flags: dict[str, Any], settings: list[str], *, resume: bool
) -> StudyOptions:
    """The options of a training: the recipe's, over them the flags', over them those of --set. Raises UsageError."""
    from iqa_cli.recipes import StudyOptions, apply_settings, parse_settings, read_recipe

    options = StudyOptions(run_dir=run_dir or Path("runs"), resume=resume)
    if recipe is not None:
        options = apply_settings(options, read_recipe(recipe), str(recipe))
    options = apply_settings(options, flags, "the command line")
    options = apply_settings(options, parse_settings(settings), "--set")
    if run_dir is None:
        kind = "-folds" if options.folds else "-splits" if options.repeats else ""
        options = replace(options, run_dir=Path("runs", ("+".join(options.sets) or options.name) + kind))
    return options


class SplitChoice(StrEnum):
    """`recipes.SplitKind`, as the command line lists it."""

    SEEDED = "seeded"
    OFFICIAL = "official"


Dataset = Annotated[
    list[str] | None,
    typer.Option(
        "--dataset",
        "-d",
        metavar="NAME",
        help="Whose labels to train on, as livec; repeatable: each set's scale is brought to 0..1 by its ends, "
        "so that higher is better. csv: your own.",
        rich_help_panel=DATA,
    ),
]
DataRoot = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="DIR",
        help="The folder of the set, or of all sets, or one for each in order; else $IQA_DATA.",
        rich_help_panel=DATA,
    ),
]
LabelFile = Annotated[
    Path | None,
    typer.Option("--labels", metavar="FILE", help="CSV with your own ratings, for --dataset csv.", rich_help_panel=DATA),
]
ImageColumn = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Its column of paths below the data root, or beside it. \\[image]", rich_help_panel=DATA),
]
ScoreColumn = Annotated[str | None, typer.Option(metavar="NAME", help="Its column of scores. \\[score]", rich_help_panel=DATA)]
GroupColumn = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Its column of what no split may part, as a reference.", rich_help_panel=DATA),
]
ScoreRange = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="LOW HIGH", help="Ends of its scale. \\[those of the scores]", rich_help_panel=DATA),
]
LowerIsBetter = Annotated[
    bool | None, typer.Option("--lower-is-better", help="Its low scores mean good images, as DMOS do.", rich_help_panel=DATA)
]
Repeats = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Train on so many seeded 80/20 splits, each judged by its test part, and print the median.",
        rich_help_panel=DATA,
    ),
]
Split = Annotated[
    SplitChoice | None,
    typer.Option(help="official: the one that came with the set (koniq10k, livefb).", rich_help_panel=DATA),
]
Folds = Annotated[
    int | None, typer.Option(min=2, help="Cross-validate: a training for each fold, judged by it.", rich_help_panel=DATA)
]
FoldFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="CSV of image and fold; else the seed draws them.", rich_help_panel=DATA)
]
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
Recipe = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="TOML with any of the options, or paper/livec and so on; flags override it.", rich_help_panel=LOOP
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="Any option of a recipe, as loop.rate=1e-4.", rich_help_panel=LOOP),
]
Epochs = Annotated[int | None, typer.Option(min=0, help="Of fine-tuning.", rich_help_panel=LOOP)]
Seed = Annotated[int | None, typer.Option(min=0, help="Of everything random.", rich_help_panel=LOOP)]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, mps, ...", rich_help_panel=LOOP)]
RunDir = Annotated[
    Path | None,
    typer.Option(
        "--run-dir",
        "-r",
        metavar="DIR",
        help="Keeps options, statistics, weights and card.  \\[default: runs/DATASET]",
        rich_help_panel=RUN,
    ),
]
Features = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Keeps what the frozen backbone measured, for other runs.", rich_help_panel=RUN),
]
Name = Annotated[str | None, typer.Option(help="Of the model and its files.", rich_help_panel=RUN)]
Measured = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="results.json of a cross-validation, to be quoted in the card.", rich_help_panel=RUN),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.", rich_help_panel=RUN)]
Decoded = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Keeps decoded images, for all epochs, workers and runs.", rich_help_panel=RUN),
]
TensorBoard = Annotated[
    bool | None,
    typer.Option("--tensorboard", help="Also write event files for TensorBoard, \\[tensorboard] extra.", rich_help_panel=RUN),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the recipe and the split, and write nothing.", rich_help_panel=RUN)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Neither progress nor epochs.", rich_help_panel=RUN)]


def train(
    dataset: Dataset = None,
    data_root: DataRoot = None,
    labels: LabelFile = None,
    image_column: ImageColumn = None,
    score_column: ScoreColumn = None,
    group_column: GroupColumn = None,
    score_range: ScoreRange = None,
    lower_is_better: LowerIsBetter = None,
    photos: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Unlabelled clean photos that join in, to learn damage on.", rich_help_panel=DATA),
    ] = None,
    folds: Folds = None,
    fold_file: FoldFile = None,
    repeats: Repeats = None,
    split: Split = None,
    backbone: Annotated[str | None, typer.Option(metavar="NAME", help="Any network of timm.", rich_help_panel=NETWORK)] = None,
    backbone_weights: BackboneWeights = None,
    teacher: Teachers = None,
    recipe: Recipe = None,
    settings: Settings = None,
    epochs: Epochs = None,
    seed: Seed = None,
    device: Device = None,
    run_dir: RunDir = None,
    features: Features = None,
    decoded: Decoded = None,
    tensorboard: TensorBoard = None,
    name: Name = None,
    measured: Measured = None,
    resume: Resume = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Train a model on rated photos. Needs the \\[train] extra.

    One model on all of them; its card and weights are then in the run folder, for iqa score --model DIR.

    Or, with --folds or --repeats, a model for each fold or split, to measure how good the recipe is.

    Ctrl-C stops a training; --resume goes on, and ends with the weights of an uninterrupted one.

    $ iqa train --dataset livec --data-root ChallengeDB_release

    $ iqa train --recipe weights/recipes/qfm-iqm.toml --data-root ChallengeDB_release --folds 5 -r runs/cv
    """
    flags = {
        "dataset": one_or_all(dataset),
        "data_root": one_or_all(texts_of(data_root)),
        "labels": text_of(labels),
        "image_column": image_column,
        "score_column": score_column,
        "group_column": group_column,
        "score_range": score_range and list(score_range),
        "lower_is_better": lower_is_better,
        "photos": texts_of(photos),
        "folds": folds,
        "fold_file": text_of(fold_file),
        "repeats": repeats,
        "split": split and split.value,
        "backbone": backbone,
        "backbone_weights": backbone_weights,
        "teachers": teacher,
        "features": text_of(features),
        "decoded": text_of(decoded),
        "tensorboard": tensorboard,
        "samples": drop_unset({"seed": seed}),
        "loop": drop_unset({"epochs": epochs, "device": device}),
        "name": name,
        "measured": text_of(measured),
    }
    options = gather_options(run_dir, recipe, drop_unset(flags), settings or [], resume=resume)
    run_study(options, "iqa train", dry_run=dry_run, quiet=quiet)


def distill(
    teacher: Teachers = None,
    student: Annotated[
        str | None, typer.Option(metavar="BACKBONE", help="Any network of timm; smaller is faster.", rich_help_panel=NETWORK)
    ] = None,
    backbone_weights: BackboneWeights = None,
    size: Annotated[
        int | None, typer.Option(min=64, help="Side in px of what the student looks at.", rich_help_panel=NETWORK)
    ] = None,
    images: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="Photos to learn on, no labels needed.", rich_help_panel=DATA)
    ] = None,
    dataset: Dataset = None,
    data_root: DataRoot = None,
    labels: LabelFile = None,
    image_column: ImageColumn = None,
    score_column: ScoreColumn = None,
    group_column: GroupColumn = None,
    score_range: ScoreRange = None,
    lower_is_better: LowerIsBetter = None,
    folds: Folds = None,
    fold_file: FoldFile = None,
    repeats: Repeats = None,
    split: Split = None,
    recipe: Recipe = None,
    settings: Settings = None,
    epochs: Epochs = None,
    seed: Seed = None,
    device: Device = None,
    run_dir: RunDir = None,
    features: Features = None,
    decoded: Decoded = None,
    tensorboard: TensorBoard = None,
    name: Name = None,
    measured: Measured = None,
    resume: Resume = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Teach a small, fast model to score as larger ones do, on photos of your kind. Needs the \\[train] extra.

    The teachers are asked once, about random crops of the images and damaged versions of them; --features keeps their answers.

    Labels help where there are any, but need not be.

    $ iqa distill --teacher qfm-iqm --student tf_efficientnet_lite0 --images photos -r runs/small

    $ iqa distill --teacher qfm-iqm --student tf_efficientnet_lite0 --images photos --dataset livec --data-root DIR
    """
    flags = {
        "method": "distillation",
        "teachers": teacher,
        "backbone": student,
        "backbone_weights": backbone_weights,
        "size": size,
        "photos": texts_of(images),
        "dataset": one_or_all(dataset) or ("" if recipe is None else None),
        "data_root": one_or_all(texts_of(data_root)),
        "labels": text_of(labels),
        "image_column": image_column,
        "score_column": score_column,
        "group_column": group_column,
        "score_range": score_range and list(score_range),
        "lower_is_better": lower_is_better,
        "folds": folds,
        "fold_file": text_of(fold_file),
        "repeats": repeats,
        "split": split and split.value,
        "features": text_of(features),
        "decoded": text_of(decoded),
        "tensorboard": tensorboard,
        "samples": drop_unset({"seed": seed}),
        "loop": drop_unset({"epochs": epochs, "device": device}),
        "name": name,
        "measured": text_of(measured),
    }
    begin = DISTILLING if recipe is None else {}
    options = gather_options(run_dir, recipe, begin | drop_unset(flags), settings or [], resume=resume)
    run_study(options, "iqa distill", dry_run=dry_run, quiet=quiet)


DISTILLING: dict[str, Any] = {"backbone": "tf_efficientnet_lite0", "size": 320, "fit": "whole", "heads": 4, "validation": 0.0}
"""What distill does without a recipe: a small network of any height and width; nothing is chosen, so nothing is held back."""


def run_study(options: StudyOptions, command: str, *, dry_run: bool, quiet: bool) -> None:
    """Train as the options say, and show it; or only show what would be done, for which no PyTorch is needed."""
    from iqa_cli import console_train

    if dry_run:
        console_train.print_plan(options)
        return
    study = import_torch_line("study", command)
    leads = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun starts one talks for all
    with console_train.TrainingView(quiet=quiet or not leads).running(options.run_dir) as view:
        for event in study.train(options):
            view.show(event)
    if leads:
        console_train.print_results(options.run_dir / "results.json")


def blend(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Names, cards, folders or files, two or more.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the blend and its card go.")],
    weight: Annotated[list[float] | None, typer.Option(help="One for each model, in order; else all alike.")] = None,
    name: Annotated[str, typer.Option(help="Of the blend and its files.")] = "blend",
    summary: Annotated[str, typer.Option(help="What its card says it is; else its members by name.")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing unless it fails.")] = False,
) -> None:
    """Make several models one that answers with their weighted mean. Needs the \\[train] extra.

    Networks on different backbones err differently, so a blend is more accurate, and as slow as all of them together.

    $ iqa blend runs/cnn runs/vit --weight 0.7 --weight 0.3 -o runs/blend
    """
    from iqa_cli import console_train, weights

    found = [weights.find_model(model, BackendChoice.TORCH) for model in models]
    card = import_torch_line("blending", "iqa blend").blend_models(found, weight or [], output, name, summary)
    console_train.TrainingView(quiet=quiet).say(f"wrote {card}")


def export_onnx(
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="An installed name, a card, a folder with one, or .safetensors.")
    ] = DEFAULT_MODEL,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write.  \\[default: beside the card]")
    ] = None,
    photos: Annotated[
        list[str] | None, typer.Option("--photo", metavar="PATH", help="Images or folders on which both must agree.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing unless it fails.")] = False,
) -> None:
    """Write a model as ONNX. Needs the \\[train] extra.

    The file is put in place only once ONNX Runtime and PyTorch agree on real images, to 0.1 % of the score range.

    It carries its card, so it can be scored with alone.
    """
    from iqa_cli import console_train, weights

    model = weights.find_model(checkpoint, BackendChoice.TORCH)
    path, difference = import_torch_line("export", "iqa export-onnx").export_model(model, output, photos or [])
    console_train.TrainingView(quiet=quiet).say(
        f"wrote {path}; the largest difference from PyTorch is {difference:.1e} of the score range"
    )
