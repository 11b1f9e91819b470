import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import CARD, OPINIONS, wait_until, write_photo
from PIL import Image

from iqa_cli import ScoreOptions, score_images
from iqa_cli.errors import DataError, UsageError, WeightsError
from iqa_cli.images.crops import Crops, CropSpec
from iqa_cli.images.find import AnyPath, find_images
from iqa_cli.models.card import ModelCard, OutputScale
from iqa_cli.models.find import find_model
from iqa_cli.models.onnx_backend import Backend, OnnxBackend
from iqa_cli.options import BackendChoice
from iqa_cli.records import ScoreRecord, Status
from iqa_cli.scoring.backends import open_backend
from iqa_cli.scoring.cache import ScoreCache
from iqa_cli.scoring.decode_pool import DecoderPool
from iqa_cli.scoring.decode_protocol import DecodeOptions
from iqa_cli.scoring.ordered_map import MAX_WAITING
from iqa_cli.scoring.pipeline import (
    THREADS_A_WORKER,
    Pipeline,
    choose_decode_options,
    describe_settings,
    open_pipeline,
    score_all,
)
from iqa_cli.scoring.tally import Tally


class Constant:
    """A backend that gives one quality to everything, or those of a list in turn, and counts its runs."""

    def __init__(self, *qualities: float) -> None:
        self.qualities = qualities
        self.shapes: list[tuple[int, ...]] = []

    def predict(self, crops: Crops) -> np.ndarray:
        self.shapes.append(crops.shape)
        return np.resize(np.asarray(self.qualities, np.float32), len(crops))


def list_photos(folder: Path) -> list[str]:
    from collections import Counter

    return list(find_images([str(folder)], Counter()))


@cache
def share_pool(options: DecodeOptions) -> DecoderPool:
    """A pool for all tests with these options: starting workers takes a while."""
    return DecoderPool(options, 3)


POOL = share_pool(choose_decode_options(CARD, ScoreOptions()))


def score_one(backend: Backend, card: ModelCard, path: str) -> ScoreRecord:
    (record,) = Pipeline(backend, card, ScoreOptions(), POOL).score([path])
    return record


def score_with(options: ScoreOptions, paths: list[str]) -> list[ScoreRecord]:
    found = find_model(options.model, options.backend)
    backend = open_backend(found.card, found.folder, found.backend, options.device)
    return list(Pipeline(backend, found.card, options, share_pool(choose_decode_options(found.card, options))).score(paths))


# ---- laws ----


def test_scores_are_spread_so_that_a_mix_up_would_show(model: Path, photos: Path) -> None:
    records = score_with(ScoreOptions(str(model)), list_photos(photos))
    assert len(records) == 12
    assert len({record.score for record in records}) == 12
    assert {record.status for record in records} == {Status.OK}


@pytest.mark.parametrize("crops", [1, 5])
def test_neither_batch_size_nor_workers_change_a_record(model: Path, photos: Path, crops: int) -> None:
    paths = [*list_photos(photos), "missing.jpg", *list_photos(photos)[::-1]]
    expected = list(open_pipeline(ScoreOptions(str(model), batch_size=1, workers=1, crops=crops)).score(paths))
    assert [record.path for record in expected] == paths
    for batch_size, workers in ((1, 2), (1, 3), (5, 1), (7, 3), (100, 2)):
        assert score_with(ScoreOptions(str(model), batch_size=batch_size, workers=workers, crops=crops), paths) == expected


def test_the_order_of_paths_changes_no_record(model: Path, photos: Path) -> None:
    paths = list_photos(photos)
    expected = {record.path: record for record in score_with(ScoreOptions(str(model)), paths)}
    shuffled = [paths[i] for i in np.random.default_rng(1).permutation(len(paths))]
    records = score_with(ScoreOptions(str(model), batch_size=4), shuffled)
    assert [record.path for record in records] == shuffled
    assert {record.path: record for record in records} == expected


@pytest.mark.parametrize("crops", [1, 5])
def test_an_image_alone_has_the_record_that_it_has_among_others(model: Path, photos: Path, crops: int) -> None:
    options = ScoreOptions(str(model), crops=crops, workers=3, batch_size=4)
    together = list(score_images([photos], options))
    scorer = open_pipeline(replace(options, workers=1, batch_size=1))
    assert [record for path in list_photos(photos) for record in scorer.score([path])] == together


def test_order_is_kept_although_images_take_different_times(model: Path, tmp_path: Path) -> None:
    paths = [str(write_photo(tmp_path / f"{i}.jpg", i, (2000, 1500) if i % 4 == 0 else (40, 40))) for i in range(16)]
    assert [record.path for record in score_with(ScoreOptions(str(model), workers=4), paths)] == paths


def test_equal_shapes_share_a_run(photos: Path) -> None:
    backend = Constant(0.5)
    list(Pipeline(backend, CARD, ScoreOptions(batch_size=12, workers=1, crops=2)).score(list_photos(photos)))
    assert len(backend.shapes) == len({shape[2:] for shape in backend.shapes}) == 2
    assert sum(shape[0] for shape in backend.shapes) == 24


# ---- scores ----


@pytest.mark.parametrize(("quality", "score"), [(0.0, 0.0), (0.25, 25.0), (1.0, 100.0), (-0.5, 0.0), (1.5, 100.0)])
def test_a_score_is_the_quality_on_the_scale_of_the_card(photos: Path, quality: float, score: float) -> None:
    path = list_photos(photos)[0]
    assert score_one(Constant(quality), CARD, path).score == score
    assert score_one(Constant(quality), replace(CARD, score_range=(10.0, 60.0)), path).score == 10 + score / 2


def test_a_score_is_the_mean_over_the_crops(photos: Path) -> None:
    (record,) = Pipeline(Constant(0.1, 0.2, 0.6), CARD, ScoreOptions(crops=3)).score(list_photos(photos)[:1])
    assert record.score == pytest.approx(30.0, abs=1e-5)


def find_percentile(score: float, opinions: tuple[float, ...], path: str) -> float:
    percentile = score_one(Constant(score / 100), replace(CARD, opinions=opinions), path).percentile
    assert percentile is not None
    return percentile


def test_a_percentile_is_the_share_of_opinions_at_or_below(photos: Path) -> None:
    path = list_photos(photos)[0]
    assert find_percentile(10, OPINIONS, path) == 0
    assert find_percentile(20, OPINIONS, path) == pytest.approx(0, abs=1e-4)
    assert find_percentile(50, OPINIONS, path) == pytest.approx(50, abs=1e-4)
    assert find_percentile(50.3, OPINIONS, path) == pytest.approx(50.5, abs=1e-4)
    assert find_percentile(80, OPINIONS, path) == pytest.approx(100, abs=1e-4)
    assert find_percentile(90, OPINIONS, path) == 100


def test_of_equal_opinions_the_highest_counts(photos: Path) -> None:
    path = list_photos(photos)[0]
    ties = (*[25.0] * 31, *[50.0] * 40, *[75.0] * 30)
    values = [find_percentile(score, ties, path) for score in (24, 25, 26, 49, 50, 51, 74, 75, 76)]
    assert values[:2] == [0, 30]
    assert values[4] == 70
    assert values[-2:] == [100, 100]
    assert values == sorted(values)


def test_percentiles_never_fall_as_scores_rise(photos: Path) -> None:
    path = list_photos(photos)[0]
    opinions = tuple(np.sort(np.random.default_rng(2).integers(0, 100, 101)).astype(float))
    values = [find_percentile(score, opinions, path) for score in np.linspace(0, 100, 60)]
    assert values == sorted(values)


def test_the_options_crops_override_the_cards(model: Path, photos: Path) -> None:
    paths = list_photos(photos)
    one, five = (score_with(ScoreOptions(str(model), crops=crops), paths) for crops in (1, 5))
    assert score_with(ScoreOptions(str(model)), paths) == one
    assert all(a.score != b.score for a, b in zip(one, five, strict=True))


def test_scores_of_crops_that_were_cut_otherwise_are_not_those_of_today(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = find_model(str(model), BackendChoice.ONNX)
    work = choose_decode_options(found.card, ScoreOptions())
    now, again = (describe_settings(found, work, "cpu") for _ in range(2))
    monkeypatch.setattr("iqa_cli.scoring.pipeline.CROP_VERSION", 1)
    assert now == again != describe_settings(found, work, "cpu")


def test_a_network_that_gives_no_number_stops_the_run(photos: Path) -> None:
    path = list_photos(photos)[0]
    with pytest.raises(WeightsError, match=f"toy gives no number for {path}"):
        score_one(Constant(float("nan")), CARD, path)


class NanOf:
    """A backend that gives no number for crops as dark as that."""

    def __init__(self, darkest: float) -> None:
        self.darkest = darkest

    def predict(self, crops: Crops) -> np.ndarray:
        means = crops.mean(axis=(1, 2, 3))
        return np.where(means < self.darkest, np.nan, 0.5).astype(np.float32)


OTHER = replace(CARD, output=OutputScale(0.0, 1.0, True))


@pytest.mark.parametrize("batch_size", [1, 5])
def test_one_picture_without_a_number_of_another_origins_network_is_a_record(tmp_path: Path, batch_size: int) -> None:
    paths = [str(tmp_path / f"{place}.png") for place in range(3)]
    for path, grey in zip(paths, (200, 5, 100), strict=True):
        Image.new("RGB", (90, 70), (grey,) * 3).save(path)
    kept = ScoreCache(tmp_path / "cache", {}, pytest.fail)
    options = ScoreOptions(batch_size=batch_size, preview=32, reasons=True)
    with closing(kept), closing(DecoderPool(choose_decode_options(OTHER, options), 1)) as pool:
        pipeline = Pipeline(NanOf(-0.5), OTHER, options, pool, kept)
        for _ in range(2):
            dark = list(pipeline.score(paths))
            assert [record.status for record in dark] == ["ok", "unsupported", "ok"]
            assert (dark[1].detail, dark[1].width, dark[1].height) == ("the network gives no number for it", 90, 70)
            assert (dark[1].score, dark[1].reasons, dark[1].preview) == (None, None, None)
    with pytest.raises(WeightsError, match=r"toy gives no number for .*1\.png: its weights are broken"):
        score_one(NanOf(-0.5), CARD, paths[1])


def test_a_network_of_other_origin_that_never_gives_a_number_stops_the_run(photos: Path) -> None:
    path = list_photos(photos)[0]
    with pytest.raises(WeightsError, match=f"toy gives no number for {path}: its weights are broken"):
        score_one(NanOf(9.0), OTHER, path)


def test_large_photos_decoded_small_score_as_when_decoded_whole(model: Path, tmp_path: Path) -> None:
    jpeg = write_photo(tmp_path / "large.jpg", 3, (3000, 2000))
    from PIL import Image

    with Image.open(jpeg) as image:
        image.save(tmp_path / "large.png")  # which is always decoded whole
    small, whole = score_with(ScoreOptions(str(model)), [str(jpeg), str(tmp_path / "large.png")])
    assert (small.width, small.height) == (whole.width, whole.height) == (3000, 2000)
    assert small.score == pytest.approx(whole.score, abs=1.0)


# ---- images that fail ----


def test_an_image_that_fails_is_a_record_between_others(model: Path, photos: Path, tmp_path: Path) -> None:
    good = list_photos(photos)[0]
    (tmp_path / "damaged.jpg").write_bytes(Path(good).read_bytes()[:300])
    (tmp_path / "text.jpg").write_text("text")
    paths = [good, *(str(tmp_path / name) for name in ("gone.jpg", "damaged.jpg", "text.jpg")), good]
    for batch_size in (1, 5):
        records = score_with(ScoreOptions(str(model), batch_size=batch_size), paths)
        statuses = [Status.OK, Status.MISSING, Status.DAMAGED, Status.UNSUPPORTED, Status.OK]
        assert [record.status for record in records] == statuses
        assert [record.path for record in records] == paths
        assert all(record.detail for record in records[1:4])
        assert records[0] == records[4]


def test_too_large_is_told_from_the_header_with_its_size(model: Path, photos: Path) -> None:
    (record,) = score_with(ScoreOptions(str(model), max_pixels=1000), [str(photos / "01.jpg")])
    assert (record.status, record.width, record.height) == (Status.TOO_LARGE, 80, 96)


# ---- laziness ----


def test_paths_are_drawn_only_as_they_are_needed(photos: Path) -> None:
    path, ahead = list_photos(photos)[0], THREADS_A_WORKER * 2
    drawn: list[str] = []

    def draw() -> Iterator[str]:
        while True:
            drawn.append(path)
            yield path

    records = Pipeline(Constant(0.5), CARD, ScoreOptions(workers=2, batch_size=3), POOL).score(draw())
    assert not drawn
    for _ in range(10):
        next(records)
    wait_until(lambda: len(drawn) >= 12 + 3 * ahead)  # four batches have been asked for, and so many more lie ready
    time.sleep(0.5)  # for one that was being drawn when the last record came
    so_far = len(drawn)
    assert so_far < 10 + 3 * MAX_WAITING
    time.sleep(0.5)
    assert len(drawn) == so_far  # nobody asks for more
    records.close()


class Waiting:
    """A backend that waits whenever it is told to."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.held = threading.Event()
        self.runs = 0

    def predict(self, crops: Crops) -> np.ndarray:
        self.runs += 1
        if not self.go.is_set():
            self.held.set()
            assert self.go.wait(300)
        return np.full(len(crops), 0.5, np.float32)


def find_threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(name)]


def test_closing_drops_what_has_not_begun(photos: Path) -> None:
    backend = Waiting()
    records = Pipeline(backend, CARD, ScoreOptions(workers=1), POOL).score(list_photos(photos) * 1000)
    next(records)
    backend.go.clear()
    assert backend.held.wait(300)
    runs = backend.runs
    closer = threading.Thread(target=records.close)
    closer.start()
    wait_until(lambda: not find_threads("score-producer"))  # it has begun to close
    backend.go.set()
    closer.join()
    assert backend.runs <= runs + 2
    assert not find_threads("score")


def test_workers_work_at_the_same_time(photos: Path) -> None:
    meeting = threading.Barrier(3)

    class Meeting:
        def predict(self, crops: Crops) -> np.ndarray:
            meeting.wait(30)  # breaks unless three come
            return np.full(len(crops), 0.5, np.float32)

    assert len(list(Pipeline(Meeting(), CARD, ScoreOptions(workers=3), POOL).score(list_photos(photos)))) == 12


def test_a_record_comes_before_the_next_path_is_there(photos: Path) -> None:
    scored = threading.Event()

    def draw() -> Iterator[str]:
        yield list_photos(photos)[0]
        assert scored.wait(60), "the record waits for the next path"
        yield "gone.jpg"

    records = Pipeline(Constant(0.5), CARD, ScoreOptions(), POOL).score(draw())
    assert next(records).status is Status.OK
    scored.set()
    assert [record.status for record in records] == [Status.MISSING]


# ---- whole runs ----


def test_score_images_takes_folders_and_paths(model: Path, photos: Path) -> None:
    records = list(score_images([photos, photos / "01.jpg"], ScoreOptions(str(model))))
    assert [record.path for record in records] == [*list_photos(photos), str(photos / "01.jpg")]


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_one_path_is_one_path_and_never_one_a_character(model: Path, photos: Path, kind: Callable[[Path], AnyPath]) -> None:
    photo, options = photos / "01.jpg", ScoreOptions(str(model))
    for given in (kind(photo), [kind(photo)], (kind(path) for path in [photo])):
        assert [record.path for record in score_images(given, options)] == [str(photo)]
    assert [record.path for record in score_images(kind(photos), options)] == list_photos(photos)
    assert [record.path for record in open_pipeline(options).score(kind(photo))] == [str(photo)]


def score_found(folders: list[Path], model: Path, write: Callable[[ScoreRecord], None], tally: Tally) -> None:
    score_all(find_images(map(str, folders), tally.left_out), ScoreOptions(str(model)), write, tally)


def test_a_run_counts_what_becomes_of_every_file(model: Path, photos: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg", 1)
    (tmp_path / "b.jpg").write_text("text")
    (tmp_path / "notes.txt").write_text("text")
    tally, records = Tally(), []
    score_found([photos, tmp_path], model, records.append, tally)
    assert tally.found == tally.recorded == len(records) == 14
    assert tally.statuses == {Status.OK: 13, Status.UNSUPPORTED: 1}
    assert tally.left_out == {"*.txt": 1}
    assert tally.exit_code == 1
    assert tally.describe_left_out() == "left out: 1 *.txt"


@pytest.mark.parametrize("cached", [False, True])
def test_previews_come_with_the_same_scores(model: Path, photos: Path, cached: bool) -> None:
    paths = list_photos(photos)
    plain = score_with(ScoreOptions(model=str(model)), paths)
    options = ScoreOptions(model=str(model), preview=48, cache=cached)
    for _ in range(1 + cached):  # with the cache, the second time knows all scores
        records = list(open_pipeline(options).score(paths))
        assert records == plain
        for record in records:
            assert record.preview
            assert max(Image.open(io.BytesIO(record.preview)).size) == 48
    assert all(record.preview is None for record in plain)


def test_nothing_to_score_says_what_was_left_out(model: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images found; there is nothing at all"):
        score_found([tmp_path], model, lambda _: None, Tally())
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(DataError, match=r"no images found; left out: 1 \*\.txt"):
        score_found([tmp_path], model, lambda _: None, Tally())


@pytest.mark.parametrize("knobs", [{"batch_size": 0}, {"workers": 0}, {"crops": 0}, {"crops": 10}, {"max_pixels": 0}])
def test_knobs_that_make_no_sense_are_refused(knobs: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(knobs))} is "):
        ScoreOptions(**knobs)


def test_a_scorer_may_be_used_by_threads(model: Path, photos: Path) -> None:
    scorer = Pipeline(OnnxBackend(model.with_name("toy.onnx")), replace(CARD, crops=CropSpec(64)), ScoreOptions(workers=2))
    paths = list_photos(photos)
    expected = list(scorer.score(paths))
    results: list[list[ScoreRecord]] = []
    threads = [threading.Thread(target=lambda: results.append(list(scorer.score(paths)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4
