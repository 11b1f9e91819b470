"""The figures agree with SciPy's, and say nan or raise where there is no figure."""

from __future__ import annotations

import math

import numpy as np
import pytest

from iqa_cli.evaluation import metrics

CORRELATIONS = [metrics.srcc, metrics.plcc, metrics.krcc]


def draw_pairs(seed: int, n: int, levels: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Correlated rows; with `levels`, rounded to about that many values, so that most are tied."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    b = 0.7 * a + 0.5 * rng.normal(size=n)
    if levels is None:
        return a, b
    return np.round(a * levels / 4), np.round(b * levels / 4)


def logistic(x, low, high, middle, width):
    return low + (high - low) / (1 + np.exp(-(x - middle) / width))


@pytest.mark.parametrize("n", [3, 10, 257, 3000])
@pytest.mark.parametrize("levels", [None, 3, 20])
def test_correlations_agree_with_scipy_ties_included(n: int, levels: int | None) -> None:
    stats = pytest.importorskip("scipy.stats")
    a, b = draw_pairs(n, n, levels)
    assert metrics.srcc(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-9)
    assert metrics.plcc(a, b) == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-9)
    assert metrics.krcc(a, b) == pytest.approx(stats.kendalltau(a, b).statistic, abs=1e-9)


def test_ranks_of_ties_are_averages() -> None:
    assert metrics.rank([10, 30, 10, 20, 30, 30]).tolist() == [1.5, 5, 1.5, 3, 5, 5]


def test_golden_numbers() -> None:
    a, b = [1, 2, 3, 4, 5], [5, 6, 7, 8, 7]
    assert metrics.srcc(a, b) == pytest.approx(0.8207826816681233, abs=1e-12)
    assert metrics.plcc(a, b) == pytest.approx(0.8320502943378437, abs=1e-12)
    assert metrics.krcc([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(4 / 6, abs=1e-12)
    assert metrics.rmse([0, 0, 0, 0], [1, -1, 1, -1]) == 1.0
    assert metrics.rmse([3, 4], [0, 0]) == pytest.approx(math.sqrt(12.5))


@pytest.mark.parametrize("statistic", CORRELATIONS)
def test_a_row_agrees_with_itself_and_disagrees_with_its_reverse(statistic) -> None:
    a, _ = draw_pairs(5, 100, 30)
    assert statistic(a, a) == pytest.approx(1, abs=1e-12)
    assert statistic(a, -a) == pytest.approx(-1, abs=1e-12)
    assert statistic(a, -a) >= -1
    assert statistic(a, a) <= 1


@pytest.mark.parametrize("statistic", [metrics.srcc, metrics.plcc])
def test_what_rounding_alone_keeps_from_an_end_is_the_end(statistic) -> None:
    for n in (3, 7, 20, 100, 1000):
        a, _ = draw_pairs(n, n, None)
        line = np.arange(float(n))
        assert (statistic(a, a), statistic(a, -a)) == (1.0, -1.0)
        assert (statistic(line, 3 * line + 0.1), statistic(line, 2 - line)) == (1.0, -1.0)
    assert metrics.limit([1 - 1e-12, 0.3]).tolist() == [1 - 1e-12, 0.3]


@pytest.mark.parametrize("statistic", [metrics.srcc, metrics.krcc])
def test_rank_correlations_ignore_a_rising_curve(statistic) -> None:
    a, b = draw_pairs(6, 200, None)
    assert statistic(np.exp(a), b) == statistic(a, b)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_no_scale_is_too_small_or_too_large(scale: float) -> None:
    a, b = draw_pairs(7, 50, None)
    assert metrics.plcc(a * scale, b) == pytest.approx(metrics.plcc(a, b), abs=1e-12)


@pytest.mark.parametrize("statistic", [*CORRELATIONS, metrics.plcc_fitted])
def test_a_constant_has_no_correlation(statistic) -> None:
    assert math.isnan(statistic([0.1] * 7, range(7)))
    assert math.isnan(statistic(range(7), [0.1] * 7))


def test_differences_below_precision_have_no_linear_correlation() -> None:
    assert math.isnan(metrics.plcc([5e-324, 0.0, 1e-320], [1, 1, 1]))
    assert np.isfinite(metrics.plcc([5e-324, 0.0, 1e-320], [1, 2, 3]))


@pytest.mark.parametrize("statistic", [*CORRELATIONS, metrics.rmse, metrics.plcc_fitted, metrics.fit_logistic])
@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ([1, 2, 3], [1, 2], "equal length"),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]], "equal length"),
        ([1], [1], "at least two pairs"),
        ([], [], "at least two pairs"),
        ([1, 2, math.nan], [1, 2, 3], "finite"),
        ([1, 2, 3], [1, 2, math.inf], "finite"),
    ],
)
def test_what_is_no_pair_of_rows_is_refused(statistic, a, b, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        statistic(a, b)


def test_forty_thousand_pairs_are_no_burden() -> None:
    stats = pytest.importorskip("scipy.stats")
    a, b = draw_pairs(8, 40_000, 900)
    assert metrics.krcc(a, b) == pytest.approx(stats.kendalltau(a, b).statistic, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("curve", [(10, 90, 0.5, 0.1), (90, 10, 0.4, 0.2), (0, 1, 3, 0.5), (20, 80, 0.5, 0.02)])
def test_the_fit_is_as_near_as_scipys(seed: int, curve: tuple[float, float, float, float]) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=300)
    y = logistic(x, *curve) + rng.normal(size=300) * 0.1 * np.ptp(logistic(x, *curve))
    fitted = metrics.fit_logistic(x, y)
    best, _ = optimize.curve_fit(logistic, x, y, p0=curve, maxfev=100_000, ftol=1e-14, xtol=1e-14)
    assert np.sum((fitted(x) - y) ** 2) <= np.sum((logistic(x, *best) - y) ** 2) * (1 + 1e-6)


def test_the_fit_finds_the_curve_that_the_data_lie_on() -> None:
    x = np.linspace(-3, 5, 40)
    found = metrics.fit_logistic(x, logistic(x, 12, 88, 1.5, 0.7))
    assert (found.left, found.right, found.middle, found.width) == pytest.approx((12, 88, 1.5, 0.7), rel=1e-6)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.arange(50.0), 3 * np.arange(50.0) + 2),  # a line: the best curve has no end
        (np.arange(50.0), (np.arange(50) > 24).astype(float)),  # a step: the best curve has no width
        (np.array([0.0, 1.0]), np.array([5.0, 7.0])),  # fewer points than parameters
        (1e6 + np.arange(9.0) * 1e-3, np.tanh(np.arange(9.0) - 3)),  # far from zero
    ],
)
def test_the_fit_stands_odd_data(x: np.ndarray, y: np.ndarray) -> None:
    fitted = metrics.fit_logistic(x, y)
    assert np.isfinite(fitted(x)).all()
    assert metrics.plcc_fitted(x, y) > 0.999
    assert metrics.rmse(fitted(x), y) <= 0.02 * np.std(y)


def test_the_fit_is_no_worse_than_a_line_and_forgets_the_sign() -> None:
    a, b = draw_pairs(9, 500, None)
    assert metrics.plcc_fitted(a, b) >= abs(metrics.plcc(a, b)) - 1e-9
    assert metrics.plcc_fitted(-a, b) == pytest.approx(metrics.plcc_fitted(a, b), abs=1e-6)
