"""Trainings as researchers use them: curves, early ends, decoded images, several processes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from conftest import Run as Command
from conftest import write_photo
from in_process import environment
from test_locks import holding

from iqa_cli.errors import DataError, ExtraMissing, UsageError, WeightsError
from iqa_cli.evaluation.run import Evaluation, evaluate
from iqa_cli.images.crops import CropSpec
from iqa_cli.networks.checkpoint import load_tensors
from iqa_cli.options import EvaluateOptions, OwnRatings, RatedSets, ScoreOptions
from iqa_cli.training import initial_network, run
from iqa_cli.training.data.batches import draw_epoch, load_epoch
from iqa_cli.training.data.labeled import choose_distortions
from iqa_cli.training.data.pixels import DecodedImages, PixelCache, bound_image
from iqa_cli.training.data.samples import CropDataset, TrainingImage
from iqa_cli.training.data.teacher_scores import TeacherScore
from iqa_cli.training.distributed import SINGLE, ProcessGroup, open_group
from iqa_cli.training.events import CurvesDrawn, EpochDone, Event, FeaturesExtracted, PhaseStopped
from iqa_cli.training.loop import find_stall, fit
from iqa_cli.training.optim import set_rates
from iqa_cli.training.options import LoopOptions, MatchingOptions, SampleOptions, TrainingOptions
from iqa_cli.training.plan import make_plan
from iqa_cli.training.recipes import describe_options, leave_out, write_recipe
from iqa_cli.training.report import TensorBoard, draw_curves
from iqa_cli.training.run_folder import RunFolder
from iqa_cli.training.state import Run

MATCHING = MatchingOptions(memory=6, tolerance=0.5, ranking_weight=0.5, correlation_weight=0.2)
SAMPLES = SampleOptions(distorted=0.5, versions=1, seed=3)
LOOP = LoopOptions(epochs=2, head_epochs=1, views=1, batch_size=4, averaging=0.5, precision="fp32")


@pytest.fixture(scope="module")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen pictures, noisier and noisier, and a CSV in which they are worse and worse."""
    folder = tmp_path_factory.mktemp("rated")
    chance = np.random.default_rng(0)
    for number in range(16):
        waves = 120 + 80 * np.sin(np.linspace(0, 6 + number, 96))[:, None, None] * np.ones((96, 80, 3))
        picture = np.clip(waves + chance.normal(0, 6 * number, waves.shape), 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{number}.png")
    rows = "".join(f"{number}.png,{85 - 6 * number}\n" for number in range(16))
    (folder / "ratings.csv").write_text(f"image,score\n{rows}")
    return folder / "ratings.csv"


def choose(ratings: Path, run_dir: Path, **changes: Any) -> TrainingOptions:
    begin = TrainingOptions(
        run_dir=run_dir, dataset="csv", own=OwnRatings(ratings), backbone="test_efficientnet", backbone_weights="none", size=64,
        fit="whole", width=16, heads=2, validation=0.25, matching=MATCHING, samples=SAMPLES, loop=LOOP,
    )  # fmt: skip
    return replace(begin, **changes)


def train(options: TrainingOptions) -> Iterator[Event]:
    return run.train(make_plan(options))


@pytest.fixture(scope="module")
def finished(ratings: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    """A run on a quarter for the test, with all that can be written beside it."""
    pytest.importorskip("tensorboard")
    folder = tmp_path_factory.mktemp("run")
    options = choose(ratings, folder, repeats=1, tensorboard=True, decoded=folder / "decoded", test_share=0.25)
    return folder / "split0", list(train(options))


# ---- splits that another run takes ----


def read_split(folder: Path) -> dict[str, list[str]]:
    """Without the order of the images, which a training draws anew."""
    return {side: sorted(names) for side, names in json.loads((folder / "split.json").read_text()).items()}


def test_the_folds_of_a_run_are_another_runs_folds_and_give_its_figures(ratings: Path, tmp_path: Path) -> None:
    few = replace(LOOP, epochs=1, head_epochs=0)
    first, second = (choose(ratings, tmp_path / name, loop=few, validation=0.0) for name in ("first", "second"))
    list(train(replace(first, folds=2)))
    table = tmp_path / "first" / "predictions.csv"
    list(train(replace(second, fold_file=table)))
    assert (tmp_path / "second" / "predictions.csv").read_bytes() == table.read_bytes()
    for fold in ("fold0", "fold1"):
        assert read_split(tmp_path / "second" / fold) == read_split(tmp_path / "first" / fold)
    assert (tmp_path / "second" / "results.json").read_text() == (tmp_path / "first" / "results.json").read_text()
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [f"{number}.png" for number in range(16)]
    assert [float(row["label"]) for row in rows[::15]] == [100.0, 0.0]
    with (tmp_path / "first" / "fold1" / "test.csv").open(newline="") as file:
        tested = {row["image"]: row["score"] for row in csv.DictReader(file)}
    assert {row["image"]: row["prediction"] for row in rows if row["fold"] == "1"} == tested
    labels = RatedSets(("csv",), own=OwnRatings(ratings))
    options = EvaluateOptions(
        labels, (str(tmp_path / "first" / "fold1"),), fold_file=table, folds=(1,), rounds=5, scoring=ScoreOptions(workers=1)
    )
    (evaluation,) = (event for event in evaluate(options, print) if isinstance(event, Evaluation))
    scored = {Path(pair.path).name: pair.score for pair in evaluation.comparison.pairs}
    assert scored == {image: pytest.approx(float(score), abs=0.5) for image, score in tested.items()}  # of weights in half


def test_a_single_split_leaves_one_in_its_own_folder(finished: tuple[Path, list[Event]]) -> None:
    folder, _ = finished
    with (folder / "predictions.csv").open(newline="") as file:
        folds = {row["image"]: row["fold"] for row in csv.DictReader(file)}
    split = json.loads((folder / "split.json").read_text())
    assert folds == {
        **dict.fromkeys(split["train"] + split["validation"], "train"),
        **dict.fromkeys(split["test"], "0"),
    }
    assert not (folder.parent / "predictions.csv").exists()


# ---- what a run leaves behind ----


def test_learning_curves_are_a_table_and_a_picture(finished: tuple[Path, list[Event]]) -> None:
    folder, events = finished
    stats = [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]
    with (folder / "learning.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert [float(row["loss_label"]) for row in rows] == [row["losses"]["label"] for row in stats]
    assert [row["srcc"] and float(row["srcc"]) for row in rows] == [row["srcc"] for row in stats]
    assert CurvesDrawn(folder / "learning.csv", folder / "learning.png") in events
    assert (folder / "learning.png").read_bytes().startswith(b"\x89PNG")


def test_tensorboard_gets_every_epoch(finished: tuple[Path, list[Event]]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, events = finished
    read = EventAccumulator(str(folder / "tensorboard"))
    read.Reload()
    expected = [event.losses["label"] for event in events if isinstance(event, EpochDone)]
    found = read.Scalars("loss/label")
    assert [point.step for point in found] == [1, 2, 3]
    assert [point.value for point in found] == pytest.approx(expected, rel=1e-6)
    assert "validation/srcc" in read.Tags()["scalars"]


def test_without_matplotlib_there_is_the_table_and_without_tensorboard_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stats.jsonl").write_text(
        '{"epoch": 1, "phase": "head training", "losses": {"a": 1.0}, "rates": {}, "srcc": null, "plcc": null,'
        ' "images_per_second": 1, "seconds": 1}\n'
    )
    for name in ("matplotlib", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
    assert draw_curves(RunFolder(tmp_path), "a title") == CurvesDrawn(tmp_path / "learning.csv", None)
    assert (tmp_path / "learning.csv").read_text().splitlines()[1] == "1,head training,,,1,1,1.0"
    with pytest.raises(ExtraMissing, match=r"\[tensorboard\] extra"):
        TensorBoard(RunFolder(tmp_path))


def test_how_many_loaders_and_threads_there_are_is_no_matter(ratings: Path, tmp_path: Path) -> None:
    first = choose(ratings, tmp_path / "run", loop=replace(LOOP, epochs=0), features=tmp_path / "features")
    list(train(first))
    kept = sorted((tmp_path / "features").rglob("*"))
    kept_options = json.loads((tmp_path / "run" / "options.json").read_text())
    assert not {"workers", "threads"} & set(kept_options["loop"])
    threads = torch.get_num_threads()
    assert list(train(replace(first, resume=True, loop=replace(first.loop, workers=1, threads=1))))
    others = replace(first.loop, workers=1, threads=threads)  # of other numbers the last bits differ, and then the weights
    list(train(replace(first, run_dir=tmp_path / "again", loop=others)))
    assert sorted((tmp_path / "features").rglob("*")) == kept
    weights = [load_tensors(tmp_path / name / "last.safetensors")[0] for name in ("run", "again")]
    assert all(torch.allclose(value, weights[1][name], atol=1e-5) for name, value in weights[0].items())


def test_of_a_device_its_kind_matters() -> None:
    begun = [describe_options(TrainingOptions(Path(), loop=LoopOptions(device=name))) for name in ("cpu", "cuda", "cuda:1")]
    assert begun[1] == begun[2] != begun[0]


def test_a_table_s_fields_are_left_out_by_their_full_names() -> None:
    data = {"a": 1, "loop": {"a": 2, "b": 3}, "b": 4}
    assert leave_out(data, ("b", "loop.a")) == {"a": 1, "loop": {"b": 3}}


def test_a_fold_that_was_trained_otherwise_is_not_put_into_the_table(ratings: Path, tmp_path: Path) -> None:
    (tmp_path / "fold1").mkdir()
    other = choose(ratings, tmp_path, folds=2, size=96)
    (tmp_path / "fold1" / "options.json").write_text(json.dumps(describe_options(other)))
    with pytest.raises(UsageError, match=r"fold1.options.json: the run in this folder was begun with other options"):
        list(train(choose(ratings, tmp_path, folds=2, only=(0,))))
    with pytest.raises(UsageError, match=r"there are no folds \[7\]: only \[0, 1\]"):
        list(train(choose(ratings, tmp_path, folds=2, only=(0, 7))))
    assert [path.name for path in tmp_path.iterdir()] == ["fold1"]


@pytest.mark.parametrize(
    ("there", "changes", "told"),
    [
        ("", {"folds": 2}, "there is a single training in this run folder, and a training on a fold would be added"),
        ("fold1", {}, "there is a training on a fold in this run folder, and a single training would be added"),
        ("split0", {"folds": 2, "only": (1,)}, "there is a training on a split .*, and a training on a fold would be added"),
    ],
)
def test_trainings_on_another_kind_of_split_are_left_alone(
    ratings: Path, tmp_path: Path, there: str, changes: dict[str, Any], told: str
) -> None:
    folder = tmp_path / "run" / there
    folder.mkdir(parents=True)
    (folder / "options.json").write_text("{}")
    (tmp_path / "run" / "results.json").write_text("{}")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(UsageError, match=f"^{folder}: {told}, which make no table together: name another folder by --run-dir"):
        list(train(choose(ratings, tmp_path / "run", **changes)))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_trainings_of_one_kind_are_told_by_their_folders(ratings: Path, tmp_path: Path) -> None:
    for name in ("fold7", "folds", "teacher", "fold0/split0"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "options.json").touch()
    (tmp_path / "split1").mkdir()  # in which nothing was begun
    run.check_kind(make_plan(choose(ratings, tmp_path, folds=2)))
    with pytest.raises(UsageError, match="fold7: there is a training on a fold"):
        run.check_kind(make_plan(choose(ratings, tmp_path, repeats=2)))


def test_folds_trained_at_different_times_make_one_table(ratings: Path, tmp_path: Path) -> None:
    loop = replace(LOOP, epochs=0)
    for only in ((2,), (0, 1)):
        list(train(choose(ratings, tmp_path, folds=3, only=only, loop=loop)))
    results = json.loads((tmp_path / "results.json").read_text())
    rows = [json.loads((tmp_path / f"fold{n}" / "test.json").read_text()) for n in range(3)]
    assert results["trials"] == rows
    (summary,) = results["summary"]
    measured = [row["sets"][0] for row in rows]
    assert sum(each["images"] for each in measured) == summary["images"] == 16
    assert summary["plcc"]["high"] == max(each["plcc"]["value"] for each in measured)
    assert all(-1 <= each["krcc"]["low"] <= each["krcc"]["value"] <= each["krcc"]["high"] <= 1 for each in measured)
    with (tmp_path / "fold2" / "test.csv").open() as file:
        judged = [(float(row["opinion"]), float(row["score"])) for row in csv.DictReader(file)]
    assert np.corrcoef(np.array(judged).T)[0, 1] == pytest.approx(measured[2]["plcc"]["value"], abs=1e-3)


def test_a_run_that_was_stopped_goes_on_within_its_features(ratings: Path, tmp_path: Path) -> None:
    whole, halves = (choose(ratings, tmp_path / name, loop=replace(LOOP, epochs=0)) for name in ("whole", "halves"))
    list(train(whole))
    for event in train(halves):
        if isinstance(event, FeaturesExtracted) and event.done >= 3:
            break
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "halves" / "features").rglob("*.safetensors")}
    assert len(kept) >= 3
    for event in train(replace(halves, resume=True)):
        if isinstance(event, FeaturesExtracted):
            assert {path: path.stat().st_mtime_ns for path in kept} == kept  # not extracted once more
    one, two = (load_tensors(tmp_path / name / "last.safetensors")[0] for name in ("whole", "halves"))
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_a_folder_in_which_another_process_works_is_left_as_it_is(ratings: Path, tmp_path: Path) -> None:
    with holding(tmp_path / "run") as (process, _):
        with pytest.raises(UsageError, match=f"process {process.pid} is at work in this folder"):
            list(train(choose(ratings, tmp_path / "run", resume=True)))
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["lock"]


# ---- when a phase ends ----


def rows_of(*figures: float | None, phase: str = "fine-tuning") -> list[Mapping[str, Any]]:
    return [{"epoch": number, "phase": phase, "srcc": figure} for number, figure in enumerate(figures, 1)]


@pytest.mark.parametrize(
    ("figures", "patience", "best"),
    [
        ((0.1, 0.2, 0.2, 0.1), 2, 2),
        ((0.1, 0.2, 0.2, 0.1), 3, None),
        ((0.3, 0.2, 0.4), 2, None),
        ((0.3, 0.2), 0, None),
        ((float("nan"), 0.1, float("nan")), 1, 2),
        ((None, None, None), 1, None),
        ((), 1, None),
    ],
)
def test_a_phase_ends_when_nothing_was_better_for_so_many_epochs(
    figures: Sequence[float | None], patience: int, best: int | None
) -> None:
    assert find_stall(rows_of(*figures), "fine-tuning", patience) == best
    assert find_stall(rows_of(*figures, phase="head training"), "fine-tuning", patience) is None


def test_a_stalled_head_training_makes_way_and_a_resumed_run_stays_ended(ratings: Path, tmp_path: Path) -> None:
    still = replace(LOOP, head_epochs=9, epochs=8, rate=0.0, backbone_rate=0.0, head_rate=0.0, patience=2)  # nothing changes
    options = choose(ratings, tmp_path, loop=still)
    events = list(train(options))
    phases = [event.phase for event in events if isinstance(event, EpochDone)]
    assert phases == ["head training"] * 3 + ["fine-tuning"] * 3
    assert [event for event in events if isinstance(event, PhaseStopped)] == [
        PhaseStopped(3, "head training", 1), PhaseStopped(12, "fine-tuning", 10)
    ]  # fmt: skip
    again = list(train(replace(options, resume=True)))
    assert not [event for event in again if isinstance(event, EpochDone | PhaseStopped)]


# ---- where a training begins ----


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    return load_tensors(path)[0]


def test_a_training_may_begin_with_a_trained_model(ratings: Path, tmp_path: Path) -> None:
    """Its weights are taken, standards and all; without an epoch that moves them they are what comes out."""
    list(train(choose(ratings, tmp_path / "first", name="first")))
    still = replace(LOOP, head_epochs=0, epochs=1, rate=0.0, backbone_rate=0.0)
    second = choose(ratings, tmp_path / "second", initial_model=str(tmp_path / "first" / "first.json"), loop=still)
    list(train(second))
    before, after = (load_weights(tmp_path / f"{name}.safetensors") for name in ("first/first", "second/model"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_another_network_is_no_beginning(ratings: Path, tmp_path: Path) -> None:
    list(train(choose(ratings, tmp_path / "first")))
    other = choose(ratings, tmp_path / "second", initial_model=str(tmp_path / "first" / "model.json"), width=32)
    with pytest.raises(UsageError, match=r"model\.json: not the network that is to be trained"):
        list(train(other))
    gone = choose(ratings, tmp_path / "second", initial_model=str(tmp_path / "none.json"))
    with pytest.raises(WeightsError, match=r"none\.json"):
        make_plan(gone)
    assert not (tmp_path / "second").exists()


def test_a_training_that_diverges_stops_and_keeps_the_last_good_weights(ratings: Path, tmp_path: Path) -> None:
    wild = replace(LOOP, head_epochs=1, epochs=3, rate=1e30, backbone_rate=1e30, clip=1e30)
    with pytest.raises(UsageError, match=r"training diverged in epoch 2, whose loss is nan; .* train anew with lower rates"):
        list(train(choose(ratings, tmp_path, loop=wild)))
    for name in ("best", "last"):
        assert all(value.isfinite().all() for value in load_weights(tmp_path / f"{name}.safetensors").values())


# ---- several sets ----


def test_two_sets_on_scales_of_their_own_make_one_network_on_the_scale_of_one(ratings: Path, tmp_path: Path) -> None:
    """BIQ2021's scale is half of one's own and its images are the same: the network answers as one's own ratings say."""
    root = tmp_path / "BIQ2021"
    (root / "Images").mkdir(parents=True)
    for number in range(16):
        (root / "Images" / f"ss0{1 + number % 2} ({number}).jpg").write_bytes((ratings.parent / f"{number}.png").read_bytes())
    for part, numbers in (("Train", range(12)), ("Test", range(12, 16))):
        rows = "".join(f"ss0{1 + n % 2} ({n}).jpg,{0.5 - 0.02 * n:g},,\n" for n in numbers)
        (root / f"{part} (Images and MOS).csv").write_text(f"Image Name,MOS,,\n{rows}")
    both = choose(
        ratings, tmp_path / "run", dataset=("csv", "biq2021"), data_root=(ratings.parent, root),
        own=OwnRatings(ratings, score_range=(-5.0, 95.0)),
        loop=replace(LOOP, head_epochs=25, epochs=1, head_rate=1e-2, balanced=True), matching=replace(MATCHING, noise="none"),
        samples=replace(SAMPLES, distorted=0.0, subset_weights=("ss01=2",)), scale="csv",
    )  # fmt: skip
    events = list(train(both))
    done = [event for event in events if isinstance(event, EpochDone)]
    assert done[-1].losses["label"] < 0.5 * done[0].losses["label"]
    state = load_weights(tmp_path / "run" / "state.safetensors")
    gain, shift = state["objective.gain"], state["objective.shift"]
    assert gain[0] == 1
    assert shift[0] == 0
    assert gain[1] < 0.9  # on the way to a third
    assert "gain" not in str(load_weights(tmp_path / "run" / "model.safetensors").keys())
    with pytest.raises(UsageError, match=r"samples\.subset_weights: no images of a subset ss09; there are: ss01, ss02"):
        list(train(replace(both, run_dir=tmp_path / "other", samples=SampleOptions(subset_weights=("ss09=2",)))))


def test_patience_needs_a_validation_part(ratings: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs a validation part"):
        list(train(choose(ratings, tmp_path, validation=0.0, loop=replace(LOOP, patience=1))))


def test_thirds_fall_to_a_tenth_and_a_tenth_of_it() -> None:
    optimizer = torch.optim.AdamW([{"params": [torch.nn.Parameter(torch.zeros(1))], "peak": 1.0}])
    rates = []
    for step in range(90):
        set_rates(optimizer, step, 90, "thirds")
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[:9] == sorted(rates[:9])
    assert rates[9:30] == [1.0] * 21
    assert rates[30:60] == pytest.approx([0.1] * 30)
    assert rates[60:] == pytest.approx([0.01] * 30)


def test_several_draws_show_each_photo_so_often_in_other_crops() -> None:
    images = CropDataset([TrainingImage(str(place), 0.5) for place in range(7)], CropSpec(32), SampleOptions())
    once = [place for batch in draw_epoch(images, LoopOptions(batch_size=7), 2) for place in batch]
    assert sorted(once) == [(2, place) for place in range(7)]
    order = draw_epoch(images, LoopOptions(batch_size=3, crops_per_epoch=3), 2)
    shown = [place for batch in order for place in batch]
    assert sorted(shown) == [(epoch, place) for epoch in (6, 7, 8) for place in range(7)]
    assert [len(batch) for batch in order] == [3] * 7


def test_views_with_teacher_predictions_are_drawn_over_and_over(photo: Path) -> None:
    crops = CropDataset([TrainingImage(str(photo))], CropSpec(32), SampleOptions(versions=1, view_size=48))
    judged = crops.with_targets(torch.tensor([[[0.1, 0.2]], [[0.3, 0.4]]]))
    assert crops.targets is None  # a dataset does not change
    for epoch in range(4):
        assert torch.equal(judged[epoch, 0].crops, crops[epoch % 2, 0].crops)
        assert judged[epoch, 0].teacher.tolist() == pytest.approx([[0.1, 0.2], [0.3, 0.4]][epoch % 2])


# ---- decoded images ----


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_an_image_is_decoded_once_and_bounded(photo: Path, tmp_path: Path) -> None:
    whole = PixelCache(0).load(str(photo))
    images = DecodedImages(tmp_path / "kept", 100, 10**6)
    assert np.array_equal(images.load(str(photo)), whole)
    (file,) = (tmp_path / "kept").rglob("*.npy")
    np.save(file, whole[::-1])  # what lies there is what is taken
    mapped = DecodedImages(tmp_path / "kept", 100, 10**6).load(str(photo))
    assert np.array_equal(mapped, whole[::-1])
    assert isinstance(mapped.base, np.memmap)
    small = DecodedImages(tmp_path / "kept", 20, 10**6).load(str(photo))
    assert small.shape == (20, 30, 3)
    assert np.array_equal(small, bound_image(whole, 20))
    photo.write_bytes(photo.read_bytes() + b" ")  # another file now
    assert np.array_equal(images.load(str(photo)), whole)


def test_the_folder_stays_in_its_budget_and_what_is_broken_there_is_decoded_anew(photo: Path, tmp_path: Path) -> None:
    whole = PixelCache(0).load(str(photo))
    bytes_of_one = whole.nbytes + 128
    other = photo.with_name("other.png")
    other.write_bytes(photo.read_bytes())
    images = DecodedImages(tmp_path / "kept", 100, bytes_of_one)
    assert all(np.array_equal(images.load(str(path)), whole) for path in (photo, other))
    (file,) = (tmp_path / "kept").rglob("*.npy")
    assert file.stat().st_size <= bytes_of_one
    file.write_bytes(file.read_bytes()[:500])
    assert np.array_equal(DecodedImages(tmp_path / "kept", 100, bytes_of_one).load(str(photo)), whole)


def test_what_cannot_be_decoded_or_kept_is_named(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_text("no image")
    images = DecodedImages(tmp_path / "kept", 100, 10**6)
    for name in ("no.png", "none.png"):
        with pytest.raises(DataError, match=f"{name}: cannot train on this image"):
            images.load(str(tmp_path / name))
    with pytest.raises(DataError, match="cannot keep decoded images there"):
        DecodedImages(photo, 100, 10**6)


def test_crops_of_kept_images_are_those_of_the_files_and_loader_processes_share_them(photo: Path, tmp_path: Path) -> None:
    photos, crops = [TrainingImage(str(photo), 0.5)], CropSpec(32, "square")
    images = DecodedImages(tmp_path / "kept", 100, 10**6)
    plain, kept = CropDataset(photos, crops, SAMPLES), CropDataset(photos, crops, SAMPLES, images)
    (loaded,) = load_epoch(kept, draw_epoch(kept, LOOP, 0), workers=1)
    assert torch.equal(loaded.crops, plain[0, 0].crops)
    assert images.used.value == PixelCache(0).load(str(photo)).nbytes  # counted here, written there
    assert len(list((tmp_path / "kept").rglob("*.npy"))) == 1


def test_a_run_keeps_its_decoded_images_in_the_folder(finished: tuple[Path, list[Event]]) -> None:
    folder, _ = finished
    assert len(list((folder.parent / "decoded" / "side-640").rglob("*.npy"))) == 12  # four are for the test, from their files
    assert json.loads((folder / "options.json").read_text())["decoded_side"] == 640


# ---- several processes ----


def test_alone_nothing_is_shared_and_no_library_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert open_group("cpu") is SINGLE
    rows = torch.arange(3)
    assert SINGLE.gather(rows)[0] is rows
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ExtraMissing, match=r"\[distributed\] extra"):
        open_group("cpu")
    with pytest.raises(UsageError, match="say cuda"):
        open_group("cuda:1")


@pytest.mark.parametrize(("count", "size"), [(16, 2), (7, 3), (2, 2), (1, 3)])
def test_shares_make_the_whole(count: int, size: int) -> None:
    shares = [ProcessGroup(rank, size).shard(range(count)) for rank in range(size)]
    assert [item for share in shares for item in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def launch(recipe: Path, folder: Path, processes: int) -> subprocess.CompletedProcess[bytes]:
    """A training by torchrun in so many processes."""
    start = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *start, "-m", "iqa_cli", "train", "--recipe", str(recipe), "-r", str(folder)]
    return subprocess.run(command, capture_output=True, env=environment(OMP_NUM_THREADS="1"), timeout=1200, check=False)


@pytest.fixture(scope="module")
def shared(ratings: Path, iqa: Command, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, str, str]]:
    """One training in one process and in two: the folder, stdout and stderr of each."""
    pytest.importorskip("accelerate", reason="needs the [distributed] extra")
    folder = tmp_path_factory.mktemp("shared")
    options = choose(ratings, folder, repeats=1, test_share=0.25)
    (folder / "recipe.toml").write_text(write_recipe(options))
    one, two = folder / "1", folder / "2"
    dones = {
        one: iqa("train", "--recipe", folder / "recipe.toml", "-r", one),
        two: launch(folder / "recipe.toml", two, 2),
    }
    assert [done.returncode for done in dones.values()] == [0, 0], [done.stderr for done in dones.values()]
    return [(folder, done.stdout.decode(), done.stderr.decode()) for folder, done in dones.items()]


def read_stats(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "split0" / "stats.jsonl").read_text().splitlines()]


def test_two_processes_find_what_one_finds(shared: list[tuple[Path, str, str]]) -> None:
    one, two = (read_stats(folder) for folder, _, _ in shared)
    assert [row["phase"] for row in one] == ["head training", "fine-tuning", "fine-tuning"]
    assert {"noisy", "sensitivity", "ranking", "correlation"} <= set(one[-1]["losses"])
    for mine, theirs in zip(one, two, strict=True):
        assert theirs["losses"] == pytest.approx(mine["losses"], rel=1e-3, abs=1e-5)
        assert theirs["rates"] == mine["rates"]
        assert theirs["plcc"] == pytest.approx(mine["plcc"], abs=1e-2)
    results = [json.loads((folder / "results.json").read_text()) for folder, _, _ in shared]
    one, two = (each["summary"][0] for each in results)
    assert one["images"] == two["images"] == 4
    assert two["plcc"]["median"] == pytest.approx(one["plcc"]["median"], abs=1e-2)


def test_two_processes_end_with_the_weights_and_the_memory_of_one(shared: list[tuple[Path, str, str]]) -> None:
    one, two = (load_tensors(folder / "split0" / "state.safetensors")[0] for folder, _, _ in shared)
    assert one.keys() == two.keys()
    for name in one:
        if name.startswith("objective.") and not name.endswith("tokens"):
            assert torch.equal(one[name], two[name]), name  # the same crops in the same places
        if name.startswith("network."):
            assert torch.allclose(one[name].float(), two[name].float(), atol=2e-3), name


def test_one_process_talks_for_all(shared: list[tuple[Path, str, str]]) -> None:
    (_, mine, _), (folder, theirs, spoken) = shared
    assert [line.split(",")[0] for line in theirs.splitlines()] == [line.split(",")[0] for line in mine.splitlines()]
    assert spoken.count("epoch 3/3") == 1
    assert not [line for line in spoken.splitlines() if "warn" in line.lower() and "head training" not in line]
    assert (folder / "split0" / "learning.csv").is_file()
    assert not (folder / "split0" / "features").exists()


def test_damage_is_of_the_kinds_that_are_named(tmp_path: Path) -> None:
    photos = [TrainingImage(str(write_photo(tmp_path / f"{number}.png", number, (40, 40)))) for number in range(8)]
    for kinds, all_banded in {("banding",): True, (): False}.items():
        crops = CropDataset(photos, CropSpec(32), SampleOptions(versions=1, max_zoom=1.0, distortions=kinds))
        shown = [crops.draw_view(0, place).versions for place in range(len(photos))]
        assert all(len(np.unique(clean)) > 60 for clean, _ in shown)
        assert all(len(np.unique(damaged)) <= 60 for _, damaged in shown) == all_banded  # steps of 5 values or more


def test_a_label_above_the_threshold_lets_an_image_count_as_clean(tmp_path: Path) -> None:
    names = [str(write_photo(tmp_path / f"{number}.png", number, (40, 40))) for number in range(12)]
    options = SampleOptions(versions=1, distorted=1.0, distortions=("banding", "oversharpening"), clean_label=0.7)

    def count_kinds(label: float) -> tuple[int, int]:
        crops = CropDataset([TrainingImage(name, label) for name in names], CropSpec(32), options)
        shown = [crops.draw_view(0, place).versions[1] for place in range(len(names))]
        banded = sum(len(np.unique(version)) <= 60 for version in shown)
        return banded, len(shown) - banded

    assert count_kinds(0.7) == (12, 0)  # it may be soft, and sharpening may help it
    banded, sharpened = count_kinds(0.71)
    assert banded > 2
    assert sharpened > 2


def test_a_harmless_version_comes_beside_its_crop_and_keeps_label_and_teacher(tmp_path: Path) -> None:
    photo = str(write_photo(tmp_path / "photo.png", 1, (40, 40)))
    options = SampleOptions(versions=2, distorted=0.5, harmless=0.5, max_zoom=1.0)
    images = [TrainingImage(photo, 0.3, number=n, teacher=TeacherScore(0.7)) for n in range(40)]
    crops = CropDataset(images, CropSpec(32), options)
    batches = [crops[0, place] for place in range(40)]
    assert {len(batch) for batch in batches} == {1, 2, 3, 4}
    for place, batch in enumerate(batches):
        undistorted = batch.level == 0
        assert undistorted.tolist() == sorted(undistorted.tolist(), reverse=True)  # they come first
        assert batch.label[undistorted].tolist() == [pytest.approx(0.3)] * int(undistorted.sum())
        assert batch.label[~undistorted].isnan().all()
        assert batch.teacher is not None
        assert batch.teacher.isnan().equal(batch.label.isnan())
        assert set(batch.chain.tolist()) == {place if len(batch) > 1 else -1}


def test_kinds_of_damage_that_cannot_be_drawn_are_named() -> None:
    with pytest.raises(UsageError, match=r"samples\.distorted: each of samples\.distortions may improve"):
        choose_distortions(SampleOptions(distortions=("oversharpening",), distorted=0.5))


def test_more_processes_than_photos_a_batch_are_named(ratings: Path, tmp_path: Path) -> None:
    options = choose(ratings, tmp_path)
    network, crops = initial_network.create_network(options)
    dataset = CropDataset([TrainingImage("any", 0.5)] * 8, crops, SAMPLES)
    folder = RunFolder(tmp_path, ProcessGroup(0, 5))
    with pytest.raises(UsageError, match="5 processes cannot share batches of 4 images"):
        next(iter(fit(Run(network, dataset, [], LOOP, folder), run.choose_objective(options))))


# ---- how fast it is ----


def test_the_speed_of_both_phases_is_measured_part_by_part(
    ratings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import training_speed

    measure, convolved = training_speed.Timed.__call__, []

    def watch(*given: Any) -> Any:
        """Note whether a step goes through the backbone, which alone has convolutions."""
        convolved.append(False)
        with torch.nn.modules.module.register_module_forward_pre_hook(note):
            return measure(*given)

    def note(module: torch.nn.Module, _: Any) -> None:
        convolved[-1] |= isinstance(module, torch.nn.Conv2d)

    monkeypatch.setattr(training_speed.Timed, "__call__", watch)
    (tmp_path / "recipe.toml").write_text(write_recipe(choose(ratings, tmp_path)))
    given = ["--recipe", str(tmp_path / "recipe.toml"), "--steps", "3", "--json", str(tmp_path / "speed.json")]
    assert training_speed.main(given) == 0
    found = json.loads((tmp_path / "speed.json").read_text())
    assert [phase["phase"] for phase in found["phases"]] == ["head training", "fine-tuning"]
    for phase in found["phases"]:
        assert phase["steps"] == 3
        assert all(seconds > 0 for seconds in phase["seconds"].values())
        assert phase["crops_per_second"] > 0
    steps = 3 + training_speed.LEFT_OUT
    assert convolved == [False] * steps + [True] * steps  # the backbone is not in the training of the head
    assert found["loader"]["crops_per_second"] > 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["phase", "steps", "crops/s", "loading", "ms", "forward", "ms", "backward", "ms", "step", "ms"]
    assert printed[-1].startswith("the loader alone, 0 workers: ")


def test_a_recipe_that_cannot_be_timed_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import training_speed

    (tmp_path / "recipe.toml").write_text('dataset = ""')
    assert training_speed.main(["--recipe", str(tmp_path / "recipe.toml")]) == 4
    assert capsys.readouterr().err.startswith("error: a recipe without a set of rated images cannot be timed")
