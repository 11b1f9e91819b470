"""Bootstrap intervals: how far a figure would have been another one, had other images of the same kind been rated.

A draw says how often each image comes in it, and a figure of a draw is a figure with weights. But for Kendall's, images are
sorted once for all draws, not once a draw, which makes a thousand draws of ten thousand images a matter of seconds; the figures
are exactly those of `metrics` on the images as drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iqa_cli.evaluation.metrics import Floats, krcc, limit

Weights = npt.NDArray[np.float64]  # [draws, n]: how often each image comes, whole numbers
Places = npt.NDArray[np.int64]  # of images among the images, from 0
Figure = Callable[[Weights], Floats]  # a number a draw, nan where it is not defined

CELLS = 200_000  # of the weights that are drawn at a time: few enough to stay in the cache


@dataclass(frozen=True)
class Groups:
    """Groups of images that are drawn together, as all versions of one photo are."""

    numbers: Places  # [n], the group of each image
    count: int

    @classmethod
    def of(cls, names: Sequence[str]) -> Groups:
        """Groups from the name of each image's group."""
        number = {name: i for i, name in enumerate(dict.fromkeys(names))}
        return cls(np.array([number[name] for name in names], dtype=np.int64), len(number))

    def draw(self, rounds: int, seed: int) -> Iterator[Weights]:
        """Draw as many groups as there are, with replacement, `rounds` times; some draws at a time."""
        rng = np.random.default_rng(seed)
        size = max(CELLS // max(len(self.numbers), 1), 1)
        for begin in range(0, rounds, size):
            times = [
                np.bincount(rng.integers(self.count, size=self.count), minlength=self.count)
                for _ in range(min(size, rounds - begin))
            ]
            yield np.array(times, dtype=np.float64)[:, self.numbers]


@dataclass(frozen=True)
class Row:
    """A row of n numbers, sorted once for all draws.

    order: the places of the numbers, ascending. starts: where in it each different number begins. codes: which of the
    different numbers each is.
    """

    values: Floats  # [n]
    order: Places  # [n]
    starts: Places  # [different]
    codes: Places  # [n]

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Row:
        """A row from its numbers, at least one."""
        numbers = np.asarray(values, dtype=np.float64)
        _, codes, counts = np.unique(numbers, return_inverse=True, return_counts=True)
        return cls(numbers, np.argsort(codes, kind="stable"), np.cumsum(counts) - counts, codes.astype(np.int64))

    def count(self, weights: Weights) -> Weights:
        """Count how often each different number comes [draws, different]."""
        return np.add.reduceat(weights[:, self.order], self.starts, axis=1)

    def rank(self, weights: Weights) -> Weights:
        """Ranks of all numbers in each draw [draws, n], from 1/2; equal ones share their average."""
        counts = self.count(weights)
        averages: Weights = np.cumsum(counts, axis=1) - counts / 2
        return averages[:, self.codes]


def correlate(x: Floats | Weights, y: Floats | Weights, weights: Weights) -> Floats:
    """Pearson's correlation in each draw [draws], of numbers that are the same in all draws [n] or not [draws, n]."""
    total = weights.sum(axis=1, keepdims=True)
    x = x - np.sum(weights * x, axis=1, keepdims=True) / total
    y = y - np.sum(weights * y, axis=1, keepdims=True) / total
    lengths = np.sum(weights * x**2, axis=1) * np.sum(weights * y**2, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return limit(np.sum(weights * x * y, axis=1) / np.sqrt(lengths))


def leave_defined(figures: Floats, weights: Weights, *rows: Row) -> Floats:
    """The figures with nan for draws in which a row is constant."""
    several = [np.count_nonzero(row.count(weights), axis=1) > 1 for row in rows]
    return np.where(np.all(several, axis=0), figures, np.nan)


def draw_plcc(a: Row, b: Row) -> Figure:
    """Pearson's correlation of each draw, as `metrics.plcc`."""
    x, y = ((row.values - row.values.mean()) / max(float(np.abs(row.values).max()), 1e-300) for row in (a, b))
    return lambda weights: leave_defined(correlate(x, y, weights), weights, a, b)


def draw_srcc(a: Row, b: Row) -> Figure:
    """Spearman's correlation of each draw, as `metrics.srcc`."""
    return lambda weights: leave_defined(correlate(a.rank(weights), b.rank(weights), weights), weights, a, b)


def draw_rmse(a: Row, b: Row) -> Figure:
    """RMSE of each draw, as `metrics.rmse`."""
    squares = (a.values - b.values) ** 2
    return lambda weights: np.sqrt(weights @ squares / weights.sum(axis=1))


def draw_krcc(a: Row, b: Row) -> Figure:
    """Kendall's correlation of each draw, as `metrics.krcc`, one draw after the other."""

    def compute(weights: Weights) -> Floats:
        drawn = (np.repeat(np.arange(len(a.values)), times) for times in weights.astype(np.int64))
        return np.array([krcc(a.values[places], b.values[places]) for places in drawn])

    return compute


def find_intervals(
    groups: Groups, figures: Mapping[str, Figure], *, rounds: int, seed: int, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """The percentile interval of each figure over the same draws of whole groups: its lower and its upper end.

    Draws in which a figure is not defined are left out of its interval; both ends are nan where all are, and for a single
    group, which says nothing of others. Raises ValueError without rounds or for an impossible level.
    """
    if rounds < 1 or not 0 < level < 1:
        raise ValueError(f"impossible interval: {rounds} rounds, level {level}")
    if groups.count < 2:
        return dict.fromkeys(figures, (np.nan, np.nan))
    values: dict[str, list[Floats]] = {name: [] for name in figures}
    for weights in groups.draw(rounds, seed):
        for name, figure in figures.items():
            values[name].append(figure(weights))
    return {name: find_ends(np.concatenate(drawn), level) for name, drawn in values.items()}


def find_ends(values: Floats, level: float) -> tuple[float, float]:
    """The quantiles that the middle share of the values lies between; nan without any."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        return np.nan, np.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
