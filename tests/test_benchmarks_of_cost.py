"""What decoding less changes, and what a network costs: figures where the answer is known, and the commands run for real."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks import library, network, reduction, stages
from benchmarks.scored import Model
from conftest import CARD, write_photo

from iqa_cli import ScoreOptions
from iqa_cli.errors import DataError
from iqa_cli.images.crops import Crops, CropSpec
from iqa_cli.images.decode import decode_image
from iqa_cli.scoring.scorer import open_scorer

# ---- reduction ----


def test_moves_and_swaps_are_those_of_the_photos_that_were_reduced() -> None:
    none = [np.nan, np.nan]
    given = np.array([[10, 10.5], none, [20, 20.0], [20.2, 19.9], none, [30, 31]])
    effect = reduction.measure(given)
    assert (effect.photos, effect.pairs, effect.swapped) == (4, 6, 1)
    assert effect.gap == pytest.approx(0.2)
    assert (effect.median, effect.most) == (pytest.approx(0.4), pytest.approx(1))
    assert effect.high == pytest.approx(0.925)
    assert effect.srcc == pytest.approx(0.8)
    assert effect.krcc == pytest.approx(4 / 6)


def test_a_tie_has_no_order_to_lose() -> None:
    assert reduction.find_swaps(np.array([1.0, 1, 2]), np.array([2.0, 1, 2])).tolist() == []


def test_one_photo_has_no_order_and_none_is_an_error() -> None:
    alone = reduction.measure(np.array([[10.0, 12]]))
    assert (alone.photos, alone.high, alone.srcc, alone.krcc, alone.pairs, alone.gap) == (1, 2, None, None, 0, 0)
    with pytest.raises(DataError, match="none of the photos is a JPEG so large"):
        reduction.measure(np.full((3, 2), np.nan))


def test_the_reduced_score_is_that_of_the_command(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for seed, size in enumerate([(900, 700), (700, 900), (2400, 1800), (96, 80)]):
        write_photo(tmp_path / f"{seed}.jpg", seed, size)
    write_photo(tmp_path / "large.png", 9, (900, 700))
    out = tmp_path / "out.json"
    assert reduction.main(["--photos", str(tmp_path), "--model", str(model), "--json", str(out)]) == 0
    data = json.loads(out.read_text())
    records = {record.path: record.score for record in open_scorer(ScoreOptions(str(model))).score(data["photos"])}
    given = dict(zip(data["photos"], data["scores"][str(model)], strict=True))
    assert sorted(path for path, (whole, _) in given.items() if whole is None) == [
        str(tmp_path / "3.jpg"),
        str(tmp_path / "large.png"),
    ]
    for path, (whole, reduced) in given.items():
        if whole is not None:
            assert reduced == pytest.approx(records[path], abs=1e-9)
            assert whole != reduced
            assert whole == pytest.approx(reduced, abs=2)
    effect = data["models"][str(model)]
    assert (effect["photos"], effect["pairs"]) == (3, 3)
    assert effect["most"] == pytest.approx(max(abs(a - b) for a, b in given.values() if a is not None))
    printed = capfd.readouterr().out.splitlines()
    assert printed[0] == "change of the score in points, 5 photos, where they are decoded smaller"
    assert printed[2].split()[:2] == [str(model), "3"]


def test_photos_too_small_to_be_reduced_are_one_line(model: Path, photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert reduction.main(["--photos", str(photos), "--model", str(model)]) == 4
    assert "error: none of the photos is a JPEG so large that it is decoded at a smaller size" in capfd.readouterr().err


# ---- network ----


class Recorder:
    """A backend that remembers what it was asked."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def predict(self, crops: Crops) -> np.ndarray:
        self.shapes.append(crops.shape)
        return np.zeros(len(crops), np.float32)


def test_models_and_shapes_take_turns() -> None:
    backend = Recorder()
    models = [Model("whole", backend, CropSpec(448)), Model("square", backend, CropSpec(224, "square", count=5))]
    costs = network.measure(models, rounds=2)
    turn = [(1, 3, 352, 544), (1, 3, 448, 448), (5, 3, 224, 224), (5, 3, 224, 224)]
    assert backend.shapes == turn * 3
    rows = network.make_rows(costs)
    assert [row[:3] for row in rows[1:]] == [
        ["whole", "3:2", "544 x 352 px"],
        ["whole", "1:1", "448 x 448 px"],
        ["square", "3:2", "5 x 224 x 224 px"],
        ["square", "1:1", "5 x 224 x 224 px"],
    ]


def test_the_first_round_does_not_count() -> None:
    trial = network.Trial(Model("a", Recorder(), CARD.crops), "1:1", np.zeros((1, 3, 64, 64), np.float32))
    costs = network.sum_up(replace(trial, clock=[9, 0.1, 0.3, 0.2], cores=[9, 0.4, 0.6, 0.5]))
    assert (costs.ms, costs.cpu_ms, costs.crops) == (pytest.approx(200), pytest.approx(500), (1, 64, 64))


def test_the_input_is_that_of_a_decoded_photo(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    assert network.main(["--model", str(model), "--rounds", "3", "--json", str(out)]) == 0
    costs = json.loads(out.read_text())["costs"]
    for cost, size in zip(costs, [(300, 200), (200, 200)], strict=True):
        picture = decode_image(str(write_photo(tmp_path / "a.jpg", 0, size))).rgb
        assert tuple(cost["crops"]) == (1, *CARD.crops.crop_shape(*picture.shape[:2]))
        assert cost["ms"] > 0
    assert capfd.readouterr().out.splitlines()[1].split()[:2] == [str(model), "3:2"]


def test_a_model_that_is_not_there_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert network.main(["--model", "nothing"]) == 3
    assert capfd.readouterr().err.startswith("error: nothing: no such model. Installed: ")


# ---- library ----


@pytest.mark.parametrize("options", [[], ["--no-network"]])
def test_a_library_is_scored_and_then_found_in_the_cache(
    options: list[str], model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    assert library.main(["--model", str(model), "--count", "1", "--count", "30", "--json", str(out), *options]) == 0
    lines = json.loads(out.read_text())["lines"]
    assert [(line["images"], line["cached"]) for line in lines] == [(1, False), (1, True), (30, False), (30, True)]
    assert [line["ms"] is None for line in lines] == [True, True, False, False]
    assert all(line["seconds"] > 0 and line["cpu_ms"] > 0 for line in lines)
    assert lines[3]["cpu_ms"] < lines[2]["cpu_ms"]
    assert [row.split()[0] for row in capfd.readouterr().out.splitlines()] == ["images", "1", "1,", "30", "30,"]


def test_a_library_has_so_many_photos_a_thousand_a_folder(tmp_path: Path) -> None:
    folder = library.make_library(tmp_path / "library", 1003)
    assert sorted((place.name, len(list(place.iterdir()))) for place in folder.iterdir()) == [("0000", 1000), ("0001", 3)]


def test_a_run_over_a_library_that_fails_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert library.main(["--model", str(tmp_path / "none.json"), "--count", "1"]) == 4
    assert "error: failed: iqa: error: " in capfd.readouterr().err


# ---- stages ----


def test_every_stage_takes_time_and_more_pixels_take_more_to_decode(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    taken = []
    for number, size in enumerate([(200, 150), (2000, 1500)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_photo(folder / "photo.jpg", 1, size)
        out = tmp_path / "out.json"
        assert stages.main(["--photos", str(folder), "--model", str(model), "--json", str(out)]) == 0
        taken.append(json.loads(out.read_text())["sets"]["photos"])
        header, row = capfd.readouterr().out.splitlines()
        assert header.split() == ["bits", "decoding", "cutting", "network", "all", "images/s"]
        assert float(row.split()[5]) == pytest.approx(sum(map(float, row.split()[2:5])), abs=0.2)
    assert all(figure > 0 for figure in taken[1].values())
    assert taken[0]["decoding"] < taken[1]["decoding"]
