"""A figure of a draw is the figure of the images as they were drawn, ties and all; intervals are as wide as theory says."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from iqa_cli.evaluation import metrics
from iqa_cli.evaluation.bootstrap import (
    Figure,
    Groups,
    Row,
    Weights,
    draw_krcc,
    draw_plcc,
    draw_rmse,
    draw_srcc,
    find_ends,
    find_intervals,
)

Statistic = Callable[[np.ndarray, np.ndarray], float]
PAIRS: list[tuple[Callable[[Row, Row], Figure], Statistic]] = [
    (draw_plcc, metrics.plcc),
    (draw_srcc, metrics.srcc),
    (draw_krcc, metrics.krcc),
    (draw_rmse, metrics.rmse),
]


def draw_rows(seed: int, n: int, levels: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Two rows that agree more or less; few levels make many ties."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    b = a + rng.normal(size=n)
    return (a, b) if levels is None else (np.round(a * levels), np.round(b * levels))


def draw_all(groups: Groups, rounds: int, seed: int = 0) -> Weights:
    return np.concatenate(list(groups.draw(rounds, seed)))


def each_its_own(n: int) -> Groups:
    return Groups.of([str(i) for i in range(n)])


# ---- draws ----


def test_a_draw_has_as_many_groups_as_there_are_and_takes_them_whole() -> None:
    weights = draw_all(Groups.of(["a", "b", "a", "c", "b", "a"]), 200)
    assert weights.shape == (200, 6)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 0] == weights[:, 5]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, 0] + weights[:, 1] + weights[:, 3] == 3).all()
    assert weights.max() > 1
    assert weights[:, 0].mean() == pytest.approx(1, abs=0.15)


def test_draws_depend_on_the_seed_and_not_on_how_many_are_made_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = each_its_own(50)
    at_once = draw_all(groups, 40, seed=5)
    assert (at_once != draw_all(groups, 40, seed=6)).any()
    monkeypatch.setattr("iqa_cli.evaluation.bootstrap.CELLS", 150)
    parts = list(groups.draw(40, 5))
    assert [len(part) for part in parts] == [3] * 13 + [1]
    assert (np.concatenate(parts) == at_once).all()


# ---- figures of draws ----


@pytest.mark.parametrize(("drawn", "statistic"), PAIRS, ids=["plcc", "srcc", "krcc", "rmse"])
@pytest.mark.parametrize(("n", "levels"), [(2, None), (5, 1), (7, 2), (64, None), (200, 3), (333, 40)])
def test_a_figure_of_a_draw_is_that_of_the_images_drawn(
    drawn: Callable[[Row, Row], Figure], statistic: Statistic, n: int, levels: int | None
) -> None:
    a, b = draw_rows(n, n, levels)
    weights = draw_all(each_its_own(n), 60)
    wanted = [statistic(np.repeat(a, times), np.repeat(b, times)) for times in weights.astype(int)]
    found = drawn(Row.of(a), Row.of(b))(weights)
    assert found == pytest.approx(wanted, abs=1e-12, nan_ok=True)
    assert np.isfinite(found).any()


def test_draws_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    a, b = draw_rows(1, 150, 12)
    weights = draw_all(each_its_own(150), 20)
    a_row, b_row = Row.of(a), Row.of(b)
    for times, tau, rho in zip(
        weights.astype(int), draw_krcc(a_row, b_row)(weights), draw_srcc(a_row, b_row)(weights), strict=True
    ):
        x, y = np.repeat(a, times), np.repeat(b, times)
        assert tau == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-9)
        assert rho == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-9)


@pytest.mark.parametrize(("drawn", "statistic"), PAIRS[:3], ids=["plcc", "srcc", "krcc"])
def test_a_constant_has_no_correlation_in_any_draw(drawn: Callable[[Row, Row], Figure], statistic: Statistic) -> None:
    a, b = np.full(9, 0.1), np.arange(9.0)
    assert math.isnan(statistic(a, b))
    assert np.isnan(drawn(Row.of(a), Row.of(b))(draw_all(each_its_own(9), 30))).all()
    assert np.isnan(drawn(Row.of(b), Row.of(a))(draw_all(each_its_own(9), 30))).all()


@pytest.mark.parametrize("scale", [1e-200, 1e-9, 1e150])
def test_no_scale_is_too_small_or_too_large(scale: float) -> None:
    a, b = draw_rows(4, 40, None)
    weights = draw_all(each_its_own(40), 10)
    plain = draw_plcc(Row.of(a), Row.of(b))(weights)
    assert draw_plcc(Row.of(a * scale), Row.of(b))(weights) == pytest.approx(plain, abs=1e-9)


# ---- intervals ----


def test_an_interval_has_the_width_of_theory() -> None:
    a, b = draw_rows(11, 400, None)
    difference = a - b
    figures: dict[str, Figure] = {"mean": lambda weights: weights @ difference / weights.sum(axis=1)}
    low, high = find_intervals(each_its_own(400), figures, rounds=4000, seed=3)["mean"]
    assert high - low == pytest.approx(2 * 1.96 * difference.std() / 20, rel=0.06)
    assert low < difference.mean() < high
    narrow = find_intervals(each_its_own(400), figures, rounds=4000, seed=3, level=0.5)["mean"]
    assert low < narrow[0] < narrow[1] < high


def test_draws_without_a_value_are_left_out() -> None:
    assert find_ends(np.array([np.nan, 1.0, 3.0, np.nan, 2.0]), 0.9) == pytest.approx((1.1, 2.9))
    assert all(map(math.isnan, find_ends(np.array([np.nan, np.nan]), 0.95)))


def test_one_group_says_nothing_of_others() -> None:
    row = Row.of([1.0, 2, 3])
    ends = find_intervals(Groups.of(["a", "a", "a"]), {"plcc": draw_plcc(row, row)}, rounds=10, seed=0)["plcc"]
    assert all(map(math.isnan, ends))


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"level": 0.0}, {"level": 1.0}])
def test_impossible_intervals_are_refused(wrong: dict[str, float]) -> None:
    options = {"rounds": 5, "level": 0.95} | wrong
    with pytest.raises(ValueError, match="impossible interval"):
        find_intervals(each_its_own(3), {}, seed=0, **options)
