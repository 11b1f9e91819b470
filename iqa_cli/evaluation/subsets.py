"""Agreement of scores with people within the subsets of a set, which may differ in kind and in mean.

Correlation over a whole set also tells subsets apart; within one it tells whether images of one kind are ranked as people do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from statistics import median_low

from iqa_cli.evaluation.measure import FEWEST, Comparison, Pair, find_median
from iqa_cli.evaluation.metrics import plcc, srcc


@dataclass(frozen=True)
class SubsetMeasurement:
    """Agreement of the scores with the MOS within one subset.

    images: of the subset, those that have a score, of several test parts the median; failed: of the whole set, those that have
    none. srcc, plcc: of the scores as they are; nan where they are not defined or there are fewer than `FEWEST` images.
    """

    subset: str
    images: int
    failed: int
    srcc: float
    plcc: float


def measure_subsets(comparison: Comparison, parts: Sequence[Sequence[Pair]] | None = None) -> tuple[SubsetMeasurement, ...]:
    """The figures within each subset, by name; none where the set has no subsets. Images of no subset are in none of them.

    parts: the images of several test parts, over which the median is taken, nan where it is so in any; None: all of the set.
    """
    names = sorted({subset for subset in comparison.labels.subsets if subset is not None})
    return tuple(measure_subset(comparison, name, [comparison.pairs] if parts is None else parts) for name in names)


def measure_subset(comparison: Comparison, name: str, parts: Sequence[Sequence[Pair]]) -> SubsetMeasurement:
    """The figures within one subset."""
    within = [[pair for pair in part if pair.subset == name] for part in parts]
    figures = [correlate(pairs) for pairs in within]
    scored = sum(pair.subset == name for pair in comparison.pairs)
    return SubsetMeasurement(
        subset=name,
        images=median_low(map(len, within)),
        failed=comparison.labels.subsets.count(name) - scored,
        srcc=find_median([figure[0] for figure in figures]),
        plcc=find_median([figure[1] for figure in figures]),
    )


def correlate(pairs: Sequence[Pair]) -> tuple[float, float]:
    """SRCC and PLCC of some images; nan where there are too few."""
    scores, mos = [pair.score for pair in pairs], [pair.mos for pair in pairs]
    return (srcc(scores, mos), plcc(scores, mos)) if len(pairs) >= FEWEST else (nan, nan)
