"""The released weights: golden scores, agreement of the backends, and what damage does to a score."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from iqa_cli.crops import cut_crops
from iqa_cli.finding import find_images
from iqa_cli.images import decode_image
from iqa_cli.nn.distortions import LEVELS, distort
from iqa_cli.options import DEFAULT_MODEL, BackendChoice, ScoreOptions
from iqa_cli.records import Status
from iqa_cli.scoring import open_scorer
from iqa_cli.weights import find_cards, find_model, released_folder, verify_file

PHOTOS = Path(__file__).parent / "photos"
GOLDEN = Path(__file__).parent / "golden.csv"  # made by: iqa score tests/photos --csv tests/golden.csv
CLEAN = ("astronaut", "camera", "chelsea", "coffee", "rocket")
SMALL_STEP = 0.05  # points: what other processors and versions may differ by


@pytest.fixture(scope="module")
def scorer():
    return open_scorer(ScoreOptions())


@pytest.fixture(scope="module")
def records(scorer):
    return list(scorer.score(find_images([str(PHOTOS)], Counter())))


def test_scores_are_those_that_were_released(records):
    with GOLDEN.open(encoding="utf-8", newline="") as file:
        expected = {Path(row["path"]).name: (float(row["score"]), float(row["percentile"])) for row in csv.DictReader(file)}
    found = {Path(record.path).name: (record.score, record.percentile) for record in records}
    assert found.keys() == expected.keys()
    for name, (score, percentile) in expected.items():
        assert found[name][0] == pytest.approx(score, abs=SMALL_STEP), name
        assert found[name][1] == pytest.approx(percentile, abs=0.3), name


def test_every_photo_has_a_score_and_clean_ones_beat_their_damaged_versions(records):
    scores = {Path(record.path).stem: record.score for record in records}
    assert all(record.status is Status.OK and record.model == DEFAULT_MODEL for record in records)
    for name, score in scores.items():
        clean = name.partition("-")[0]
        assert name == clean or score < scores[clean], name


@pytest.mark.parametrize("kind", ["gaussian_blur", "white_noise", "jpeg", "downscale"])
@pytest.mark.parametrize("name", CLEAN)
def test_each_step_down_in_quality_is_a_step_down_in_score(scorer, name, kind):
    rgb = decode_image(str(PHOTOS / f"{name}.jpg")).rgb
    versions = [distort(rgb, kind, level, np.random.default_rng(0)) for level in range(LEVELS + 1)]
    quality = [float(scorer.backend.predict(cut_crops(version, scorer.card.crops)).mean()) for version in versions]
    assert all(better > worse for better, worse in pairwise(quality)), quality


def test_more_crops_give_nearly_the_same_score(records):
    more = open_scorer(ScoreOptions(crops=5))
    differences = [abs(a.score - b.score) for a, b in zip(records, more.score(r.path for r in records), strict=True)]
    assert np.median(differences) < 5


def test_pytorch_and_onnx_agree(records):
    pytest.importorskip("torch", reason="needs the [train] extra")
    torch_scorer = open_scorer(ScoreOptions(backend=BackendChoice.TORCH))
    for record, other in zip(records, torch_scorer.score(r.path for r in records), strict=True):
        assert other.score == pytest.approx(record.score, abs=0.1), record.path  # 1e-3 of the range


def test_every_released_file_is_the_one_its_card_names_and_small_enough_to_ship():
    cards = list(find_cards())
    assert DEFAULT_MODEL in [card.name for card in cards]
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
        assert card.training["data"]
        assert card.limits
        text = (released_folder() / f"{card.name}.json").read_text(encoding="utf-8")
        assert '"/' not in text


def test_the_card_inside_the_onnx_file_is_the_one_beside_it(tmp_path):
    beside = find_model(DEFAULT_MODEL, BackendChoice.ONNX)
    alone = tmp_path / "alone.onnx"
    alone.symlink_to(beside.folder / beside.card.files["onnx"].name)
    inside = find_model(str(alone), BackendChoice.ONNX).card
    keep = {"files": {}, "results": (), "limits": (), "summary": "", "training": {}}
    assert replace(inside, **keep) == replace(beside.card, **keep)
