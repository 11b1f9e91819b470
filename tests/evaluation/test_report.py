"""What is written can be read back: the CSV gives the same correlations, the JSON is strict, files appear whole."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import CARD

from iqa_cli.datasets.catalog import DATASETS
from iqa_cli.datasets.labels import Labels
from iqa_cli.datasets.readers import Rating
from iqa_cli.errors import DataError, UsageError
from iqa_cli.evaluation import metrics
from iqa_cli.evaluation.contamination import find_contamination
from iqa_cli.evaluation.measure import compare, measure, measure_splits
from iqa_cli.evaluation.protocol import Part, Protocol
from iqa_cli.evaluation.published import find_published
from iqa_cli.evaluation.report import COLUMNS, describe_evaluation, list_outputs, list_rows, open_results, round_value
from iqa_cli.evaluation.run import Evaluation
from iqa_cli.files.outputs import check_outputs
from iqa_cli.records import ScoreRecord, Status

OPINIONS = [12.5, 80.25, 33.3, 61.0, 47.125, 55.5, 20.0, 90.0]
SCORES: list[float | None] = [20.1234567, 71.5, 30.5, 66.25, 44.0, None, 35.0, 77.0]


def evaluate(scores: list[float | None] = SCORES, dataset: str = "livec", **changes: object) -> Evaluation:
    labels = Labels(
        DATASETS[dataset], Path("set"), tuple(Rating(f"Images/{i}.bmp", o, None, f"{i}.bmp") for i, o in enumerate(OPINIONS))
    )
    records = [
        ScoreRecord(str(path), Status.DAMAGED, "toy", detail="cut short")
        if score is None
        else ScoreRecord(str(path), Status.OK, "toy", score, 50.0)
        for path, score in zip(labels.paths, scores, strict=True)
    ]
    comparison = compare(labels, records)
    evaluation = Evaluation(
        "runs/toy",
        CARD,
        comparison,
        Part(labels, labels, np.zeros(len(OPINIONS), dtype=np.int64)),
        Protocol.ALL,
        "all images",
        "some interval",
        measure(comparison, rounds=30),
        None,
        find_contamination(CARD),
        (),
    )
    return replace(evaluation, **changes)  # type: ignore[arg-type]


def write(path: Path, *evaluations: Evaluation, kind: str, worst: int = 0) -> None:
    files = {"images": None, "data": None, "plot": None} | {kind: path}
    with open_results(**files, worst=worst, several=len(evaluations) > 1) as results:
        for evaluation in evaluations:
            results.write(evaluation)


def test_a_line_an_image_gives_the_figures_again(tmp_path: Path) -> None:
    evaluation = evaluate()
    write(tmp_path / "x.csv", evaluation, evaluation, kind="images")
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 16
    first = rows[:8]
    assert (first[0]["dataset"], first[0]["model"], first[0]["path"]) == ("livec", "runs/toy", str(Path("set/Images/0.bmp")))
    assert (first[0]["group"], first[0]["rating"], first[0]["opinion"]) == ("0.bmp", "12.5", "12.5")
    assert first[0]["score"] == "20.1235"
    assert (first[5]["score"], first[5]["fitted"], first[5]["status"], first[5]["detail"]) == ("", "", "damaged", "cut short")
    scored = [row for row in first if row["score"]]
    columns = {name: [float(row[name]) for row in scored] for name in ("score", "opinion", "fitted", "residual")}
    figures = evaluation.figures
    assert metrics.srcc(columns["score"], columns["opinion"]) == pytest.approx(figures["srcc"].value, abs=1e-9)
    assert metrics.plcc(columns["score"], columns["opinion"]) == pytest.approx(figures["plcc"].value, abs=1e-5)
    assert metrics.rmse(columns["fitted"], columns["opinion"]) == pytest.approx(figures["rmse"].value, abs=1e-3)
    assert [f - o for f, o in zip(columns["fitted"], columns["opinion"], strict=True)] == pytest.approx(
        columns["residual"], abs=1e-3
    )


def test_ratings_stay_as_published_and_opinions_are_turned(tmp_path: Path) -> None:
    write(tmp_path / "x.csv", evaluate(dataset="live"), kind="images")
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["rating"] == "12.5"
    assert float(rows[0]["opinion"]) == pytest.approx(100 * (112 - 12.5) / 115, abs=1e-4)


def test_the_json_is_an_array_with_all_figures(tmp_path: Path) -> None:
    evaluation = evaluate()
    write(tmp_path / "x.json", evaluation, evaluate(dataset="spaq"), kind="data", worst=2)
    first, second = json.loads((tmp_path / "x.json").read_text())
    assert (first["dataset"], second["dataset"]) == ("livec", "spaq")
    assert (first["model"], first["card"], first["images"], first["failed"]) == ("runs/toy", "toy", 7, 1)
    assert first["srcc"] == {name: getattr(evaluation.figures["srcc"], name) for name in ("value", "low", "high")}
    assert first["failures"] == [{"path": str(Path("set/Images/5.bmp")), "status": "damaged", "detail": "cut short"}]
    assert len(first["worst"]) == 2
    assert abs(first["worst"][0]["residual"]) >= abs(first["worst"][1]["residual"])
    assert first["scale"] == {"low": 0, "high": 100, "higher_is_better": True}
    assert first["contamination"] == "its card does not say what it was trained on"


def test_what_is_not_defined_is_null(tmp_path: Path) -> None:
    evaluation = evaluate([50.0] * 8)
    assert math.isnan(evaluation.figures["srcc"].value)
    write(tmp_path / "x.json", evaluation, kind="data")

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    (data,) = json.loads((tmp_path / "x.json").read_text(), parse_constant=refuse)
    assert data["srcc"] == {"value": None, "low": None, "high": None}
    assert data["rmse"]["value"] == pytest.approx(evaluation.figures["rmse"].value)
    (row,) = list_rows(evaluation)
    assert row["srcc"] is None


def test_nothing_is_minus_nothing() -> None:
    assert [str(round_value(value)) for value in (-1e-7, -0.0, 1e-7, -0.25)] == ["0.0", "0.0", "0.0", "-0.25"]


def test_parts_are_in_the_json() -> None:
    evaluation = evaluate([*SCORES[:5], 50.0, *SCORES[6:]])
    evaluation = replace(evaluation, parts=measure_splits(evaluation.comparison, repeats=3))
    data = describe_evaluation(evaluation, 0)
    assert len(data["parts"]) == 3
    assert data["rmse"]["low"] == min(part["rmse"] for part in data["parts"])


def test_a_published_figure_is_a_row_of_its_own_and_marked() -> None:
    rows = list_rows(evaluate(dataset="koniq10k", published=tuple(find_published("koniq10k", Protocol.CROSS, "livec"))))
    assert [row["source"] for row in rows] == ["measured", "published", "published"]
    assert {tuple(row) for row in rows} == {tuple(rows[0])}
    assert (rows[1]["model"], rows[1]["srcc"], rows[1]["plcc"], rows[1]["rmse"]) == ("DEIQT", 0.744, None, None)
    assert str(rows[1]["note"]).startswith("trained on livec; Data-Efficient")


def test_near_duplicates_in_an_official_test_part_are_told_beside_its_figures() -> None:
    caveat = DATASETS["biq2021"].caveat
    assert caveat.startswith("200 images of the official test part have a near duplicate in the training part")
    scores = [score / 100 for score in OPINIONS]
    of_all = evaluate(dataset="koniq10k")
    labels = replace(
        of_all.labels,
        spec=DATASETS["biq2021"],
        ratings=tuple(replace(rating, value=value) for rating, value in zip(of_all.labels.ratings, scores, strict=True)),
    )
    of_all = replace(of_all, comparison=compare(labels, of_all.comparison.records))
    of_test = replace(of_all, protocol=Protocol.OFFICIAL)
    assert (describe_evaluation(of_all, 0)["caveat"], describe_evaluation(of_test, 0)["caveat"]) == ("", caveat)
    assert list_rows(of_all)[0]["note"] == of_all.warning
    assert list_rows(of_test)[0]["note"] == f"{of_all.warning}; {caveat}"


# ---- files ----


def test_several_plots_have_names_of_their_own(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write(tmp_path / "plot.svg", evaluate(), kind="plot")
    text = (tmp_path / "plot.svg").read_text()
    assert "runs/toy on LIVE In the Wild" in text
    assert "its card does not say what it was trained on" in text
    write(tmp_path / "two.svg", evaluate(), evaluate(dataset="spaq"), kind="plot")
    assert sorted(path.name for path in tmp_path.glob("two*")) == ["two-livec-runs_toy.svg", "two-spaq-runs_toy.svg"]


def test_what_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    for kind, path, error in (
        ("images", tmp_path / "none/x.csv", DataError),
        ("plot", tmp_path / "none/x.png", DataError),
        ("plot", tmp_path / "x.gif", UsageError),
    ):
        with pytest.raises(error, match=path.name):
            write(path, kind=kind)
    with pytest.raises(UsageError, match="one file"):
        check_outputs(list_outputs(tmp_path / "x", tmp_path / "x", []), [])


def test_what_was_done_before_an_interruption_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(KeyboardInterrupt), open_results(None, path, None, worst=0, several=True) as results:  # noqa: PT012
        results.write(evaluate())
        raise KeyboardInterrupt
    assert len(json.loads(path.read_text())) == 1
