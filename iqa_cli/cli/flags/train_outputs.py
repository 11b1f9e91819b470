"""Training outputs: the files that a training leaves behind, checked before anything is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from glob import glob
from pathlib import Path

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
from iqa_cli.training.options import TrainingOptions

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
    "predictions.csv": ("predictions", begins_table("dataset", "model", "image", "label", "prediction", "fold")),
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
    files = (options.own.labels, options.fold_file, options.measured, options.teacher_scores)
    yield from (path for path in files if path is not None)
    if options.backbone_weights not in (None, "none"):
        yield str(options.backbone_weights)
    for teacher in filter(None, (*options.teachers, options.initial_model)):
        for place in glob(teacher.replace("{fold}", "*")):  # noqa: PTH207  # may be absolute
            yield from list_model_parts(place)
