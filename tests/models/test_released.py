"""The released weights: golden scores, agreement of the backends, and what damage does to a score."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from iqa_cli.evaluation.metrics import srcc
from iqa_cli.images.crops import cut_crops
from iqa_cli.images.decode import decode_image
from iqa_cli.images.distortions import LEVELS, distort
from iqa_cli.images.find import find_images
from iqa_cli.models.find import find_cards, find_model, released_folder, verify_file
from iqa_cli.options import DEFAULT_MODEL, BackendChoice, ScoreOptions
from iqa_cli.records import Status
from iqa_cli.scoring.pipeline import open_pipeline

PHOTOS = Path(__file__).parents[1] / "photos"
GOLDEN = (
    Path(__file__).parents[1] / "golden"
)  # made by: iqa score tests/photos --no-cache --model NAME --csv tests/golden/NAME.csv
MODELS = ("qfm-iqm", "qfm-iqm-lite")
CLEAN = ("astronaut", "camera", "chelsea", "coffee", "rocket")
SMALL_STEP = 0.05  # points: what other processors and versions may differ by


@pytest.fixture(scope="module", params=MODELS)
def scorer(request):
    return open_pipeline(ScoreOptions(model=request.param))


@pytest.fixture(scope="module")
def records(scorer):
    return list(scorer.score(find_images([str(PHOTOS)], Counter())))


def test_what_is_shipped_is_what_is_tested():
    assert {card.name for card in find_cards()} == set(MODELS)
    assert DEFAULT_MODEL == "qfm-iqm-lite"


def test_scores_are_those_that_were_released(scorer, records):
    with (GOLDEN / f"{scorer.card.name}.csv").open(encoding="utf-8", newline="") as file:
        expected = {Path(row["path"]).name: (float(row["score"]), float(row["percentile"])) for row in csv.DictReader(file)}
    found = {Path(record.path).name: (record.score, record.percentile) for record in records}
    assert found.keys() == expected.keys()
    for name, (score, percentile) in expected.items():
        assert found[name][0] == pytest.approx(score, abs=SMALL_STEP), name
        assert found[name][1] == pytest.approx(percentile, abs=0.3), name


def test_every_photo_has_a_score_and_clean_ones_beat_their_damaged_versions(scorer, records):
    scores = {Path(record.path).stem: record.score for record in records}
    assert all(record.status is Status.OK and record.model == scorer.card.name for record in records)
    for name, score in scores.items():
        clean = name.partition("-")[0]
        assert name == clean or score < scores[clean], name


@pytest.mark.parametrize("kind", ["gaussian_blur", "white_noise", "jpeg", "downscale"])
@pytest.mark.parametrize("name", CLEAN)
def test_more_damage_is_a_lower_score_but_for_at_most_one_step_between_neighbours(scorer, name, kind):
    rgb = decode_image(str(PHOTOS / f"{name}.jpg")).rgb
    versions = [distort(rgb, kind, level, np.random.default_rng(0)) for level in range(LEVELS + 1)]
    quality = [float(scorer.backend.predict(cut_crops(version, scorer.card.crops)).mean()) for version in versions]
    assert sum(better <= worse for better, worse in pairwise(quality)) <= 1, quality
    assert srcc(range(LEVELS + 1), np.negative(quality)) > 0.94, quality  # one exchange of neighbours among six: 0.943
    assert quality[0] > max(quality[2:]), quality


@pytest.mark.parametrize("kind", ["high_contrast", "colour_cast", "oversharpening"])
def test_too_much_of_what_may_help_is_damage(scorer, kind):
    little = 2 if kind == "oversharpening" else 0  # these photos are a little soft
    flattered = []
    for name in CLEAN:
        rgb = decode_image(str(PHOTOS / f"{name}.jpg")).rgb
        versions = [distort(rgb, kind, level, np.random.default_rng(0)) for level in (little, LEVELS)]
        some, much = (float(scorer.backend.predict(cut_crops(version, scorer.card.crops)).mean()) for version in versions)
        flattered += [name] if much >= some else []
    assert len(flattered) <= (2 if kind == "oversharpening" else 0), flattered  # soft photos, as the README says


def test_neither_workers_nor_batches_nor_company_change_a_bit(scorer, records):
    few = records[::5]
    for knobs in ({"workers": 1}, {"workers": 3}, {"batch_size": 4}):
        backwards = open_pipeline(replace(scorer.options, **knobs)).score(record.path for record in reversed(few))
        assert list(backwards)[::-1] == few, knobs
    assert [next(scorer.score([record.path])) for record in few] == few


def test_more_crops_give_nearly_the_same_score(scorer, records):
    more = open_pipeline(ScoreOptions(model=scorer.card.name, crops=5))
    differences = [abs(a.score - b.score) for a, b in zip(records, more.score(r.path for r in records), strict=True)]
    assert np.median(differences) < 5


def test_pytorch_and_onnx_agree(scorer, records):
    pytest.importorskip("torch", reason="needs the [train] extra")
    torch_scorer = open_pipeline(ScoreOptions(model=scorer.card.name, backend=BackendChoice.TORCH))
    for record, other in zip(records, torch_scorer.score(r.path for r in records), strict=True):
        assert other.score == pytest.approx(record.score, abs=0.1), record.path  # 1e-3 of the range


def test_every_released_file_is_the_one_its_card_names_and_small_enough_to_ship():
    cards = list(find_cards())
    total = 0
    for card in cards:
        assert set(card.files) == {"onnx", "safetensors"}
        for backend in (BackendChoice.ONNX, BackendChoice.TORCH):
            path = verify_file(card, released_folder(), backend)
            assert path.stat().st_size < 50e6
            total += path.stat().st_size
    assert total < 90e6


def test_a_card_says_what_was_measured_and_how_and_names_no_place_on_a_machine():
    for card in find_cards():
        assert card.results, card.name
        assert all({"dataset", "protocol", "command"} <= set(result) for result in card.results)
        assert card.provenance.trained_on
        assert card.limits
        text = (released_folder() / f"{card.name}.json").read_text(encoding="utf-8")
        assert '"/' not in text


@pytest.mark.parametrize("name", MODELS)
def test_the_card_inside_the_onnx_file_is_the_one_beside_it(tmp_path, name):
    beside = find_model(name, BackendChoice.ONNX)
    alone = tmp_path / "alone.onnx"
    alone.symlink_to(beside.folder / beside.card.files["onnx"].name)
    inside = find_model(str(alone), BackendChoice.ONNX).card
    keep = {"files": {}, "results": (), "limits": (), "summary": "", "training": {}, "network": {}}  # which the graph is
    assert replace(inside, **keep) == replace(beside.card, **keep)
