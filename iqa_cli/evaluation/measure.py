"""Agreement of scores with people: correlations and RMSE on a rated set, and the images where they differ most.

Ratings are brought to a MOS of 0..100, higher is better, whatever the set's own scale and direction are, so that the RMSE of
different sets can be compared.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from math import isnan, nan

import numpy as np

from iqa_cli.datasets.labels import Labels
from iqa_cli.datasets.splits import take_test
from iqa_cli.errors import DataError, UsageError
from iqa_cli.evaluation.bootstrap import Groups, Row, draw_krcc, draw_plcc, draw_rmse, draw_srcc, find_intervals
from iqa_cli.evaluation.metrics import Floats, Logistic, fit_logistic, krcc, plcc, rmse, srcc
from iqa_cli.records import ScoreRecord

FEWEST = 3  # images that say anything: of two, every correlation is -1, 1 or undefined


@dataclass(frozen=True, slots=True)
class Pair:
    """One image with a score.

    group: what a split keeps whole. mos, score: 0 to 100, higher is better. subset: of the set, if of any.
    """

    path: str
    group: str
    mos: float
    score: float
    subset: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Ratings and scores of the images of one set.

    records: one a rating, in the order of the ratings; failed images have theirs too. score_range: the ends of the model's
    scale, from which scores are brought to 0..100.
    Raises ValueError where the records are not those of the images, or come from several models.
    """

    labels: Labels
    records: tuple[ScoreRecord, ...]
    score_range: tuple[float, float] = (0.0, 100.0)

    def __post_init__(self) -> None:
        if [record.path for record in self.records] != [str(path) for path in self.labels.paths]:
            raise ValueError("a record for each rated image is needed, in their order")
        if len({record.model for record in self.records}) != 1:
            raise ValueError("all records must come from one model")

    @property
    def model(self) -> str:
        """The name of the model."""
        return self.records[0].model

    @cached_property
    def pairs(self) -> list[Pair]:
        """The images that have a score, in their order."""
        rows = zip(self.records, self.labels.groups, self.labels.mos, self.labels.subsets, strict=True)
        return [
            Pair(record.path, group, float(mos), score, subset)
            for record, group, mos, subset in rows
            for score in [self.scale(record)]
            if score is not None
        ]

    def scale(self, record: ScoreRecord) -> float | None:
        """The score of a record on 0..100; None where it has none."""
        low, high = self.score_range
        if record.score is None or (low, high) == (0, 100):
            return record.score
        return 100 * (record.score - low) / (high - low)

    @property
    def failed(self) -> list[ScoreRecord]:
        """The records of the images that have none, each with the reason."""
        return [record for record in self.records if record.score is None]


@dataclass(frozen=True)
class Estimate:
    """A figure and the two ends of its 95 % confidence interval; nan where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Measurement:
    """Agreement of the scores with the MOS over all images of a set.

    images: how many the figures are about. failed: how many more have no score, and are in no figure.
    plcc: of the scores as they are; plcc_fitted: after `logistic`, which maps scores to MOS. In its interval the curve
    stays the same, because fitting one for each draw takes long and, from 200 images on, changes the ends by less than 0.002.
    rmse: after `logistic`, in points of MOS on 0..100.
    """

    dataset: str
    model: str
    images: int
    failed: int
    srcc: Estimate
    plcc: Estimate
    plcc_fitted: Estimate
    krcc: Estimate
    rmse: Estimate
    logistic: Logistic


@dataclass(frozen=True)
class Figures:
    """The figures of one measurement without intervals; as in `Measurement`."""

    srcc: float
    plcc: float
    plcc_fitted: float
    krcc: float
    rmse: float


@dataclass(frozen=True)
class SplitMeasurement:
    """Agreement of the scores with the MOS on the test parts of seeded splits.

    images, failed: of the whole set. parts: the figures of each test part; sizes: how many images each of them is of; median:
    of each figure over the parts.
    """

    dataset: str
    model: str
    images: int
    failed: int
    parts: tuple[Figures, ...]
    sizes: tuple[int, ...]
    median: Figures


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One image that model and people rate differently.

    fitted: the score on the scale of the MOS. residual: fitted less MOS; above 0 the model is too kind.
    """

    path: str
    mos: float
    score: float
    fitted: float
    residual: float


def compare(
    labels: Labels, records: Iterable[ScoreRecord], score_range: tuple[float, float] = Comparison.score_range
) -> Comparison:
    """The scores of a set's images, of `Pipeline.score` for `labels.paths` as strings, beside the ratings.

    score_range: the ends of their scale.
    """
    return Comparison(labels, tuple(records), score_range)


# ---- all of a set ----


def measure(comparison: Comparison, *, rounds: int | None = 1000, seed: int = 0) -> Measurement:
    """The figures over all images that have a score. rounds: None for no intervals, which are nan then.

    The intervals are bootstrapped: `rounds` times, whole groups are drawn with replacement, because versions of one photo say
    less than as many photos. Fewer than `FEWEST` images have none. Raises DataError where fewer than two images have a score.
    """
    scores, mos = take_rows(comparison, comparison.pairs)
    figures, logistic = compute_figures(scores, mos)
    ours, fitted, theirs = Row.of(scores), Row.of(logistic(scores)), Row.of(mos)
    drawn = {
        "srcc": draw_srcc(ours, theirs),
        "plcc": draw_plcc(ours, theirs),
        "plcc_fitted": draw_plcc(fitted, theirs),  # one curve for all draws, see `Measurement`
        "krcc": draw_krcc(ours, theirs),
        "rmse": draw_rmse(fitted, theirs),
    }
    ends = dict.fromkeys(drawn, (nan, nan))
    if rounds is not None and len(scores) >= FEWEST:
        ends = find_intervals(Groups.of([pair.group for pair in comparison.pairs]), drawn, rounds=rounds, seed=seed)
    return Measurement(
        dataset=comparison.labels.spec.name,
        model=comparison.model,
        images=len(scores),
        failed=len(comparison.failed),
        logistic=logistic,
        **{name: Estimate(getattr(figures, name), *ends[name]) for name in drawn},
    )


def take_rows(comparison: Comparison, pairs: Sequence[Pair]) -> tuple[Floats, Floats]:
    """Scores and MOS [n]. Raises DataError where they are fewer than two, with the first reason why."""
    if len(pairs) < 2:
        failed = comparison.failed
        why = f"; {len(failed)} images have none, the first: {failed[0].path}: {failed[0].detail}" if failed else ""
        title = comparison.labels.spec.title
        raise DataError(f"{title}: at least two images with a score are needed for a correlation, not {len(pairs)}{why}")
    return np.array([pair.score for pair in pairs]), np.array([pair.mos for pair in pairs])


def compute_figures(scores: Floats, mos: Floats) -> tuple[Figures, Logistic]:
    """The figures of two rows [n], n >= 2, and the curve that some of them are after."""
    logistic = fit_logistic(scores, mos)
    fitted = logistic(scores)
    figures = Figures(
        srcc=srcc(scores, mos),
        plcc=plcc(scores, mos),
        plcc_fitted=plcc(fitted, mos),
        krcc=krcc(scores, mos),
        rmse=rmse(fitted, mos),
    )
    return figures, logistic


# ---- parts of a set ----


def measure_splits(comparison: Comparison, *, repeats: int = 10, seed: int = 0) -> SplitMeasurement:
    """The figures over the test parts (see `splits.take_test`) with the seeds `seed`, `seed` + 1, and so on.

    For models that were trained on none of the images: of others, a test part holds images that they have seen. Raises
    DataError where a part has fewer than two scores or there is but one group, UsageError without repeats.
    """
    return measure_parts(comparison, take_parts(comparison, repeats, seed))


def measure_parts(comparison: Comparison, tests: Sequence[Sequence[Pair]]) -> SplitMeasurement:
    """The figures over test parts that are given by their images. Raises DataError where one has fewer than two."""
    parts = [compute_figures(*take_rows(comparison, part))[0] for part in tests]
    medians = {figure.name: find_median([getattr(part, figure.name) for part in parts]) for figure in fields(Figures)}
    return SplitMeasurement(
        dataset=comparison.labels.spec.name,
        model=comparison.model,
        images=len(comparison.pairs),
        failed=len(comparison.failed),
        parts=tuple(parts),
        sizes=tuple(map(len, tests)),
        median=Figures(**medians),
    )


def take_parts(comparison: Comparison, repeats: int, seed: int) -> list[list[Pair]]:
    """The images of each test part that have a score; the parts do not depend on which have. Raises as `measure_splits`."""
    if repeats < 1:
        raise UsageError(f"repeats is at least 1, not {repeats}")
    tests = [{str(path) for path in take_test(comparison.labels, seed + repeat).paths} for repeat in range(repeats)]
    return [[pair for pair in comparison.pairs if pair.path in test] for test in tests]


def find_median(values: Sequence[float]) -> float:
    """The median; nan where any value is."""
    return nan if any(map(isnan, values)) else statistics.median(values)


# ---- single images ----


def find_disagreements(pairs: Iterable[Pair], logistic: Logistic, count: int) -> list[Disagreement]:
    """The `count` images (or all, if fewer) whose fitted score is furthest from the MOS, the worst first."""
    rows = list(pairs)
    fitted = logistic([pair.score for pair in rows]).tolist()
    all_of_them = [
        Disagreement(pair.path, pair.mos, pair.score, value, value - pair.mos) for pair, value in zip(rows, fitted, strict=True)
    ]
    return sorted(all_of_them, key=lambda row: (-abs(row.residual), row.path))[: max(count, 0)]
