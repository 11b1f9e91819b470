"""Figures within a subset are those of its images alone, whatever the rest of the set is."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_measure import compare_drawn, label, record
from test_report import evaluate, write

from iqa_cli.datasets.splits import split_groups
from iqa_cli.evaluation.measure import Comparison, compare, measure, take_parts
from iqa_cli.evaluation.report import describe_evaluation, list_rows
from iqa_cli.evaluation.subsets import measure_subsets


def compare_subsets(subsets: str, mos: list[float], scores: list[float | None]) -> Comparison:
    """Images whose subsets are single letters; - is none."""
    labels = label(mos)
    names = (None if letter == "-" else letter for letter in subsets)
    ratings = tuple(replace(rating, subset=name) for rating, name in zip(labels.ratings, names, strict=True))
    labels = replace(labels, ratings=ratings)
    return compare(labels, record(labels, scores))


MOS = [10.0, 60, 20, 70, 30, 80, 40, 50, 99, 1, 90, 95, 33]
SCORES: list[float | None] = [20, 3, 30, 1, 30, 2, 50, 40, 0, 100, 7, 8, None]
COMPARISON = compare_subsets("abababaa--ccb", MOS, SCORES)


def test_by_hand() -> None:
    """a: as in test_measure, with ties; b: places 3, 1, 2 against 1, 2, 3, one image failed; c: of two images."""
    a, b, c = measure_subsets(COMPARISON)
    assert (a.subset, a.images, a.failed, a.srcc, a.plcc) == (
        "a",
        5,
        0,
        pytest.approx(8.5 / 95**0.5),
        pytest.approx(0.83205, abs=1e-5),
    )
    assert (b.subset, b.images, b.failed, b.srcc, b.plcc) == ("b", 3, 1, pytest.approx(-0.5), pytest.approx(-0.5))
    assert (c.subset, c.images, c.failed) == ("c", 2, 0)
    assert math.isnan(c.srcc)
    assert math.isnan(c.plcc)


def test_a_set_without_subsets_has_none() -> None:
    assert measure_subsets(compare_drawn(20)) == ()


def test_a_subset_is_measured_as_a_set_of_its_own_would_be() -> None:
    rng = np.random.default_rng(5)
    mos, noise = np.round(rng.uniform(5, 95, 90)), rng.normal(0, 20, 90)
    scores = list(np.round(np.clip(mos + noise, 0, 100)))
    found = measure_subsets(compare_subsets("xyz" * 30, list(mos), scores))
    for place, row in enumerate(found):
        alone = label(mos[place::3])
        measured = measure(compare(alone, record(alone, scores[place::3])), rounds=1)
        assert (row.subset, row.images) == ("xyz"[place], 30)
        assert (row.srcc, row.plcc) == pytest.approx((measured.srcc.value, measured.plcc.value), abs=1e-12)


def test_a_constant_subset_has_no_correlation_but_is_counted() -> None:
    (row,) = measure_subsets(compare_subsets("aaa-", [10, 20, 30, 40], [5, 5, 5, 6]))
    assert (row.images, math.isnan(row.srcc), math.isnan(row.plcc)) == (3, True, True)


def test_over_several_splits_it_is_the_median_over_their_test_parts() -> None:
    rng = np.random.default_rng(1)
    mos, scores = rng.uniform(5, 95, 120), rng.uniform(0, 100, 120)
    comparison = compare_subsets("pq" * 60, list(mos), list(scores))
    first, second = measure_subsets(comparison, take_parts(comparison, 3, 8))
    for place, row in enumerate((first, second)):
        tests = [split_groups([f"{i}.png" for i in range(120)], seed=seed)[1] for seed in (8, 9, 10)]
        own = [np.array([i for i in test if i % 2 == place]) for test in tests]
        ranks = [(np.argsort(np.argsort(scores[i])), np.argsort(np.argsort(mos[i]))) for i in own]  # none are tied
        assert row.srcc == pytest.approx(np.median([np.corrcoef(*pair)[0, 1] for pair in ranks]), abs=1e-12)
        assert row.plcc == pytest.approx(np.median([np.corrcoef(scores[i], mos[i])[0, 1] for i in own]), abs=1e-12)
        assert row.images == np.median([len(i) for i in own])


def test_a_subset_that_is_too_small_in_one_test_part_has_no_median() -> None:
    comparison = compare_subsets("s" * 3 + "t" * 57, list(range(60)), [float(i) for i in range(60)])
    small, large = measure_subsets(comparison, take_parts(comparison, 3, 0))
    assert (small.images, math.isnan(small.srcc)) == (0, True)
    assert large.srcc == pytest.approx(1)


# ---- as it is shown ----


EVALUATION = replace(
    evaluate(), comparison=COMPARISON, measurement=measure(COMPARISON, rounds=5), subsets=measure_subsets(COMPARISON)
)


def test_each_subset_is_a_row_below_that_of_the_set() -> None:
    rows = list_rows(EVALUATION)
    assert {tuple(row) for row in rows} == {tuple(rows[0])}
    shown = ("dataset", "model", "subset", "source", "images", "failed", "srcc", "plcc", "rmse", "srcc_low")
    assert [tuple(row[name] for name in shown) for row in rows[1:]] == [
        ("livec", "runs/toy", "a", "measured", 5, 0, 0.8721, 0.8321, None, None),
        ("livec", "runs/toy", "b", "measured", 3, 1, -0.5, -0.5, None, None),
        ("livec", "runs/toy", "c", "measured", 2, 0, None, None, None, None),
    ]
    assert (rows[0]["subset"], rows[0]["images"], rows[0]["failed"]) == (None, 12, 1)


def test_the_json_lists_them_and_the_csv_tells_them(tmp_path: Path) -> None:
    data = describe_evaluation(EVALUATION, 0)["subsets"]
    assert [row["subset"] for row in data] == ["a", "b", "c"]
    assert json.loads(json.dumps(data, allow_nan=False))[2] == {
        "subset": "c",
        "images": 2,
        "failed": 0,
        "srcc": None,
        "plcc": None,
    }
    assert describe_evaluation(evaluate(), 0)["subsets"] == []
    write(tmp_path / "x.csv", EVALUATION, kind="images")
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert "".join(row["subset"] or "-" for row in rows) == "abababaa--ccb"
    scored = [row for row in rows if row["subset"] == "b" and row["score"]]
    columns = [[float(row[name]) for row in scored] for name in ("score", "opinion")]
    assert np.corrcoef(*columns)[0, 1] == pytest.approx(data[1]["plcc"], abs=1e-6)
