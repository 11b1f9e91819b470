"""Content: digests of what a training's files hold, so that a run is resumed wherever they lie now. No PyTorch here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iqa_cli.models.card import hash_file
from iqa_cli.training.data.labeled import DIGITS, TrainingData
from iqa_cli.training.options import TrainingOptions
from iqa_cli.training.recipes import describe_options

CONTENT = "content"
"""The table of options.json that has these digests; the files of earlier versions have none."""

PLACES = ("data_root", "own.labels", "fold_file", "backbone_weights")
"""Options that only say where something lies which is compared itself: here, or, as the folds are, in split.json."""


def describe_run(options: TrainingOptions, data: TrainingData | None) -> dict[str, Any]:
    """The options of a trial as options.json holds them, with its digests. Raises DataError where an image is gone."""
    weights = options.backbone_weights
    content = {
        "dataset": data.digest if data else "none",
        "backbone_weights": digest_file(weights) if weights and weights != "none" else weights or "the hub's",
    }
    return {**describe_options(options), CONTENT: content}


def digest_file(path: str) -> str:
    """The begin of the SHA-256 of a file; the path itself of one that cannot be read, which whoever needs it says."""
    try:
        return hash_file(Path(path))[:DIGITS]
    except OSError:
        return path
