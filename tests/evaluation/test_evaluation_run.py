"""Models on sets: each figure is of the images that it says, and published ones stand only beside their own protocol."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import CARD, toy_nodes, write_model, write_photo
from official import write_set
from PIL import Image

from iqa_cli.datasets.catalog import DATASETS
from iqa_cli.datasets.labels import Labels, read_labels
from iqa_cli.datasets.own import OwnSpec, read_own_labels, sample_names
from iqa_cli.datasets.readers import Rating
from iqa_cli.datasets.splits import split_groups, take_test
from iqa_cli.errors import DataError, UsageError, WeightsError
from iqa_cli.evaluation import metrics, run
from iqa_cli.evaluation.contamination import find_contamination
from iqa_cli.evaluation.measure import compare
from iqa_cli.evaluation.protocol import Protocol
from iqa_cli.evaluation.report import describe_evaluation, find_worst, list_images, list_rows, name_plots, open_results
from iqa_cli.evaluation.run import Evaluation, Scored, evaluate
from iqa_cli.options import EvaluateOptions, OwnRatings, RatedSets, ScoreOptions, Side
from iqa_cli.records import ScoreRecord, Status

SCORING = ScoreOptions(cache=False, workers=1)


def evaluate_all(options: EvaluateOptions) -> tuple[list[Evaluation], list[Scored]]:
    notes: list[str] = []
    events = list(evaluate(options, notes.append))
    assert not notes
    return [e for e in events if isinstance(e, Evaluation)], [e for e in events if isinstance(e, Scored)]


def make(sets: Path, model: Path, *datasets: str, **changes: object) -> EvaluateOptions:
    options = EvaluateOptions(RatedSets(datasets, (sets,)), (str(model),), rounds=20, scoring=SCORING)
    return replace(options, **changes)  # type: ignore[arg-type]


# ---- what is measured ----


def test_each_set_is_scored_whole_and_measured(sets: Path, model: Path) -> None:
    done, scored = evaluate_all(make(sets, model, "livec", "csiq"))
    assert [(e.labels.spec.name, e.measurement.images, e.protocol, e.images) for e in done] == [
        ("livec", 20, Protocol.ALL, "all images"),  # the toy's card does not say what it was trained on
        ("csiq", 15, Protocol.ALL, "all images"),
    ]
    assert [(s.dataset, s.done, s.images, s.failed) for s in scored[18:22]] == [
        ("livec", 19, 20, 0),
        ("livec", 20, 20, 0),
        ("csiq", 1, 15, 0),
        ("csiq", 2, 15, 0),
    ]
    for evaluation in done:
        scores = [pair.score for pair in evaluation.comparison.pairs]
        assert evaluation.figures["srcc"].value == pytest.approx(metrics.srcc(scores, evaluation.labels.label), abs=1e-12)
        assert evaluation.interval.startswith("95 % bootstrap interval, 20 draws of ")
        assert evaluation.warning == "its card does not say what it was trained on"
        assert not evaluation.published
    # The toy finds noise good, and noise is stronger where the made-up rating is worse: both directions of scale are right.
    assert all(evaluation.figures["srcc"].value < -0.7 for evaluation in done)


@pytest.mark.parametrize(("name", "protocol", "images"), [
    ("koniq10k", "official split", "test part of the official split"),
    ("csiq", "random split by content", "test part of the 80/20 split by reference of seed 3"),
    ("livec", "random split by images", "test part of the 80/20 split by image of seed 3"),
])  # fmt: skip
def test_only_the_test_part_is_scored(sets: Path, model: Path, name: str, protocol: str, images: str) -> None:
    (evaluation,), scored = evaluate_all(make(sets, model, name, side=Side.TEST, seed=3))
    wanted = take_test(read_labels(name, sets / name), 3)
    assert [r.path for r in evaluation.comparison.records] == [str(path) for path in wanted.paths]
    assert len(scored) == len(wanted.ratings)
    assert (evaluation.protocol, evaluation.images) == (protocol, images)


def test_several_splits_are_the_median_over_their_test_parts(sets: Path, model: Path) -> None:
    (evaluation,), scored = evaluate_all(make(sets, model, "livec", side=Side.TEST, repeats=3, seed=1))
    labels = read_labels("livec", sets / "livec")
    scores = np.array([record.score for record in evaluation.comparison.records])
    tests = [split_groups(labels.groups, seed=seed)[1] for seed in (1, 2, 3)]
    values = [metrics.srcc(scores[test], labels.label[test]) for test in tests]
    figure = evaluation.figures["srcc"]
    assert (figure.value, figure.low, figure.high) == pytest.approx((np.median(values), min(values), max(values)))
    assert evaluation.protocol is Protocol.BY_IMAGE
    assert evaluation.images == "median of the test parts of 3 80/20 splits by image, seeds 1 to 3"
    assert evaluation.interval == "lowest and highest of 3 test parts"
    assert len(scored) == 20
    assert evaluation.sizes == (4, 4, 4)
    assert np.isnan(evaluation.measurement.srcc.low)  # no bootstrap is made that nobody sees
    (row,) = list_rows(evaluation)
    assert (row["images"], row["failed"]) == (4, 0)
    assert [part["images"] for part in describe_evaluation(evaluation, 0)["parts"]] == [4, 4, 4]


@pytest.mark.parametrize("seed", [2, 4, 5])
def test_a_figure_that_some_part_does_not_have_has_no_ends(tmp_path: Path, model: Path, seed: int) -> None:
    rows = [f"{number}.jpg,{5 if number in (3, 11) else 1}\n" for number in range(20)]
    for number in range(20):
        write_photo(tmp_path / f"{number}.jpg", number, (40, 30))
    (tmp_path / "mine.csv").write_text("image,score\n" + "".join(rows))
    own = OwnRatings(tmp_path / "mine.csv", score_range=(1, 5))
    options = EvaluateOptions(
        RatedSets(("csv",), own=own), (str(model),), side=Side.TEST, repeats=4, seed=seed, scoring=SCORING
    )
    (evaluation,), _ = evaluate_all(options)
    assert evaluation.parts is not None
    values = [part.srcc for part in evaluation.parts.parts]
    assert any(map(np.isnan, values))
    assert not all(map(np.isnan, values))
    figure = evaluation.figures["srcc"]
    assert np.isnan([figure.value, figure.low, figure.high]).all()
    (row, *_) = list_rows(evaluation)
    assert (row["srcc"], row["srcc_low"], row["srcc_high"]) == (None, None, None)


def test_the_protocol_is_cross_dataset_where_the_card_tells(sets: Path, tmp_path: Path) -> None:
    seen = [{"set": "livec", "images": 1162, "title": DATASETS["livec"].title}]
    other = write_model(tmp_path, toy_nodes(), replace(CARD, training={"trained_on": seen}))
    done, _ = evaluate_all(make(sets, other, "livec", "csiq"))
    assert [evaluation.protocol for evaluation in done] == [Protocol.ALL, Protocol.CROSS]


def test_official_and_random_splits_are_never_in_one_table(sets: Path, model: Path) -> None:
    said = (
        r"figures of official splits \(koniq10k, biq2021\) and of random ones \(livec\) do not belong in one table:"
        r" run -d koniq10k -d biq2021 and -d livec each by itself"
    )
    mixed = make(sets, model, "koniq10k", "livec", "biq2021", side=Side.TEST)
    with pytest.raises(UsageError, match=said):
        next(iter(evaluate(mixed, print)))
    with pytest.raises(UsageError, match=r"koniq10k.*\(csv\)"):
        next(iter(evaluate(make(sets, model, "koniq10k", "csv", side=Side.TEST), print)))
    for alone in (("koniq10k", "biq2021"), ("livec", "csiq")):
        assert len(evaluate_all(make(sets, model, *alone, side=Side.TEST))[0]) == 2


def test_an_official_split_is_one_and_not_several(sets: Path, model: Path) -> None:
    with pytest.raises(UsageError, match="--repeats draws several splits, and koniq10k came with one: leave out --repeats"):
        next(iter(evaluate(make(sets, model, "koniq10k", side=Side.TEST, repeats=2), print)))


# ---- split files ----


def write_predictions(path: Path, done: list[Evaluation]) -> list[dict[str, str]]:
    with open_results(None, None, None, worst=0, several=True, predictions=path) as results:
        for evaluation in done:
            results.write(evaluation)
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("names", [("livec", "csiq"), ("koniq10k", "biq2021")])
def test_a_split_file_gives_the_split_and_the_figures_again(
    sets: Path, model: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    other = write_model(tmp_path, toy_nodes(), replace(CARD, name="other"))
    models = (str(model), str(other))
    done, _ = evaluate_all(make(sets, model, *names, models=models, side=Side.TEST, seed=5))
    rows = write_predictions(tmp_path / "split.csv", done)
    for evaluation in done:
        own = [row for row in rows if (row["dataset"], row["model"]) == (evaluation.labels.spec.name, evaluation.model)]
        assert [row["image"] for row in own] == [rating.path for rating in evaluation.part.whole.ratings]
        tested = [row for row in own if row["fold"] == "0"]
        assert [float(row["prediction"]) for row in tested] == pytest.approx(
            [pair.score for pair in evaluation.comparison.pairs], abs=1e-4
        )
        assert [float(row["label"]) for row in tested] == pytest.approx(evaluation.labels.mos.tolist(), abs=1e-4)
        assert {(row["fold"], row["prediction"]) for row in own if row not in tested} == {("train", "")}
    again, _ = evaluate_all(make(sets, model, *names, models=models, fold_file=tmp_path / "split.csv"))
    assert [e.comparison.records for e in again] == [e.comparison.records for e in done]
    assert [e.figures for e in again] != []
    for first, second in zip(done, again, strict=True):
        assert second.measurement.srcc.value == first.measurement.srcc.value
        assert second.measurement.rmse.value == first.measurement.rmse.value
    assert {(e.protocol, e.images) for e in again} == {(Protocol.FOLDS, "the folds of split.csv")}
    assert write_predictions(tmp_path / "again.csv", again) == rows


def test_one_fold_of_several_is_measured_on(sets: Path, model: Path, tmp_path: Path) -> None:
    labels = read_labels("livec", sets / "livec")
    folds = ["train", "out", *(str(i % 3) for i in range(len(labels.ratings) - 2))]
    rows = [f"{rating.path},{fold}" for rating, fold in zip(labels.ratings, folds, strict=True)]
    (tmp_path / "folds.csv").write_text("\n".join(["image,fold", *rows]))
    chosen = make(sets, model, "livec", fold_file=tmp_path / "folds.csv", folds=(1,))
    (evaluation,), _ = evaluate_all(chosen)
    assert evaluation.images == "fold 1 of folds.csv"
    assert [r.path for r in evaluation.labels.ratings] == [
        rating.path for rating, fold in zip(labels.ratings, folds, strict=True) if fold == "1"
    ]
    written = write_predictions(tmp_path / "p.csv", [evaluation])
    assert [row["fold"] for row in written] == folds
    with pytest.raises(DataError, match=r"folds\.csv: no image of LIVE.* is in fold 7; there are 0, 1, 2"):
        evaluate_all(replace(chosen, folds=(7,)))


def test_several_models_stand_on_the_same_labels(sets: Path, model: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path, toy_nodes(), replace(CARD, name="other"))
    done, _ = evaluate_all(make(sets, model, "csiq", models=(str(model), str(other))))
    assert [e.card.name for e in done] == ["toy", "other"]
    assert done[0].labels is done[1].labels
    assert done[0].figures == done[1].figures


def test_own_ratings_beside_their_file(tmp_path: Path, model: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(8):
        noise = rng.normal(128, 5 + 7 * i, (20, 24, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{i}.png")
    (tmp_path / "mine.csv").write_text("file,bad\n" + "".join(f"{i}.png,{i % 8}\n" for i in range(8)))
    own = OwnRatings(tmp_path / "mine.csv", "file", "bad", score_range=(0, 10), lower_is_better=True)
    (evaluation,), _ = evaluate_all(EvaluateOptions(RatedSets(("csv",), own=own), (str(model),), rounds=5, scoring=SCORING))
    assert evaluation.labels.spec.name == "mine"
    assert [round(pair.mos) for pair in evaluation.comparison.pairs] == [100, 90, 80, 70, 60, 50, 40, 30]
    assert evaluation.figures["srcc"].value == pytest.approx(-1, abs=1e-12)


def copy_ratings(sets: Path, folder: Path, name: str = "livec") -> OwnRatings:
    """The ratings of a public set as those of one's own, in a file that is called as the set is."""
    labels = read_labels(name, sets / name)
    rows = "".join(f"{path},{rating.value}\n" for path, rating in zip(labels.paths, labels.ratings, strict=True))
    (folder / f"{name}.csv").write_text(f"image,score\n{rows}")
    return OwnRatings(folder / f"{name}.csv")


def test_the_same_photos_by_another_way_are_no_other_set(sets: Path, tmp_path: Path) -> None:
    own = copy_ratings(sets, tmp_path)
    spec = read_own_labels(own).spec
    assert isinstance(spec, OwnSpec)
    facts = {"set": "csv", "images": 20, "title": "mine", "digest": "other", "names": sample_names(spec.names)}
    seen = write_model(tmp_path, toy_nodes(), replace(CARD, training={"trained_on": [facts]}))
    (evaluation,), _ = evaluate_all(make(sets, seen, "livec"))
    assert evaluation.warning == "trained on images of the same names, perhaps on these"
    assert evaluation.protocol is Protocol.ALL
    public = {"set": "livec", "images": 20, "title": DATASETS["livec"].title}
    seen = write_model(tmp_path, toy_nodes(), replace(CARD, training={"trained_on": [public]}))
    chosen = replace(make(sets, seen, "csv"), sets=RatedSets(("csv",), own=own))
    (evaluation,), _ = evaluate_all(chosen)
    assert evaluation.warning.endswith(", perhaps on these images: its card cannot tell")
    assert evaluation.protocol is Protocol.ALL


def test_own_ratings_in_a_file_of_a_public_name_are_told_from_that_set(sets: Path, model: Path, tmp_path: Path) -> None:
    own = copy_ratings(sets, tmp_path)
    both = replace(make(sets, model, "livec", side=Side.TEST), sets=RatedSets(("livec", "csv"), (sets,), own))
    done, _ = evaluate_all(both)
    rows = write_predictions(tmp_path / "split.csv", done)
    assert list(dict.fromkeys(row["dataset"] for row in rows)) == ["livec", "csv-livec"]
    again, _ = evaluate_all(replace(both, side=Side.ALL, fold_file=tmp_path / "split.csv"))
    assert [e.comparison.records for e in again] == [e.comparison.records for e in done]
    pytest.importorskip("matplotlib")
    livec, mine = (path.name for path in name_plots(tmp_path / "p.svg", both))
    assert livec.startswith("p-livec-")
    assert mine.startswith("p-csv-livec-")


@pytest.mark.parametrize("ends", [(0.0, 10.0), (-1.0, 1.0)])
def test_scores_on_another_scale_are_brought_to_that_of_the_ratings(
    sets: Path, model: Path, tmp_path: Path, ends: tuple[float, float]
) -> None:
    other = write_model(tmp_path, toy_nodes(), replace(CARD, score_range=ends))
    (usual, scaled), _ = evaluate_all(make(sets, model, "livec", models=(str(model), str(other))))
    raw = [record.score for record in scaled.comparison.records]
    assert None not in raw
    assert ends[0] <= min(raw) < max(raw) <= ends[1]  # type: ignore[type-var]
    assert [pair.score for pair in scaled.comparison.pairs] == pytest.approx(
        [pair.score for pair in usual.comparison.pairs], abs=1e-3
    )
    written = [
        write_predictions(tmp_path / f"{evaluation.card.score_range}.csv", [evaluation]) for evaluation in (usual, scaled)
    ]
    predictions = [[float(row["prediction"]) for row in rows] for rows in written]
    assert predictions[1] == pytest.approx(predictions[0], abs=2e-3)
    worst = [find_worst(evaluation, 3) for evaluation in (usual, scaled)]
    assert [row.score for row in worst[1]] == pytest.approx([row.score for row in worst[0]], abs=2e-3)
    images = list(list_images(scaled))
    assert [row[6] for row in images] == pytest.approx(raw, abs=1e-4)  # the model's own scale
    assert [row[7] for row in images] == pytest.approx([row[7] for row in list_images(usual)], abs=0.01)


# ---- what is wrong is said before anything is scored ----


def test_missing_images_are_an_error_unless_allowed(model: Path, tmp_path: Path) -> None:
    root = write_set("csiq", tmp_path)
    (root / "dst_imgs/blur/elk.BLUR.2.png").unlink()
    with pytest.raises(DataError, match=r"1 of 15 images are missing, the first: dst_imgs/blur/elk\.BLUR\.2\.png.*to be had"):
        evaluate_all(make(tmp_path, model, "csiq"))
    (evaluation,), scored = evaluate_all(make(tmp_path, model, "csiq", allow_missing=True))
    assert (evaluation.measurement.images, evaluation.measurement.failed, scored[-1].failed) == (14, 1, 1)


def test_models_and_sets_are_looked_for_before_any_is_scored(sets: Path, model: Path) -> None:
    with pytest.raises(WeightsError, match="nothing: no such model"):
        next(iter(evaluate(make(sets, model, "livec", models=(str(model), "nothing")), print)))
    with pytest.raises(UsageError, match="no data set 'ava'"):
        next(iter(evaluate(make(sets, model, "livec", "ava"), print)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sets": RatedSets(())}, "on which set"),
        ({"models": ("a", "a")}, "a is named twice"),
        ({"repeats": 5}, "add --split test"),
        ({"rounds": 0}, "at least 1"),
        ({"folds": (1,)}, "add --fold-file FILE"),
        ({"fold_file": Path("x.csv"), "side": Side.TEST}, "leave out --split and --repeats"),
    ],
)
def test_options_that_make_no_sense(changes: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        replace(EvaluateOptions(RatedSets(("livec",))), **changes)  # type: ignore[arg-type]


def test_a_scale_upside_down_and_own_ratings_without_a_file() -> None:
    with pytest.raises(UsageError, match="not 5 and 1"):
        OwnRatings(score_range=(5, 1))
    with pytest.raises(UsageError, match="--labels FILE"):
        next(iter(evaluate(EvaluateOptions(RatedSets(("csv",))), print)))


# ---- published figures ----


def compare_fake(name: str, count: int, *, failed: int = 0) -> run.Comparison:
    """So many images of a set, whose scores are all alike."""
    spec = DATASETS[name]
    labels = Labels(spec, Path("set"), tuple(Rating(f"{i}.jpg", float(i % 90), None, f"{i}.jpg") for i in range(count)))
    records = [
        ScoreRecord(str(path), Status.MISSING, "toy", detail="no such file")
        if i < failed
        else ScoreRecord(str(path), Status.OK, "toy", 50.0, 50.0)
        for i, path in enumerate(labels.paths)
    ]
    return compare(labels, records)


def find_beside(name: str, count: int, *rated: str, side: Side = Side.ALL, failed: int = 0, photos: int = 0) -> list[str]:
    seen = [{"set": own, "images": DATASETS[own].images, "title": DATASETS[own].title} for own in rated]
    unlabeled = [{"images": photos, "source": "mine"}] if photos else []
    contamination = find_contamination(replace(CARD, training={"trained_on": seen, "unlabeled": unlabeled}))
    options = EvaluateOptions(RatedSets((name,)), side=side)
    return [row.model for row in run.choose_published(compare_fake(name, count, failed=failed), contamination, options)]


LIVEC = "livec"


def test_published_figures_stand_beside_the_same_protocol_only() -> None:
    assert find_beside("koniq10k", 10073, LIVEC) == ["DEIQT", "DR.Experts"]
    assert find_beside("koniq10k", 10072, LIVEC) == []  # not the whole set
    assert find_beside("koniq10k", 10073, LIVEC, failed=1) == []
    assert find_beside("koniq10k", 10073, LIVEC, side=Side.TEST) == []
    assert find_beside("koniq10k", 10073, LIVEC, photos=900) == []  # trained on more than theirs
    assert find_beside("koniq10k", 10073) == []
    assert find_beside("livec", 1162, LIVEC) == []  # theirs were trained on the other part of the set
    assert find_beside("spaq", 11125, LIVEC) == []


def test_published_figures_never_stand_beside_own_ratings() -> None:
    compared = compare_fake("koniq10k", 10073)
    own = replace(compared, labels=replace(compared.labels, spec=replace(DATASETS["koniq10k"], home="")))
    facts = {"set": LIVEC, "images": 1162, "title": DATASETS[LIVEC].title}
    contamination = find_contamination(replace(CARD, training={"trained_on": [facts]}))
    options = EvaluateOptions(RatedSets(("csv",)))
    assert run.choose_published(compared, contamination, options)
    assert run.choose_published(own, contamination, options) == []
