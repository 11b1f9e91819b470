"""Robustness: figures where the answer is known, scores against the product's, and the command."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import CARD, Run, read_rows, write_photo
from in_process import environment, run_at_terminal
from test_startup import find_loaded

from iqa_cli import ScoreOptions
from iqa_cli.datasets.splits import is_held_out
from iqa_cli.errors import DataError, UsageError, WeightsError
from iqa_cli.evaluation.array_scorer import ArrayScorer, open_scorers, score_pictures
from iqa_cli.evaluation.local_faults import GRAIN, LOCAL_FAULTS, PICTURES, spoil
from iqa_cli.evaluation.metrics import Floats
from iqa_cli.evaluation.robustness import (
    CHAINS,
    GROUPS,
    Order,
    Robustness,
    choose_photos,
    distort_photo,
    measure_robustness,
    score_distorted,
)
from iqa_cli.images.crops import Crops, CropSpec, Rgb
from iqa_cli.images.decode import decode_image
from iqa_cli.images.distortions import DISTORTIONS, HARMLESS, LEVELS, crop_border, distort, limit_short_side
from iqa_cli.options import RobustnessOptions
from iqa_cli.scoring.pipeline import open_pipeline

PHOTOS = Path(__file__).parents[1] / "photos"
COUNT = len(CHAINS)


@pytest.fixture(scope="module")
def rgb() -> Rgb:
    return limit_short_side(decode_image(str(PHOTOS / "astronaut.jpg")).rgb, 128)


class FlatBackend:
    """Gives one number for everything. runs: how many crops each run had."""

    def __init__(self, quality: float) -> None:
        self.quality = quality
        self.runs: list[int] = []

    def predict(self, crops: Crops) -> np.ndarray:
        self.runs.append(len(crops))
        return np.full(len(crops), self.quality, np.float32)


class LevelBackend:
    """Knows nothing but how it is called: one clean photo, then levels 1 to 5 again and again."""

    def __init__(self, sign: int) -> None:
        self.sign = sign

    def predict(self, crops: Crops) -> np.ndarray:
        levels = np.zeros(1) if len(crops) == 1 else np.arange(1, 6)
        return np.asarray(0.5 + self.sign * levels / 100, np.float32)


def measure(distorted: Floats, changed: Floats | None = None, local: Floats | None = None) -> Robustness:
    flat = np.zeros((len(distorted), 1 + len(HARMLESS)))
    names = tuple(f"{i}.jpg" for i in range(len(distorted)))
    parts = np.zeros((len(distorted), len(PICTURES)))
    return Robustness("toy", names, {}, distorted, flat if changed is None else changed, parts if local is None else local)


def by_name(orders: Sequence[Order]) -> dict[str, Order]:
    return {order.name: order for order in orders}


# ---- figures ----


def test_minus_the_level_is_always_right_and_plus_the_level_always_wrong(rgb: Rgb) -> None:
    scorers = [ArrayScorer("toy", LevelBackend(sign), CropSpec(64)) for sign in (-1, 1)]
    scores = np.stack([score_distorted(scorers, rgb, name, 0) for name in ("a", "b")])
    assert scores.shape == (2, 2, COUNT, LEVELS + 1)
    for place, (correlation, above) in enumerate([(1, 1), (-1, 0)]):
        outcome = measure(scores[:, place])
        for order in outcome.orders + outcome.groups:
            assert (order.srcc, order.clean_above) == (pytest.approx(correlation), above), order.name


def test_figures_are_means_over_photos_and_pairs() -> None:
    distorted = np.tile(-np.arange(6.0), (2, COUNT, 1))
    chains = list(CHAINS)
    distorted[1, chains.index("jpeg")] *= -1  # one photo right, one wrong
    distorted[:, chains.index("banding")] = 7.0  # no order at all
    distorted[:, chains.index("webp")] = [5, 4, 3, 6, 2, 1]  # of three severe levels one looks better than the clean photo
    distorted[:, chains.index("downscale+jpeg")] = [9, 8, 8, 8, 8, 8]
    orders, groups = by_name(measure(distorted).orders), by_name(measure(distorted).groups)
    assert (orders["jpeg"].srcc, orders["jpeg"].clean_above) == (pytest.approx(0), 0.5)
    assert (orders["banding"].srcc, orders["banding"].clean_above) == (0, 0)
    assert (orders["webp"].srcc, orders["webp"].clean_above) == (pytest.approx(23 / 35), pytest.approx(2 / 3))
    assert orders["downscale+jpeg"].srcc == pytest.approx((7.5 / 17.5) ** 0.5)  # all but one tie
    assert orders["downscale+jpeg"].clean_above == 1
    technical = groups["blurs, noises, compressions, scaling"]
    assert [group.chains for group in groups.values()] == [14, 9, 2]
    assert technical.srcc == pytest.approx((12 + 23 / 35) / 14)
    assert technical.clean_above == pytest.approx((12 + 0.5 + 2 / 3) / 14)
    assert groups["others"].srcc == pytest.approx(8 / 9)


def test_every_kind_is_measured_in_one_group() -> None:
    assert sorted(chain for chains in GROUPS.values() for chain in chains) == sorted(CHAINS)
    assert set(DISTORTIONS) < set(CHAINS)


def test_movements_are_quantiles_of_absolute_changes() -> None:
    changed = np.full((101, 1 + len(HARMLESS)), 50.0)
    changed[:, 1] += np.arange(101) * np.where(np.arange(101) % 2, 1, -1)
    first, *others = measure(np.zeros((101, COUNT, 6)), changed).movements
    assert (first.median, first.p95) == (50, 95)
    assert [(other.median, other.p95) for other in others] == [(0, 0)] * 5


def test_falls_are_shares_and_medians_over_photos_and_parts() -> None:
    distorted, changed = np.full((2, COUNT, 6), 50.0), np.full((2, 1 + len(HARMLESS)), 60.0)
    local = np.full((2, len(PICTURES)), 50.0)
    local[:, :4] = [[40, 50, 60, 49], [30, 48, 47, 51]]  # blocks in a quarter
    local[:, PICTURES.index((GRAIN, 0))] = [59, 61]
    falls = {fall.fault: fall for fall in measure(distorted, changed, local).falls}
    first = falls["blocks in a quarter"]
    assert (first.pictures, first.lower, first.median) == (8, 5 / 8, 1.5)
    assert (falls["blur in a half"].pictures, falls["blur in a half"].lower, falls["blur in a half"].median) == (8, 0, 0)
    assert (falls[GRAIN].pictures, falls[GRAIN].lower, falls[GRAIN].median) == (2, 0.5, 0)


# ---- pictures ----


def test_a_local_fault_changes_its_part_alone(rgb: Rgb) -> None:
    large = np.repeat(np.repeat(rgb, 2, axis=0), 2, axis=1)
    pictures = dict(zip(PICTURES, spoil(rgb, large, [0, 1]), strict=True))
    assert len(pictures) == len(PICTURES) == 16
    height, width = rgb.shape[:2]
    lower_right = np.any(pictures["noise in a quarter", 3] != rgb, axis=2)
    assert lower_right[height // 2 :, width // 2 :].mean() > 0.9
    assert not lower_right[: height // 2].any()
    assert not lower_right[:, : width // 2].any()
    frame = np.any(pictures["noise in the frame", 0] != rgb, axis=2)
    assert 0.4 < frame.mean() < 0.55
    assert not frame[height // 4 : -height // 4, width // 4 : -width // 4].any()
    assert pictures[GRAIN, 0].shape == large.shape
    assert all(map(np.array_equal, pictures.values(), spoil(rgb, large, [0, 1])))


def test_the_pattern_of_a_distortion_hangs_on_photo_kind_and_seed(rgb: Rgb) -> None:
    small = rgb[:48, :48]
    once, again = (distort_photo(small, "a.jpg", "white_noise", 0) for _ in range(2))
    assert len(once) == LEVELS
    assert all(map(np.array_equal, once, again))
    for other in (("b.jpg", "white_noise", 0), ("a.jpg", "white_noise", 1)):
        assert not np.array_equal(once[2], distort_photo(small, *other)[2])
    noises = [picture.astype(float) - small for picture in once]
    assert np.corrcoef(noises[1].ravel(), noises[2].ravel())[0, 1] > 0.8  # the same grain, stronger
    jpegs = distort_photo(small, "a.jpg", "jpeg", 0)
    assert all(np.array_equal(own, distort(small, "jpeg", i, np.random.default_rng())) for i, own in enumerate(jpegs, 1))


@pytest.mark.parametrize(
    ("shape", "wanted"), [((60, 90), (40, 60)), ((90, 60), (60, 40)), ((40, 99), (40, 99)), ((9, 9), (9, 9))]
)
def test_only_larger_photos_are_reduced(shape: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert limit_short_side(np.zeros((*shape, 3), np.uint8), 40).shape == (*wanted, 3)


def test_changes_are_what_they_are_called(rgb: Rgb) -> None:
    changed = {name: change(rgb) for name, change in HARMLESS.items()}
    assert changed["JPEG quality 95"].shape == rgb.shape == (128, 128, 3)
    assert 0 < np.abs(changed["JPEG quality 95"].astype(float) - rgb).mean() < 5
    assert changed["resized to 90 %"].shape == (115, 115, 3)
    assert changed["resized to 110 %"].shape == (141, 141, 3)
    assert np.array_equal(changed["mirrored"][:, 0], rgb[:, -1])
    assert np.array_equal(changed["cropped by 2 %"], rgb[1:-1, 1:-1])
    assert crop_border(np.zeros((300, 200, 3), np.uint8), 0.01).shape == (294, 196, 3)
    for name, change in HARMLESS.items():
        assert change(rgb[:1, :2]).size, name


@pytest.mark.parametrize("count", [1, 3])
def test_scores_are_those_of_the_product(model: Path, photos: Path, count: int) -> None:
    paths = choose_photos([photos])
    scorers = open_scorers([str(model)], ScoreOptions(crops=count))
    records = list(open_pipeline(ScoreOptions(str(model), crops=count)).score(paths))
    (scores,) = score_pictures(scorers, [decode_image(path).rgb for path in paths])
    assert scores == pytest.approx([record.score for record in records], abs=1e-9)
    assert len(set(scores.tolist())) == len(paths) == 12


@pytest.mark.parametrize(("quality", "score"), [(0.25, 25), (-1, 0), (2, 100)])
def test_scores_are_0_to_100_and_equal_shapes_share_a_run(quality: float, score: float) -> None:
    backend = FlatBackend(quality)
    pictures = [np.zeros(((8, 9), (9, 24))[i % 2] + (3,), np.uint8) for i in range(20)]
    assert score_pictures([ArrayScorer("flat", backend, CARD.crops)], pictures).tolist() == [[score] * 20]
    assert backend.runs == [10, 10]


def test_a_score_that_is_no_number_ends_the_run() -> None:
    scorer = ArrayScorer("flat", FlatBackend(float("nan")), CARD.crops)
    with pytest.raises(WeightsError, match="model flat gives a score that is no number"):
        score_pictures([scorer], [np.zeros((8, 8, 3), np.uint8)])


# ---- photos ----


def test_photos_are_drawn_in_an_order_that_only_names_decide(photos: Path, tmp_path: Path) -> None:
    every = choose_photos([photos, photos / "more"])
    assert len(every) == len(set(every)) == 12
    assert [Path(path).name for path in every] != sorted(Path(path).name for path in every)
    assert choose_photos([photos], limit=3) == every[:3]
    held = choose_photos([photos], 0.5)
    assert 0 < len(held) < 12
    assert held == every[: len(held)]  # the order is that of being held out, so a few photos are held out at any share
    assert all(is_held_out(Path(path).name, 0.5) for path in held)
    with pytest.raises(DataError, match="no photos to measure on, and none of 12 images is held out at a share of 1e-09"):
        choose_photos([photos], 1e-9)
    with pytest.raises(DataError, match=r"no photos to measure on$"):
        choose_photos([tmp_path])


def test_a_photo_by_two_names_is_one(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "linked").symlink_to(photos)
    monkeypatch.chdir(photos.parent)
    for folders in ((Path(photos.name), photos), (photos, tmp_path / "linked"), (photos / "more" / "..", photos)):
        chosen = choose_photos(folders)
        assert len(chosen) == 12
        assert all(path.startswith(str(folders[0])) for path in chosen)


def test_a_folder_that_cannot_be_read_is_told(iqa: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photo(tmp_path / "a.jpg", 1, (40, 30))
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    done = iqa("evaluate", "--robustness", tmp_path, "-m", model)
    assert done.returncode == 1
    told = f"left out: {tmp_path}: 1 folder that cannot be read: there may be photos that are in no figure"
    assert told in done.stderr.decode()


def test_threads_change_nothing_and_what_cannot_be_decoded_is_left_out(model: Path, tmp_path: Path) -> None:
    for seed in range(3):
        write_photo(tmp_path / f"{seed}.jpg", seed, (40, 30))
    (tmp_path / "broken.jpg").write_text("no picture")
    options = RobustnessOptions((tmp_path,), (str(model),), scoring=ScoreOptions(workers=1))
    one, other = (list(measure_robustness(replace(options, scoring=ScoreOptions(workers=workers)))) for workers in (1, 2))
    events, (single, threaded) = one[:-1], (one[-1], other[-1])
    assert isinstance(single, Robustness)
    assert isinstance(threaded, Robustness)
    assert [(e.done, e.images) for e in events] == [(i, 4) for i in range(1, 5)]  # type: ignore[union-attr]
    assert single.failed == {str(tmp_path / "broken.jpg"): "not an image"}
    assert sorted(Path(path).name for path in single.photos) == ["0.jpg", "1.jpg", "2.jpg"]
    assert np.array_equal(single.distorted, threaded.distorted)
    assert np.array_equal(single.changed, threaded.changed)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"models": ("a", "a")}, "a is named twice"),
        ({"limit": 0}, "limit is at least 1, not 0"),
        ({"held_out": 0.0}, "more than 0 and at most 1, not 0"),
        ({"held_out": float("nan")}, "more than 0 and at most 1, not nan"),
    ],
)
def test_options_that_make_no_sense(changes: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        replace(RobustnessOptions((Path("photos"),)), **changes)  # type: ignore[arg-type]


# ---- the command ----


def test_in_a_pipe_csv_and_both_files(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    models = ["-m", model, "-m", model.parent]
    files = ["--csv", tmp_path / "x.csv", "--json", tmp_path / "x.json"]
    done = iqa("evaluate", "--robustness", photos, "--limit", "2", *models, *files)
    assert done.returncode == 0, done.stderr
    rows = read_rows(done.stdout)
    assert len(rows) == 2 * (COUNT + len(GROUPS) + len(LOCAL_FAULTS) + 1 + len(HARMLESS))
    jpeg, mirrored = (next(row for row in rows if row["name"] == name) for name in ("jpeg", "mirrored"))
    assert (jpeg["model"], jpeg["measure"], jpeg["photos"], jpeg["median"]) == (str(model), "distortion", "2", "")
    assert (mirrored["measure"], mirrored["srcc"]) == ("change", "")
    first, second = json.loads((tmp_path / "x.json").read_text())
    assert {**first, "model": ""} == {**second, "model": ""}
    assert list(first["photos"]) == choose_photos([photos], limit=2)
    assert float(jpeg["srcc"]) == pytest.approx(first["distortions"]["jpeg"]["srcc"], abs=1e-4)
    assert float(mirrored["p95"]) == pytest.approx(first["changes"]["mirrored"]["p95"], abs=1e-4)
    with (tmp_path / "x.csv").open(newline="") as file:
        pictures = list(csv.DictReader(file))
    assert len(pictures) == 2 * 2 * (6 * COUNT + len(PICTURES) + 1 + len(HARMLESS))
    plain = [float(row["score"]) for row in pictures if (row["measure"], row["name"]) == ("change", "")]
    assert plain == pytest.approx([*first["photos"].values()] * 2, abs=1e-4)


def test_a_photo_that_cannot_be_decoded_is_exit_code_1(iqa: Run, model: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg", 1, (40, 30))
    (tmp_path / "broken.jpg").write_text("no picture")
    done = iqa("evaluate", "--robustness", tmp_path, "-m", model)
    assert done.returncode == 1
    assert f"left out: {tmp_path / 'broken.jpg'}: not an image" in done.stderr.decode()
    (tmp_path / "a.jpg").unlink()
    done = iqa("evaluate", "--robustness", tmp_path, "-m", model)
    assert (done.returncode, done.stdout) == (4, b"")
    assert b"none of 1 photos could be decoded" in done.stderr


def test_an_output_never_takes_the_place_of_a_photo_and_may_be_stdout(iqa: Run, model: Path, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "a.jpg", 1, (40, 30))
    before = photo.read_bytes()
    done = iqa("evaluate", "--robustness", tmp_path, "-m", model, "--csv", photo)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"not CSV of scored pictures of an earlier run" in done.stderr
    assert photo.read_bytes() == before
    files = ["--csv", "-", "--json", tmp_path / "x.json"]
    for _ in range(2):  # an earlier output may be replaced
        done = iqa("evaluate", "--robustness", tmp_path, "-m", model, *files)
        assert done.returncode == 0, done.stderr
        assert len(read_rows(done.stdout)) == 6 * COUNT + len(PICTURES) + 1 + len(HARMLESS)


@pytest.mark.parametrize("columns", [80, 120])
def test_at_a_terminal_tables_that_fit(model: Path, photos: Path, columns: int) -> None:
    code, shown = run_at_terminal(
        "evaluate", "--robustness", str(photos), "--limit", "1", "-m", str(model), "-q", columns=columns
    )
    assert code == 0, shown
    assert max(map(len, shown.splitlines())) <= columns
    for text in ("clean above", "gaussian_blur", "mean of 14: blurs, noises", "95th percentile", "JPEG quality 95"):
        assert text in shown


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--robustness", "none"], 4, "none: no such folder of clean photos"),
        (["--robustness", "."], 4, ".: no photos to measure on"),
        (["--robustness", ".", "-d", "livec", "--plot", "x.svg"], 2, "leave out --dataset and --plot"),
        (["-d", "livec", "--limit", "2"], 2, "about clean photos: add --robustness DIR"),
        (["--robustness", ".", "--split", "test", "--rounds", "9"], 2, "leave out --split and --rounds"),
        (["--robustness", ".", "--batch-size", "2"], 2, "leave out --batch-size"),
        (["--robustness", ".", "--held-out", "2"], 2, "more than 0 and at most 1, not 2"),
        (["--robustness", ".", "--csv", "none/x.csv"], 4, "cannot write"),
        (["--robustness", ".", "--csv", "x", "--json", "./x"], 2, "one file"),
    ],
)
def test_what_is_wrong_is_one_line_and_a_code(iqa: Run, tmp_path: Path, args: list[str], code: int, said: str) -> None:
    done = iqa("evaluate", *args, cwd=tmp_path, env=environment())
    assert (done.returncode, done.stdout) == (code, b""), done.stderr
    assert done.stderr.startswith(b"iqa: error: ")
    assert said in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_measuring_with_onnx_loads_no_torch(model: Path, photos: Path) -> None:
    loaded = find_loaded("-m", "iqa_cli", "evaluate", "--robustness", photos, "--limit", "1", "-m", model)
    assert {"onnxruntime", "cv2"} <= loaded
    assert not {"torch", "timm", "matplotlib", "scipy"} & loaded
