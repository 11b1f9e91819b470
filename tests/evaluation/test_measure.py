"""The figures are those of SciPy on the right images; failed images are counted, never dropped in silence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from iqa_cli.datasets.catalog import DATASETS
from iqa_cli.datasets.labels import Labels
from iqa_cli.datasets.readers import Rating
from iqa_cli.datasets.splits import split_groups
from iqa_cli.errors import DataError, UsageError
from iqa_cli.evaluation.measure import Comparison, Pair, compare, find_disagreements, measure, measure_splits
from iqa_cli.evaluation.metrics import Logistic
from iqa_cli.records import ScoreRecord, Status

ROOT = Path("set")


def label(scores: Sequence[float], dataset: str = "livec", references: Sequence[str] | None = None) -> Labels:
    """Labels of images 0.png, 1.png, ..., each its own reference unless said."""
    names = references or [f"{i}.png" for i in range(len(scores))]
    ratings = (Rating(f"{i}.png", float(score), None, name) for i, (score, name) in enumerate(zip(scores, names, strict=True)))
    return Labels(DATASETS[dataset], ROOT, tuple(ratings))


def record(labels: Labels, scores: Sequence[float | None], model: str = "toy") -> list[ScoreRecord]:
    """What a scorer yields; None is an image that failed."""
    return [
        ScoreRecord(str(path), Status.DAMAGED, model, detail="cut short")
        if score is None
        else ScoreRecord(str(path), Status.OK, model, float(score), 50.0)
        for path, score in zip(labels.paths, scores, strict=True)
    ]


def draw(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Opinions and scores on 0..100 that agree more or less, some tied."""
    rng = np.random.default_rng(seed)
    ratings = rng.uniform(5, 95, n)
    return np.round(ratings), np.round(np.clip(ratings**1.5 / 9.75 + rng.normal(0, 12, n), 0, 100))


def compare_drawn(n: int, seed: int = 0) -> Comparison:
    ratings, scores = draw(n, seed)
    labels = label(ratings)
    return compare(labels, iter(record(labels, scores)))


# ---- all of a set ----


def test_the_figures_are_those_of_scipy() -> None:
    stats, optimize = pytest.importorskip("scipy.stats"), pytest.importorskip("scipy.optimize")
    ratings, scores = draw(150)
    measured = measure(compare_drawn(150), rounds=20)
    assert (measured.dataset, measured.model, measured.images, measured.failed) == ("livec", "toy", 150, 0)
    assert measured.srcc.value == pytest.approx(stats.spearmanr(scores, ratings).statistic, abs=1e-12)
    assert measured.plcc.value == pytest.approx(stats.pearsonr(scores, ratings).statistic, abs=1e-12)
    assert measured.krcc.value == pytest.approx(stats.kendalltau(scores, ratings).statistic, abs=1e-12)

    def curve(x, low, high, middle, width):
        return low + (high - low) / (1 + np.exp(-(x - middle) / width))

    best, _ = optimize.curve_fit(curve, scores, ratings, p0=(0, 100, 50, 20), maxfev=20_000)
    fitted = curve(scores, *best)
    assert measured.plcc_fitted.value == pytest.approx(stats.pearsonr(fitted, ratings).statistic, abs=1e-6)
    assert measured.rmse.value == pytest.approx(np.sqrt(np.mean((fitted - ratings) ** 2)), abs=1e-4)
    assert measured.logistic(scores) == pytest.approx(fitted, abs=0.05)


def test_by_hand_with_ties() -> None:
    labels = label([10, 20, 30, 40, 50])
    measured = measure(compare(labels, record(labels, [20, 30, 30, 50, 40])), rounds=5)
    assert measured.srcc.value == pytest.approx(
        0.87208, abs=1e-5
    )  # ranks 1, 2.5, 2.5, 5, 4 against 1 to 5: 8.5 / sqrt(9.5 * 10)
    assert measured.plcc.value == pytest.approx(0.83205, abs=1e-5)  # 600 / sqrt(520 * 1000)
    assert measured.krcc.value == pytest.approx(7 / math.sqrt(90), abs=1e-12)  # 8 pairs agree, 1 does not, 1 is tied


def test_perfect_agreement_has_no_error() -> None:
    labels = label(range(10, 91, 4))
    measured = measure(compare(labels, record(labels, range(10, 91, 4))), rounds=50)
    for estimate in (measured.srcc, measured.plcc, measured.krcc):
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx((1, 1, 1), abs=1e-12)
    assert measured.plcc_fitted.value > 0.9999
    assert measured.rmse.value < 0.1


def test_failed_images_are_counted_and_change_no_figure() -> None:
    ratings, scores = draw(60)
    holes = [None if i % 7 == 3 else score for i, score in enumerate(scores)]
    labels = label(ratings)
    comparison = compare(labels, record(labels, holes))
    assert [r.path for r in comparison.failed] == [str(labels.paths[i]) for i in range(3, 60, 7)]
    assert {r.detail for r in comparison.failed} == {"cut short"}
    measured = measure(comparison, rounds=30)
    assert (measured.images, measured.failed) == (51, 9)
    kept = [i for i, score in enumerate(holes) if score is not None]
    without = label(ratings[kept])
    assert measured == replace(measure(compare(without, record(without, scores[kept])), rounds=30), failed=9)


def test_opinions_of_every_set_come_out_on_one_scale() -> None:
    scores = [10.0, 35, 50, 62, 90]
    wanted = None
    for dataset in DATASETS:
        low, high = DATASETS[dataset].score_range
        ours = [low + (high - low) * share for share in (0.1, 0.3, 0.55, 0.6, 0.95)]
        if not DATASETS[dataset].higher_is_better:
            ours = [high + low - value for value in ours]
        labels = label(ours, dataset)
        comparison = compare(labels, record(labels, scores))
        assert [pair.mos for pair in comparison.pairs] == pytest.approx([10, 30, 55, 60, 95])
        measured = measure(comparison, rounds=5)
        assert measured.srcc.value == pytest.approx(1, abs=1e-12)
        wanted = wanted or measured.rmse.value
        assert measured.rmse.value == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("same", ["scores", "ratings"])
def test_a_constant_has_no_correlation_and_no_interval(same: str) -> None:
    rows = {"scores": [30.0, 40, 50, 60], "ratings": [20.0, 60, 40, 90]} | {same: [42.0] * 4}
    labels = label(rows["ratings"])
    measured = measure(compare(labels, record(labels, rows["scores"])), rounds=20)
    for estimate in (measured.srcc, measured.plcc, measured.plcc_fitted, measured.krcc):
        assert all(map(math.isnan, (estimate.value, estimate.low, estimate.high)))
    assert measured.rmse.value == pytest.approx(np.std(rows["ratings"]))  # the best that a flat curve can do


@pytest.mark.parametrize(("scores", "count"), [([None, None, None], 0), ([None, 50.0, None], 1)])
def test_too_few_scores_are_a_data_error_that_says_why(scores: list[float | None], count: int) -> None:
    labels = label([10, 20, 30])
    comparison = compare(labels, record(labels, scores))
    with pytest.raises(DataError) as raised:
        measure(comparison)
    assert str(raised.value).endswith(f"not {count}; {3 - count} images have none, the first: {labels.paths[0]}: cut short")


@pytest.mark.parametrize("wrong", ["order", "fewer", "others", "models", "none"])
def test_records_of_other_images_are_refused(wrong: str) -> None:
    labels = label([10, 20, 30])
    good = record(labels, [1, 2, 3])
    records = {
        "order": good[::-1],
        "fewer": good[:2],
        "others": [*good[:2], replace(good[2], path="elsewhere/2.png")],
        "models": [*good[:2], replace(good[2], model="another")],
        "none": [],
    }[wrong]
    with pytest.raises(ValueError, match=r"a record for each rated image|one model"):
        compare(labels, records)


# ---- intervals ----


def test_intervals_are_of_the_figures_on_the_images_as_drawn() -> None:
    stats = pytest.importorskip("scipy.stats")
    ratings, scores = draw(80)
    measured = measure(compare_drawn(80), rounds=100, seed=3)
    rng = np.random.default_rng(3)
    draws = [np.sort(rng.integers(80, size=80)) for _ in range(100)]
    fitted = measured.logistic(scores)
    wanted = {
        "srcc": [stats.spearmanr(scores[d], ratings[d]).statistic for d in draws],
        "plcc": [stats.pearsonr(scores[d], ratings[d]).statistic for d in draws],
        "plcc_fitted": [stats.pearsonr(fitted[d], ratings[d]).statistic for d in draws],
        "krcc": [stats.kendalltau(scores[d], ratings[d]).statistic for d in draws],
        "rmse": [np.sqrt(np.mean((fitted[d] - ratings[d]) ** 2)) for d in draws],
    }
    for name, values in wanted.items():
        estimate = getattr(measured, name)
        assert (estimate.low, estimate.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=1e-9), name
        assert estimate.low < estimate.value < estimate.high
    assert measured == measure(compare_drawn(80), rounds=100, seed=3)
    assert measured.srcc != measure(compare_drawn(80), rounds=100, seed=4).srcc


def test_copies_of_an_image_make_no_interval_narrower() -> None:
    ratings, scores = draw(30, seed=2)
    once = label(ratings)
    ten_times = label(np.repeat(ratings, 10), references=[f"photo{i // 10}" for i in range(300)])
    single = measure(compare(once, record(once, scores)), rounds=200)
    copied = measure(compare(ten_times, record(ten_times, np.repeat(scores, 10))), rounds=200)
    assert (copied.plcc.value, copied.plcc.low, copied.plcc.high) == pytest.approx(
        (single.plcc.value, single.plcc.low, single.plcc.high), abs=1e-9
    )
    loose = label(np.repeat(ratings, 10))  # as if nobody knew that they are copies
    fooled = measure(compare(loose, record(loose, np.repeat(scores, 10))), rounds=200)
    assert (fooled.plcc.high - fooled.plcc.low) < 0.5 * (copied.plcc.high - copied.plcc.low)


def test_one_group_has_figures_but_no_interval() -> None:
    labels = label([10, 20, 30, 50], references=["photo"] * 4)
    measured = measure(compare(labels, record(labels, [1, 2, 4, 3])), rounds=10)
    assert measured.srcc.value == pytest.approx(0.8)
    assert math.isnan(measured.srcc.low)
    assert math.isnan(measured.srcc.high)


def test_two_images_have_figures_but_no_interval() -> None:
    labels = label([10, 20])
    measured = measure(compare(labels, record(labels, [1, 2])), rounds=10)
    assert measured.srcc.value == 1
    assert all(math.isnan(end) for end in (measured.srcc.low, measured.srcc.high, measured.rmse.low, measured.rmse.high))


# ---- splits ----


def test_the_median_over_seeded_test_parts() -> None:
    stats = pytest.importorskip("scipy.stats")
    ratings, scores = draw(100)
    measured = measure_splits(compare_drawn(100), repeats=5, seed=7)
    values = []
    for seed in range(7, 12):
        _, test = split_groups([f"{i}.png" for i in range(100)], seed=seed)
        assert len(test) == 20
        values.append(stats.spearmanr(scores[test], ratings[test]).statistic)
    assert [part.srcc for part in measured.parts] == pytest.approx(values, abs=1e-12)
    assert measured.median.srcc == pytest.approx(np.median(values), abs=1e-12)
    for figure in fields(measured.median):
        part_values = [getattr(part, figure.name) for part in measured.parts]
        assert getattr(measured.median, figure.name) == pytest.approx(np.median(part_values), abs=1e-12)
    assert (measured.dataset, measured.model, measured.images, measured.failed) == ("livec", "toy", 100, 0)
    assert measured == measure_splits(compare_drawn(100), repeats=5, seed=7)


def test_a_part_is_measured_as_a_set_would_be() -> None:
    ratings, scores = draw(100)
    (part,) = measure_splits(compare_drawn(100), repeats=1, seed=5).parts
    _, test = split_groups([f"{i}.png" for i in range(100)], seed=5)
    alone = label(ratings[test])
    measured = measure(compare(alone, record(alone, scores[test])), rounds=1)
    assert (part.plcc, part.plcc_fitted, part.krcc, part.rmse) == pytest.approx(
        (measured.plcc.value, measured.plcc_fitted.value, measured.krcc.value, measured.rmse.value)
    )


def test_parts_hold_whole_groups_and_do_not_depend_on_failures() -> None:
    ratings, scores = draw(60)
    labels = label(ratings, references=[f"photo{i // 6}" for i in range(60)])
    _, test = split_groups(labels.groups, seed=0)
    assert len(test) == 12
    holes: list[float | None] = list(scores)
    holes[next(i for i in range(60) if i not in test)] = None  # a failure in the training part
    whole = measure_splits(compare(labels, record(labels, scores)), repeats=1)
    pierced = measure_splits(compare(labels, record(labels, holes)), repeats=1)
    assert pierced.parts == whole.parts
    assert (pierced.images, pierced.failed) == (59, 1)


def test_an_undefined_part_makes_the_median_undefined() -> None:
    labels = label([10.0] * 30)
    measured = measure_splits(compare(labels, record(labels, range(30))), repeats=3)
    assert all(math.isnan(value) for value in (measured.median.srcc, measured.median.plcc_fitted, measured.median.krcc))
    assert measured.median.rmse == 0


def test_impossible_splits_are_refused_in_words() -> None:
    labels = label([10, 20, 30], references=["photo"] * 3)
    with pytest.raises(DataError, match="cannot be split: no split of 1 groups"):
        measure_splits(compare(labels, record(labels, [1, 2, 3])))
    labels = label([10, 20, 30])
    with pytest.raises(DataError, match=r"at least two images with a score are needed for a correlation, not 1$"):
        measure_splits(compare(labels, record(labels, [1, 2, 3])))
    with pytest.raises(UsageError, match="repeats is at least 1, not 0"):
        measure_splits(compare(labels, record(labels, [1, 2, 3])), repeats=0)


# ---- single images ----


def test_the_worst_disagreements_come_first() -> None:
    line = Logistic(-950.0, 1050.0, 50.0, 500.0)  # nearly score = MOS between 0 and 100
    ratings, scores = [50, 20, 80, 60, 10], [52, 70, 40, 60, 49]
    pairs = [Pair(f"{i}.png", str(i), float(o), float(s)) for i, (o, s) in enumerate(zip(ratings, scores, strict=True))]
    worst = find_disagreements(pairs, line, 3)
    assert [row.path for row in worst] == ["1.png", "2.png", "4.png"]
    assert [round(row.residual) for row in worst] == [50, -40, 39]  # above 0 the model is too kind
    assert (worst[0].mos, worst[0].score) == (20, 70)
    assert worst[0].fitted == pytest.approx(float(line([70.0])[0]))
    assert len(find_disagreements(pairs, line, 99)) == 5
    assert find_disagreements(pairs, line, 0) == []


def test_residuals_are_of_the_fitted_score_and_ties_go_by_path() -> None:
    labels = label([10, 90, 10, 90])
    comparison = compare(labels, record(labels, [50, 50, 50, 50]))  # a flat curve, at 50
    worst = find_disagreements(comparison.pairs, measure(comparison, rounds=1).logistic, 4)
    assert [row.path for row in worst] == sorted(str(path) for path in labels.paths)
    assert [row.residual for row in worst] == pytest.approx([40, -40, 40, -40])
