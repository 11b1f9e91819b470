"""What a run folder is begun with, and with what the run in it may be resumed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the [train] extra")

from conftest import write_photo

from iqa_cli.errors import DataError, UsageError
from iqa_cli.images.crops import CropSpec
from iqa_cli.models.card import ModelCard, WeightFile, read_card, write_card
from iqa_cli.networks.checkpoint import load_tensors, save_weights
from iqa_cli.networks.network import NetworkConfig, build_network
from iqa_cli.options import OwnRatings
from iqa_cli.training import run
from iqa_cli.training.data.content import describe_run, digest_file
from iqa_cli.training.data.labeled import read_data
from iqa_cli.training.events import EpochDone, TrialDone
from iqa_cli.training.initial_network import create_network
from iqa_cli.training.options import LoopOptions, SampleOptions, TrainingOptions
from iqa_cli.training.plan import make_plan
from iqa_cli.training.run_folder import RunFolder

PHOTOS = 8


@pytest.fixture
def ratings(tmp_path: Path) -> Path:
    """A folder of photos with ratings, of two subsets."""
    folder = tmp_path / "set"
    folder.mkdir()
    rows = [f"{write_photo(folder / f'{n}.png', n, (40, 48)).name},{n},ss0{n % 2}\n" for n in range(PHOTOS)]
    (folder / "ratings.csv").write_text("image,score,part\n" + "".join(rows))
    return folder / "ratings.csv"


def choose(ratings: Path, run_dir: Path, **changes: Any) -> TrainingOptions:
    begin = TrainingOptions(
        run_dir, dataset="csv", own=OwnRatings(ratings, subset_column="part"), backbone="test_efficientnet",
        backbone_weights="none", size=64, width=16, heads=2, validation=0.0, samples=SampleOptions(versions=0),
        loop=LoopOptions(epochs=0, head_epochs=2, views=1, batch_size=4),
    )  # fmt: skip
    return replace(begin, **changes)


def train(options: TrainingOptions, epochs: int | None = None) -> int:
    """How many epochs were trained, of so many at most."""
    done = 0
    for event in run.train(make_plan(options)):
        done += isinstance(event, EpochDone)
        if done == epochs:
            break
    return done


# ---- a mistake that is found late ----


def test_an_unknown_subset_is_refused_before_anything_is_written(ratings: Path, tmp_path: Path) -> None:
    wrong = choose(ratings, tmp_path / "run", samples=SampleOptions(subset_weights=("ss00=2", "ss09=2")))
    with pytest.raises(UsageError, match=r"samples\.subset_weights: no images of a subset ss09; there are: ss00, ss01"):
        make_plan(wrong)
    assert make_plan(choose(ratings, tmp_path / "run", samples=SampleOptions(subset_weights=("ss00=2",))))
    assert not (tmp_path / "run").exists()


def test_a_run_that_came_to_nothing_is_begun_anew_with_other_options(ratings: Path, tmp_path: Path) -> None:
    whole = ratings.with_name("3.png").read_bytes()
    ratings.with_name("3.png").write_bytes(whole[:100])
    with pytest.raises(DataError, match=r"3\.png: cannot train on this image"):
        train(choose(ratings, tmp_path / "run"))
    assert (tmp_path / "run" / "options.json").exists()
    ratings.write_text("".join(line for line in ratings.read_text().splitlines(keepends=True) if "3.png" not in line))
    with pytest.raises(UsageError, match="begun with other options: the content of dataset was"):
        train(choose(ratings, tmp_path / "run", resume=True))
    assert train(choose(ratings, tmp_path / "run", width=32)) == 2
    assert json.loads((tmp_path / "run" / "options.json").read_text())["width"] == 32
    assert len(json.loads((tmp_path / "run" / "split.json").read_text())["train"]) == PHOTOS - 1


@pytest.mark.parametrize("left", ["stats.jsonl", "best.safetensors", "model.safetensors", "model.json", "notes.txt"])
def test_what_a_run_has_left_is_not_begun_anew(left: str, tmp_path: Path) -> None:
    folder, split = RunFolder(tmp_path), {"train": ["a"]}
    folder.begin({"size": 64}, split, resume=False)
    for name in ("lock", "teacher-0a1b.safetensors", "begun-teacher-0a1b.safetensors"):
        (tmp_path / name).touch()
    (tmp_path / "features").mkdir()
    folder.begin({"size": 96}, split, resume=False)
    (tmp_path / left).touch()
    with pytest.raises(UsageError, match="there is a run in this folder already; go on with it by --resume, or name another"):
        folder.begin({"size": 96}, split, resume=False)
    folder.begin({"size": 96}, split, resume=True)


# ---- what differs ----


def refuse(folder: RunFolder, settings: Mapping[str, Any], split: Mapping[str, Any]) -> str:
    with pytest.raises(UsageError) as caught:
        folder.begin(settings, split, resume=True)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_options_that_differ_are_named_with_both_values_and_no_more_than_three(tmp_path: Path) -> None:
    folder, split = RunFolder(tmp_path), {"train": ["a"]}
    begun = {"size": 64, "backbone": "resnet18", "scale": None, "loop": {"rate": 1e-4, "clip": 5.0}, "layers": []}
    folder.begin(begun, split, resume=False)
    folder.begin(begun, split, resume=True)
    start = f"{tmp_path / 'options.json'}: the run in this folder was begun with other options: "
    end = "; repeat it as it was, or name another folder"
    loop = {"rate": 2e-4, "clip": 5.0}
    assert refuse(folder, begun | {"loop": loop}, split) == f"{start}loop.rate was 0.0001 and is 0.0002{end}"
    assert refuse(folder, begun | {"size": 96, "scale": "live\nc"}, split) == (
        f'{start}size was 64 and is 96, scale was not set and is "live\\nc"{end}'
    )
    others = {"size": 96, "backbone": "x" * 200, "scale": "a", "loop": loop, "cell": 32}
    assert refuse(folder, others, split) == (
        f'{start}size was 64 and is 96, backbone was "resnet18" and is "{"x" * 23}...{"x" * 23}", scale was not set and is "a",'
        f" and 3 more{end}"
    )
    assert refuse(folder, begun | {"layers": [2, 5]}, split) == f"{start}layers was [] and is [2, 5]{end}"
    older = {name: value for name, value in begun.items() if name != "layers"}
    assert refuse(folder, older, split) == f"{start}layers was [] and is not there{end}"


def test_of_another_split_the_numbers_and_a_name_are_told(tmp_path: Path) -> None:
    folder, names = RunFolder(tmp_path), [f"{n}.png" for n in range(5)]
    folder.begin({}, {"train": names, "test": ["t"]}, resume=False)
    start = f"{tmp_path / 'split.json'}: the run in this folder was begun with another split: "
    end = "; repeat it as it was, or name another folder"
    told = {
        "train was 5 and is 4, \"2.png\" only then": [*names[:2], *names[3:]],
        "train was 5 and is 6, \"9.png\" only now": [*names, "9.png"],
        "train was 5 and is 5, in another order": names[::-1],
    }  # fmt: skip
    for words, train in told.items():
        assert refuse(folder, {}, {"train": train, "test": ["t"]}) == f"{start}{words}{end}"
    assert refuse(folder, {}, {"train": names, "test": ["u"]}) == f'{start}test was ["t"] and is ["u"]{end}'


# ---- what a run may be resumed with ----


@pytest.fixture
def begun(ratings: Path, tmp_path: Path) -> TrainingOptions:
    """A run that was stopped after an epoch, on a backbone from a file and with a file of folds."""
    network, _ = create_network(choose(ratings, tmp_path))
    save_weights(tmp_path / "backbone.safetensors", network)
    folds = "".join(f"{n}.png,{n // 4}\n" for n in range(PHOTOS))
    (tmp_path / "folds.csv").write_text(f"image,fold\n{folds}")
    given = {"backbone_weights": str(tmp_path / "backbone.safetensors"), "fold_file": tmp_path / "folds.csv"}
    options = choose(ratings, tmp_path / "run", only=(0,), data_root=ratings.parent, **given)
    assert train(options, 1) == 1
    return replace(options, resume=True)


def move(options: TrainingOptions, folder: Path) -> TrainingOptions:
    """The same with all files in another folder."""
    assert options.own.labels is not None
    assert options.fold_file is not None
    folder.mkdir()
    shutil.copytree(options.own.labels.parent, folder / "moved")
    for name in (options.fold_file.name, "backbone.safetensors"):
        shutil.copy(options.fold_file.with_name(name), folder / name)
    return replace(
        options,
        own=replace(options.own, labels=folder / "moved" / "ratings.csv"),
        data_root=folder / "moved",
        fold_file=folder / options.fold_file.name,
        backbone_weights=str(folder / "backbone.safetensors"),
    )


def test_a_run_goes_on_with_its_files_in_other_places_and_in_other_words(begun: TrainingOptions, tmp_path: Path) -> None:
    assert train(replace(move(begun, tmp_path / "other"), backbone_source="a shop", summary="a model")) == 1
    whole = replace(begun, run_dir=tmp_path / "whole", resume=False)
    assert train(whole) == 2
    resumed, expected = (load_tensors(folder / "fold0" / "last.safetensors")[0] for folder in (begun.run_dir, whole.run_dir))
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


def change_rating(options: TrainingOptions) -> None:
    assert options.own.labels is not None
    options.own.labels.write_text(options.own.labels.read_text().replace("3.png,3", "3.png,3.5"))


def change_pixels(options: TrainingOptions) -> None:
    assert options.own.labels is not None
    write_photo(options.own.labels.with_name("3.png"), 99, (40, 48))


def change_backbone(options: TrainingOptions) -> None:
    torch.manual_seed(99)
    network = build_network(create_network(options)[0].config)
    save_weights(Path(str(options.backbone_weights)), network)


def change_folds(options: TrainingOptions) -> None:
    assert options.fold_file is not None
    options.fold_file.write_text(options.fold_file.read_text().replace("3.png,0", "3.png,1"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_rating, r"options\.json: .* other options: the content of dataset was \"\w{16}\" and is \"\w{16}\"; repeat it"),
        (change_pixels, r"options\.json: .* other options: the content of dataset was"),
        (change_backbone, r"options\.json: .* other options: the content of backbone_weights was \"\w{16}\" and is"),
        (change_folds, r"split\.json: .* another split: train was 4 and is 5, \"3\.png\" only now, test was 4 and is 3"),
    ],
)
def test_a_run_does_not_go_on_with_other_content_in_the_same_places(begun: TrainingOptions, change: Any, message: str) -> None:
    change(begun)
    with pytest.raises(UsageError, match=message):
        train(begun)
    with pytest.raises(UsageError, match=message):  # nor is it in one table with what is trained now
        train(replace(begun, only=(1,)))
    assert not (begun.run_dir / "fold1").exists()


def test_a_folder_of_an_earlier_version_is_resumed_by_its_paths(begun: TrainingOptions, tmp_path: Path) -> None:
    file = begun.run_dir / "fold0" / "options.json"
    kept = json.loads(file.read_text())
    assert set(kept.pop("content")) == {"dataset", "backbone_weights"}
    assert "teacher_licence" not in kept
    file.write_text(json.dumps(kept | {"teacher_licence": "of old"}))
    places = r'data_root was ".*set" and is ".*moved", backbone_weights was .*, fold_file was .*, and 1 more; repeat it'
    with pytest.raises(UsageError, match=places):
        train(move(begun, tmp_path / "other"))
    assert train(begun) == 1


@pytest.mark.parametrize("left", ["state.safetensors", "stats.jsonl", "last.safetensors", "best.safetensors"])
def test_epochs_of_a_run_that_nothing_is_known_of_are_not_gone_on_with(left: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "notes.txt").touch()
    folder.begin({}, {}, resume=False)
    (tmp_path / "options.json").unlink()
    folder.begin({}, {}, resume=True)
    (tmp_path / "options.json").unlink()
    (tmp_path / left).touch()
    for resume in (False, True):
        with pytest.raises(UsageError, match=f"{left} of a run in this folder, but no options.json, .*; name another folder"):
            folder.begin({}, {}, resume=resume)
    assert not (tmp_path / "options.json").exists()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two models of one kind."""
    folder = tmp_path_factory.mktemp("models")
    for name, seed in (("a", 0), ("b", 1)):
        torch.manual_seed(seed)
        network = build_network(NetworkConfig("test_efficientnet", width=16, heads=2))
        (folder / name).mkdir()
        save_weights(folder / name / "model.safetensors", network)
        files = {"safetensors": WeightFile.of(folder / name / "model.safetensors")}
        opinions = tuple(float(n) for n in range(101))
        card = ModelCard("model", "a test", "MIT", asdict(network.config), CropSpec(64), opinions, files=files)
        write_card(card, folder / name)
    return folder


def describe(options: TrainingOptions) -> dict[str, Any]:
    """The options of the one trial that these make, as options.json holds them."""
    plan = make_plan(options)
    return describe_run(plan, plan.trials[0])


def add_photo(folder: Path) -> None:
    write_photo(folder / "photos" / "9.png", 9, (40, 48))


def change_photo(folder: Path) -> None:
    write_photo(folder / "photos" / "1.png", 99, (40, 48))


def change_scores(folder: Path) -> None:
    (folder / "scores.csv").write_text((folder / "scores.csv").read_text().replace("1.png,1", "1.png,1.5"))


def change_model(folder: Path) -> None:
    shutil.rmtree(folder / "models" / "a")
    shutil.copytree(folder / "models" / "b", folder / "models" / "a")


@pytest.mark.parametrize(
    ("given", "change", "name"),
    [
        ("teachers", add_photo, "unlabeled"),
        ("teachers", change_photo, "unlabeled"),
        ("teacher_scores", change_scores, "teacher_scores"),
        ("teachers", change_model, "teachers"),
        ("initial_model", change_model, "initial_model"),
    ],
)
def test_a_run_goes_on_with_the_same_images_scores_and_models_alone(
    ratings: Path, models: Path, tmp_path: Path, given: str, change: Any, name: str
) -> None:
    def name_files(folder: Path) -> TrainingOptions:
        named: dict[str, Any] = {
            "teachers": (str(folder / "models" / "a"),),
            "teacher_scores": folder / "scores.csv",
            "initial_model": str(folder / "models" / "a"),
        }
        return choose(ratings, tmp_path / "run", unlabeled=(folder / "photos",), **{given: named[given]})

    first = tmp_path / "first"
    shutil.copytree(models, first / "models")
    (first / "photos").mkdir()
    rows = [f"{write_photo(first / 'photos' / f'{n}.png', n, (40, 48)).name},{n}\n" for n in range(3)]
    (first / "scores.csv").write_text("path,score\n" + "".join(rows))
    (tmp_path / "run").mkdir()
    folder, begun = RunFolder(tmp_path / "run"), describe(name_files(first))
    folder.begin(begun, {}, resume=False)
    shutil.copytree(first, tmp_path / "other")
    folder.begin(describe(name_files(tmp_path / "other")), {}, resume=True)
    change(first)
    with pytest.raises(UsageError, match=f"begun with other options: the content of {name} was .* and is "):
        folder.begin(describe(name_files(first)), {}, resume=True)

    of_old = {name: digest for name, digest in begun["content"].items() if name in ("dataset", "backbone_weights")}
    folder.write_json("options.json", begun | {"content": of_old})  # an earlier version wrote down no more
    folder.begin(describe(name_files(first)), {}, resume=True)
    with pytest.raises(UsageError, match=r"begun with other options: unlabeled was .*first/photos.* and is .*other/photos"):
        folder.begin(describe(name_files(tmp_path / "other")), {}, resume=True)


def test_a_file_whose_name_is_no_utf_8_is_told_of_in_the_card(ratings: Path, tmp_path: Path) -> None:
    own = ratings.rename(ratings.with_name(os.fsdecode(b"l\xff.csv")))
    options = choose(own, tmp_path / "run", loop=LoopOptions(epochs=0, head_epochs=1, views=1))
    card = next(event.card for event in run.train(make_plan(options)) if isinstance(event, TrialDone))
    assert r"l\udcff.csv" in read_card(card).summary
    assert train(replace(options, resume=True)) == 0


def test_a_digest_is_of_content_alone(ratings: Path, tmp_path: Path) -> None:
    def digest() -> str:
        data = read_data(choose(ratings, tmp_path))
        assert data is not None
        return data.digest

    first = digest()
    assert digest() == first
    photo = ratings.with_name("0.png")
    photo.touch()
    assert digest() == first
    photo.write_bytes(photo.read_bytes() + b" ")
    assert digest() != first
    pixels = np.random.default_rng(0).bytes(100_000)
    photo.write_bytes(pixels)
    noise = digest()
    photo.write_bytes(pixels[:50_000] + b"1" + pixels[50_001:])
    assert digest() != noise
    photo.write_bytes(b"")
    assert digest() not in (first, noise)


def test_a_file_that_is_not_there_goes_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert digest_file(str(tmp_path / "a")) == "ba7816bf8f01cfea"
    assert digest_file(str(tmp_path / "none")) == str(tmp_path / "none")
