"""Content: digests of what a training's files hold, so that a run is resumed wherever they lie now. No PyTorch here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from iqa_cli.models.card import hash_file
from iqa_cli.models.find import find_model
from iqa_cli.options import BackendChoice
from iqa_cli.training.data.labeled import DIGITS, sample_file
from iqa_cli.training.plan import Plan, Trial
from iqa_cli.training.recipes import describe_options

CONTENT = "content"
"""The table of options.json that has these digests; files of earlier versions have some of them, or none."""

PLACES = {
    "dataset": ("data_root", "own.labels", "fold_file"),
    "backbone_weights": ("backbone_weights",),
    "unlabeled": ("unlabeled",),
    "teachers": ("teachers",),
    "teacher_scores": ("teacher_scores",),
    "initial_model": ("initial_model",),
}
"""By digest, the options that only say where something lies which is compared itself: here, or, as the folds, in split.json."""


def describe_run(plan: Plan, trial: Trial) -> dict[str, Any]:
    """The options of a trial as options.json holds them, with its digests.

    Raises DataError where an image is gone, WeightsError for a model that is not there.
    """
    options, data = plan.options_of(trial), plan.data
    weights = options.backbone_weights
    content: dict[str, Any] = {
        "dataset": data.digest if data else "none",
        "backbone_weights": digest_file(weights) if weights and weights != "none" else weights or "the hub's",
    }
    unlabeled = plan.find_unlabeled(trial).values()
    if plan.unlabeled:
        content["unlabeled"] = digest_rows([Path(path).name, *sample_file(Path(path))] for path in unlabeled)
    if options.teachers:
        content["teachers"] = [digest_model(name) for name in options.teachers]
    if options.teacher_scores:
        images = [*map(str, data.paths if data else ()), *unlabeled]
        content["teacher_scores"] = digest_rows(astuple(plan.scores[path]) if path in plan.scores else () for path in images)
    if options.initial_model:
        content["initial_model"] = digest_model(options.initial_model)
    return {**describe_options(options), CONTENT: content}


def digest_file(path: str) -> str:
    """The begin of the SHA-256 of a file; the path itself of one that cannot be read, which whoever needs it says."""
    try:
        return hash_file(Path(path))[:DIGITS]
    except OSError:
        return path


def digest_model(name: str) -> str:
    """The begin of the SHA-256 of a model's weights. Raises WeightsError where there is none."""
    return find_model(name, BackendChoice.TORCH).card.files["safetensors"].sha256[:DIGITS]


def digest_rows(rows: Iterable[Sequence[Any]]) -> str:
    """A digest of some facts about each image, in order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row).encode() + b"\n")
    return digest.hexdigest()[:DIGITS]
