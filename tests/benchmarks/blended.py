"""How good would a blend be? The cross-validations of its members, fold by fold, as one.

    python -m tests.benchmarks.blended --run runs/cnn --run runs/vit --weight 0.7 --weight 0.3 [--results FILE]
    python -m tests.benchmarks.blended --run runs/cnn --made 'runs/blend/fold{fold}' --data-root DIR [--results FILE]

Each run is a folder of `iqa train --folds`, all over the same folds; what the networks of a fold said of its images, which none
of them was trained on, is averaged. A blend cuts its views a little otherwise than its members did: so, once it is made, --made
asks the blend of each fold itself about the images of the fold, which lie below --data-root. --results writes the figures as
`iqa train` does, for a card to quote.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from iqa_cli.errors import DataError, UsageError
from iqa_cli.evaluation.metrics import plcc, srcc
from iqa_cli.library import score_images
from iqa_cli.options import ScoreOptions

from .common import print_table, run_whole, show_figure

PROTOCOL = "cross-validation; each fold is predicted by networks that never saw its images"


def read_fold(path: Path) -> dict[str, tuple[float, float]]:
    """Opinion and score of each image of a test.csv. Raises DataError."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {row["image"]: (float(row["opinion"]), float(row["score"])) for row in csv.DictReader(file)}
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path}: not what a network said of a fold: {error}") from error


def blend_fold(runs: Sequence[Path], weights: Sequence[float], fold: str) -> dict[str, object]:
    """The figures of one fold. Raises DataError where the runs do not judge the same images."""
    read = [read_fold(run / fold / "test.csv") for run in runs]
    if any(one.keys() != read[0].keys() for one in read):
        raise DataError(f"{fold}: the runs were judged by different images, so they are of different folds")
    opinions = np.array([opinion for opinion, _ in read[0].values()])
    scores = np.average([[one[image][1] for image in read[0]] for one in read], axis=0, weights=weights)
    return {"fold": fold, "images": len(opinions), "srcc": srcc(scores, opinions), "plcc": plcc(scores, opinions)}


def judge_fold(run: Path, made: str, root: Path, fold: str) -> dict[str, object]:
    """The figures of one fold, by the model that was made for it. Raises DataError for an image without a score."""
    opinions = {str(root / image): opinion for image, (opinion, _) in read_fold(run / fold / "test.csv").items()}
    options = ScoreOptions(model=made.replace("{fold}", fold.removeprefix("fold")))
    records = {record.path: record for record in score_images(list(opinions), options)}
    failed = next((record for record in records.values() if record.score is None), None)
    if failed is not None:
        raise DataError(f"{failed.path}: has no score: {failed.detail or failed.status}")
    scores = np.array([records[path].score for path in opinions], dtype=float)
    truth = np.array(list(opinions.values()))
    return {"fold": fold, "images": len(truth), "srcc": srcc(scores, truth), "plcc": plcc(scores, truth)}


def summarize(folds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The images, and the median, the mean and the range of the folds' figures."""
    summary: dict[str, Any] = {"images": sum(fold["images"] for fold in folds)}
    for name in ("srcc", "plcc"):
        values = [fold[name] for fold in folds]
        figures = {"median": np.median(values), "mean": np.mean(values), "low": min(values), "high": max(values)}
        summary[name] = {kind: float(value) for kind, value in figures.items()}
    return summary


def describe_results(folds: Sequence[Mapping[str, Any]], dataset: str) -> dict[str, Any]:
    """The figures as `iqa train` writes them into results.json."""
    trials = [
        {
            "trial": fold["fold"],
            "sets": [{"dataset": dataset, "images": fold["images"], **{n: {"value": fold[n]} for n in ("srcc", "plcc")}}],
        }
        for fold in folds
    ]
    return {"protocol": PROTOCOL, "trials": trials, "summary": [{"dataset": dataset, **summarize(folds)}]}


def run(given: argparse.Namespace) -> None:
    """Measure, print, write. Raises IqaError."""
    weights = given.weight or [1.0] * len(given.run)
    if len(weights) != len(given.run) or min(weights) <= 0:
        raise UsageError("each --run has a --weight above zero, or none has any")
    names = sorted(path.parent.name for path in given.run[0].glob("fold*/test.csv"))
    if not names:
        raise DataError(f"{given.run[0]}: holds no fold*/test.csv, so it is no cross-validation")
    if given.made is not None:
        folds = [judge_fold(given.run[0], given.made, given.data_root, name) for name in names]
    else:
        folds = [blend_fold(given.run, weights, name) for name in names]
    summary = summarize(folds)
    rows = [[str(fold["fold"]), *(show_figure(float(str(fold[name])), 4) for name in ("srcc", "plcc"))] for fold in folds]
    rows += [[kind, *(show_figure(summary[name][kind], 4) for name in ("srcc", "plcc"))] for kind in ("median", "mean")]
    print_table([["fold", "SRCC", "PLCC"], *rows])
    if given.results is not None:
        given.results.write_text(json.dumps(describe_results(folds, given.dataset), indent=2) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; its exit code."""
    parser = argparse.ArgumentParser(description="The cross-validation of a blend.", allow_abbrev=False)
    parser.add_argument("--run", type=Path, action="append", required=True, metavar="DIR", help="of iqa train --folds; repeat")
    parser.add_argument("--weight", type=float, action="append", default=[], metavar="W", help="one a run; else all alike")
    parser.add_argument(
        "--made", metavar="MODEL", help="the blend of each fold, {fold} its number: ask it, instead of averaging"
    )
    parser.add_argument("--data-root", type=Path, default=Path(), metavar="DIR", help="where the images of test.csv lie")
    parser.add_argument("--dataset", default="livec", metavar="NAME", help="the set, as it is named in the results")
    parser.add_argument("--results", type=Path, metavar="FILE", help="write the figures there")
    parser.set_defaults(json=None)
    return run_whole(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
