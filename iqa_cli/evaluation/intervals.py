"""Prediction intervals: how far from a score the mean opinion may lie, from the errors on images that a network has not seen.

Split conformal prediction, local in the score: around each of 101 scores the interval is as wide as holds nine tenths of the
errors of the nearest predictions. Lei, G'Sell, Rinaldo, Tibshirani and Wasserman, "Distribution-free predictive inference for
regression", JASA 113 (2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
import numpy.typing as npt

from iqa_cli.datasets.delimited import read_table
from iqa_cli.errors import DataError
from iqa_cli.models.card import Intervals, ModelCard

Values = npt.NDArray[np.float64]

COVERAGE = 0.9
POINTS = 101  # scores, evenly over the scale, at which a width is kept
MIN_NEAREST = 100  # errors that a width is made of
PREDICTIONS = "test.csv"  # of a fold's folder: image, opinion, score
NEAREST_SHARE = 1 / 6  # of all errors, where those are more
SMOOTHING = 11  # widths that are averaged


@dataclass(frozen=True)
class Fold:
    """Predictions for images that their network has not seen, and the MOS of these, both [n], on one scale of 0 to 100."""

    predicted: Values
    mos: Values


def fit_half_widths(folds: Sequence[Fold]) -> Values:
    """Half-widths [101] of the intervals around the scores 0 to 100 that hold the mean opinion with COVERAGE.

    Raises ValueError for fewer than MIN_NEAREST images.
    """
    predicted = np.concatenate([fold.predicted for fold in folds])
    errors = np.abs(predicted - np.concatenate([fold.mos for fold in folds]))
    count = max(MIN_NEAREST, round(len(errors) * NEAREST_SHARE))
    if len(errors) < count:
        raise ValueError(f"{len(errors)} images are too few: at least {MIN_NEAREST} are needed")
    rank = min(count, ceil(COVERAGE * (count + 1))) - 1  # of the error that the next one exceeds with 1 - COVERAGE
    widths = []
    for score in np.linspace(0.0, 100.0, POINTS):
        nearest = np.argpartition(np.abs(predicted - score), count - 1)[:count]
        widths.append(np.partition(errors[nearest], rank)[rank])
    padded = np.pad(widths, SMOOTHING // 2, mode="edge")
    return np.convolve(padded, np.full(SMOOTHING, 1 / SMOOTHING), mode="valid")


def measure_coverage(folds: Sequence[Fold]) -> list[float]:
    """The share of each fold's images whose MOS is in the interval that the other folds give. Raises as `fit_half_widths`."""
    shares = []
    for number, fold in enumerate(folds):
        widths = fit_half_widths([other for i, other in enumerate(folds) if i != number])
        allowed = np.interp(fold.predicted, np.linspace(0.0, 100.0, POINTS), widths)
        shares.append(float(np.mean(np.abs(fold.predicted - fold.mos) <= allowed)))
    return shares


def read_folds(run_dirs: Sequence[Path], card: ModelCard) -> list[Fold]:
    """The predictions of each fold in the folders of runs, for the folds' own test images.

    Raises DataError where there are fewer than two folds, or something that is no score on the card's scale.
    """
    paths = [path for run_dir in run_dirs for path in sorted(run_dir.glob(f"fold*/{PREDICTIONS}"))]
    if len(paths) < 2:
        where = ", ".join(map(str, run_dirs))
        raise DataError(f"{where}: {len(paths)} folds with {PREDICTIONS}, and at least two are needed: train with --folds 5")
    return [read_fold(path, card) for path in paths]


def read_fold(path: Path, card: ModelCard) -> Fold:
    """The predictions of one fold, as shares of the score range times 100. Raises DataError."""
    rows = read_table(path, (), ("score", "opinion"))
    least, greatest = card.score_range
    predicted, mos = (np.array([float(row[name]) for row in rows]) for name in ("score", "opinion"))
    values = np.concatenate([predicted, mos])
    if not len(values) or not (values.min() >= least and values.max() <= greatest):
        raise DataError(f"{path}: not scores and opinions on the scale of {card.name}, {least:g} to {greatest:g}")
    scale = 100.0 / (greatest - least)
    return Fold((predicted - least) * scale, (mos - least) * scale)


def find_intervals(run_dirs: Sequence[Path], card: ModelCard) -> Intervals:
    """How certain the scores of a model are, from folds that were trained as it was. Raises DataError."""
    folds = read_folds(run_dirs, card)
    least, greatest = card.score_range
    try:
        widths = fit_half_widths(folds) * (greatest - least) / 100.0
        coverage = measure_coverage(folds)
    except ValueError as error:
        raise DataError(f"{', '.join(map(str, run_dirs))}: {error}") from error
    images = sum(len(fold.mos) for fold in folds)
    return Intervals(tuple(np.round(widths, 2).tolist()), tuple(np.round(coverage, 4).tolist()), images)


def describe(intervals: Intervals) -> list[str]:
    """The intervals in words, two lines."""
    middle, shares = intervals.half_widths[len(intervals.half_widths) // 2], ", ".join(f"{x:.3f}" for x in intervals.coverage)
    mean = sum(intervals.coverage) / len(intervals.coverage)
    narrow, wide = min(intervals.half_widths), max(intervals.half_widths)
    return [
        f"half-width of the intervals: {middle:.1f} points in the middle of the scale, {narrow:.1f} to {wide:.1f} elsewhere",
        f"share of {intervals.images} images within those of the other folds: {shares}; mean {mean:.3f}",
    ]
