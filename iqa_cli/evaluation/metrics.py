"""Metrics of agreement between scores and ratings: two equally long rows of numbers in, one number out.

The figures of the VQEG and of ITU-T P.1401: rank correlation (monotony), linear correlation and RMSE (accuracy), the latter
raw or after a logistic curve that takes out the scale. A correlation with a constant is undefined, hence nan. Everything here
raises ValueError where the rows differ in length, have fewer than two numbers, or hold one that is not finite.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]  # [n]

FIT_STEPS = 300  # of Levenberg and Marquardt; a fit takes 5 to 30, where the best curve is nearly exponential up to 100
FIT_TOLERANCE = 1e-12  # a fit ends when a step improves the squared error by a smaller share
FIT_WIDTHS = (0.25, 1.0, 4.0)  # starting widths of the curve in standard deviations: a step, an S, nearly a line
REACH = 10.0  # widths between the middle and the nearest prediction; beyond, the curve is exponential to eight digits
TINY = 1e-300  # the squared length of a curve that is flat in double precision
LAST_DIGITS = 1e-15  # some units of a double's last place at 1
LOG_WIDTHS = -12.0, 12.0  # beyond, a curve is a step or a line in double precision


def as_pair(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Both rows as float64 [n]. Raises ValueError where they are no pair of rows."""
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"two rows of equal length are needed, not shapes {first.shape} and {second.shape}")
    if len(first) < 2:
        raise ValueError(f"at least two pairs are needed, not {len(first)}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("all numbers must be finite")
    return first, second


def rank(values: npt.ArrayLike) -> Floats:
    """Ranks of the values from 1; equal ones share the average of their ranks."""
    _, place, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    averages: Floats = last - (counts - 1) / 2.0
    return averages[place]


def centre(values: Floats) -> Floats:
    """The row less its mean, scaled to length 1; all nan where it is constant."""
    if values.max() == values.min():
        return np.full_like(values, np.nan)
    scaled = values / np.abs(values).max()  # so that neither the sum nor the squares leave the range of floats
    if scaled.max() == scaled.min():  # not constant, but closer than double precision tells
        return np.full_like(values, np.nan)
    scaled = scaled - scaled.mean()
    return np.asarray(scaled / np.linalg.norm(scaled))


def limit(correlations: npt.ArrayLike) -> Floats:
    """Correlations within -1 to 1; of those that nothing but rounding keeps from an end, the end."""
    limited = np.clip(np.asarray(correlations, dtype=np.float64), -1.0, 1.0)
    return np.where(1.0 - np.abs(limited) < LAST_DIGITS, np.sign(limited), limited)


def plcc(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Pearson's linear correlation, -1 to 1."""
    first, second = as_pair(a, b)
    return float(limit(np.sum(centre(first) * centre(second))))


def srcc(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Spearman's rank correlation, -1 to 1; ties share their average rank."""
    first, second = as_pair(a, b)
    return plcc(rank(first), rank(second))


def count_inversions(values: npt.NDArray[np.int64]) -> int:
    """Count pairs i < j with values[i] > values[j], of numbers >= 0, in O(n log n).

    Bit by bit from the highest: among numbers that agree in all higher bits, a one before a zero is an inversion. Sorting
    stably by the bits seen so far keeps such numbers side by side and in their order.
    """
    total = 0
    for bit in range(int(values.max()).bit_length() - 1, -1, -1):
        higher, ones = values >> (bit + 1), (values >> bit) & 1
        before = np.cumsum(ones) - ones
        starts = np.searchsorted(higher, higher)  # where each number's group begins
        total += int(np.sum((before - before[starts])[ones == 0]))
        values = values[np.argsort(values >> bit, kind="stable")]
    return total


def count_ties(codes: npt.NDArray[np.int64]) -> int:
    """Count pairs of equal codes."""
    counts = np.unique(codes, return_counts=True)[1].astype(np.int64)
    return int(np.sum(counts * (counts - 1) // 2))


def krcc(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Kendall's rank correlation tau-b, -1 to 1 (ties count for neither side), in O(n log n)."""
    first, second = (np.unique(values, return_inverse=True)[1].astype(np.int64) for values in as_pair(a, b))
    n = len(first)
    pairs, both = n * (n - 1) // 2, count_ties(first * (int(second.max()) + 1) + second)
    free_first, free_second = pairs - count_ties(first), pairs - count_ties(second)
    if not free_first or not free_second:
        return float("nan")
    discordant = count_inversions(second[np.lexsort((second, first))])
    concordant_less_discordant = free_first + free_second - pairs + both - 2 * discordant
    return float(limit(concordant_less_discordant / (free_first**0.5 * free_second**0.5)))


def rmse(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Root of the mean squared difference, in the rows' own unit."""
    first, second = as_pair(a, b)
    return float(np.sqrt(np.mean((first - second) ** 2)))


@dataclass(frozen=True)
class Logistic:
    """The monotone curve of four parameters that VQEG (2000, annex on data analysis) maps predictions to MOS with.

    left and right are its values far left and far right (right < left: the curve falls), middle is where it is half way, and
    width the scale of the ascent: left + (right - left) / (1 + exp(-(x - middle) / width)).
    """

    left: float
    right: float
    middle: float
    width: float

    def __call__(self, values: npt.ArrayLike) -> Floats:
        """The MOS [n] that belong to the predictions [n]."""
        share = 0.5 + 0.5 * np.tanh((np.asarray(values, dtype=np.float64) - self.middle) / (2 * self.width))
        return np.asarray(self.left + (self.right - self.left) * share)


def project(x: Floats, y: Floats, shape: Floats) -> tuple[Floats, Floats]:
    """Residuals [n] and Jacobian [n, 2] of the variable-projection fit of y, centred, by tanh((x - middle) / exp(log_width)).

    The curve is centred and times its best multiple, so offset and height need no search and the valleys of the search are
    short. The Jacobian, by the two numbers of the shape, is Kaufman's (1975): without the change of the best multiple, and its
    sign turned.
    """
    middle, narrow = shape[0], np.exp(-shape[1])
    z = (x - middle) * narrow
    curve = np.tanh(z)
    steep = 1 - curve**2
    curve = curve - curve.mean()
    length = max(float(curve @ curve), TINY)
    height = float(curve @ y) / length
    slopes = height * np.stack([-steep * narrow, -steep * z], axis=1)  # [n, 2]
    slopes = slopes - slopes.mean(axis=0)
    return y - height * curve, slopes - np.outer(curve, curve @ slopes / length)


def descend(x: Floats, y: Floats, shape: Floats) -> tuple[float, Floats]:
    """Fit the shape by Levenberg and Marquardt, y centred: the squared error that is reached, and (middle, log_width)."""
    damping = 1e-3
    rest, slopes = project(x, y, shape)
    error = float(rest @ rest)
    for _ in range(FIT_STEPS):
        normal, pull = slopes.T @ slopes, slopes.T @ rest
        if damping > 1e12 or not pull.any() or not error:
            break
        scale = np.diag(np.diag(normal) + 1e-12 * np.trace(normal))  # a flat direction still has some weight
        trial = shape + np.linalg.solve(normal + damping * scale, pull)
        trial[1] = np.clip(trial[1], *LOG_WIDTHS)
        reach = REACH * np.exp(trial[1])
        trial[0] = np.clip(trial[0], x.min() - reach, x.max() + reach)
        trial_rest, trial_slopes = project(x, y, trial)
        gain = 1 - float(trial_rest @ trial_rest) / error
        if gain <= 0:
            damping *= 4
            continue
        shape, rest, slopes, error = trial, trial_rest, trial_slopes, error * (1 - gain)
        damping = max(damping / 10, 1e-12)
        if gain < FIT_TOLERANCE:
            break
    return error, shape


def fit_logistic(prediction: npt.ArrayLike, mos: npt.ArrayLike) -> Logistic:
    """The logistic curve nearest to the MOS in the sense of least squares.

    The curve may fall as well as rise, as is the custom: a prediction that is wrong way round fits as well as its reverse.
    Where predictions or MOS are all equal it is flat, at the mean MOS.
    """
    x, y = as_pair(prediction, mos)
    (x_mean, x_std), (y_mean, y_std) = (x.mean(), x.std()), (y.mean(), y.std())
    if x.max() == x.min() or y.max() == y.min() or not x_std or not y_std:
        return Logistic(float(y_mean), float(y_mean), float(x_mean), 1.0)
    u, v = (x - x_mean) / x_std, (y - y_mean) / y_std
    starts = [np.array([0.0, np.log(width)]) for width in FIT_WIDTHS]
    _, (middle, log_width) = min((descend(u, v, start) for start in starts), key=lambda fit: fit[0])
    curve = np.tanh((u - middle) * np.exp(-log_width))
    bends = curve - curve.mean()
    height = float(bends @ v) / max(float(bends @ bends), TINY)
    offset = -height * curve.mean()
    left, right = (float(y_mean + y_std * (offset + side * height)) for side in (-1, 1))
    return Logistic(left, right, float(x_mean + x_std * middle), float(x_std * np.exp(log_width) / 2))


def plcc_fitted(prediction: npt.ArrayLike, mos: npt.ArrayLike) -> float:
    """Pearson's correlation of the MOS with the predictions after `fit_logistic`, 0 to 1: the sign is lost."""
    return plcc(fit_logistic(prediction, mos)(prediction), mos)
