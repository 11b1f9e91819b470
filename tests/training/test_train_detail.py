"""`iqa train-detail`: from photos to weights that measure, and what it refuses."""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import Run
from PIL import Image

pytest.importorskip("onnxscript", reason="the train extra is not installed")

from iqa_cli.detail.model import open_detail
from iqa_cli.training.detail.fit import measure_loss, open_samples, split_samples
from iqa_cli.training.detail.options import DetailTraining
from iqa_cli.training.detail.run import draw, make_plan
from iqa_cli.training.detail.samples import measure_photos, plan_sources, write_samples

pytestmark = pytest.mark.torch
TINY = ("--patches", "24", "--steps", "2", "--batch-size", "4", "--views", "8")


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photos of structure that are large enough, and one that is not."""
    folder = tmp_path_factory.mktemp("clean")
    for seed, side in ((0, 420), (1, 500), (2, 200)):
        rng = np.random.default_rng(seed)
        rough = cv2.resize(rng.integers(0, 256, (side // 6, side // 6, 3), np.uint8), (side, side))
        Image.fromarray(rough).save(folder / f"{seed}.png")
    return folder


@pytest.fixture(scope="module")
def trained(iqa: Run, clean: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A training in two steps: the folder that it made, and what it said."""
    folder = tmp_path_factory.mktemp("trained") / "new" / "er"
    done = iqa("train-detail", clean, "-o", folder / "a.onnx", *TINY)
    assert done.returncode == 0, done.stderr
    return folder, done.stderr


def test_two_steps_make_weights_that_measure(trained: tuple[Path, bytes]) -> None:
    folder, said = trained
    assert sorted(path.name for path in folder.iterdir()) == ["a.json", "a.onnx", "a.spectrum.onnx"]
    assert b"step 2: loss" in said
    assert b"errors on photos held out" in said
    found = open_detail(folder / "a.onnx").measure(np.zeros((300, 300, 3), np.uint8))
    assert 0 <= found.detail <= 100
    card = json.loads((folder / "a.json").read_text())
    assert (card["training"]["photos"], card["training"]["patches"]) == (["0.png", "1.png"], 24), "2.png is too small"


def test_a_photo_of_which_nothing_is_drawn_is_no_source() -> None:
    sources = plan_sources({"small": 1, "large": 10_000, "other": 10_000}, 2)
    assert (sources.paths, sources.counts) == (("large", "other"), (1, 1))


def test_patches_are_kept_and_found_again(iqa: Run, clean: Path, trained: tuple[Path, bytes], tmp_path: Path) -> None:
    file = tmp_path / "kept" / "patches.npy"
    kept = ("--samples", file)
    broken = iqa("train-detail", clean, "-o", tmp_path / "a.onnx", *TINY, *kept, "--steps", "9", "--rate", "1e30")
    assert (broken.returncode, b"train with a lower rate" in broken.stderr) == (2, True), broken.stderr
    first = file.read_bytes()
    iqa("train-detail", clean, "-o", tmp_path / "b.onnx", *TINY, *kept)
    assert file.read_bytes() == first
    assert list(file.parent.iterdir()) == [file]
    for suffix in (".onnx", ".spectrum.onnx"):
        assert (trained[0] / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    other = iqa("train-detail", clean, "-o", tmp_path / "c.onnx", "--patches", "7", *kept)
    assert (other.returncode, b"holds 24 patches" in other.stderr) == (4, True)
    for changed in (("train-detail", clean / "0.png", *TINY), ("train-detail", clean, *TINY, "--seed", "1")):
        other = iqa(*changed, "-o", tmp_path / "c.onnx", *kept)
        assert (other.returncode, b"of other photos, or of another seed" in other.stderr) == (4, True)
    assert not (tmp_path / "c.onnx").exists()


def write_zip(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, patches=np.zeros(3))


OTHERS = {
    "nothing": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"no patches"),
    "zip": write_zip,
    "cut-zip": lambda path: path.write_bytes(b"PK\x03\x04 and no more"),
    "numbers": lambda path: np.save(path, np.zeros(3)),
    "objects": lambda path: np.save(path, np.array([{}]), allow_pickle=True),
    "cut": lambda path: path.write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': "),
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_holds_no_patches_is_said_in_own_words(iqa: Run, clean: Path, tmp_path: Path, kind: str) -> None:
    OTHERS[kind](tmp_path / "patches.npy")
    done = iqa("train-detail", clean, "-o", tmp_path / "a.onnx", *TINY, "--samples", tmp_path / "patches.npy")
    assert (done.returncode, b"name another file" in done.stderr) == (4, True), done.stderr
    assert b"pickle" not in done.stderr
    assert not (tmp_path / "a.onnx").exists()


def test_two_trainings_may_keep_their_patches_in_one_file(clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "patches.npy"
    options = DetailTraining((str(clean),), tmp_path / "a.onnx", patches=24)
    plan = make_plan(options)
    first = draw(file, options, plan)
    next(first)
    monkeypatch.setattr(os, "getpid", lambda: 1)  # the other one is another process
    assert [drawn.done for drawn in draw(file, options, plan)][-1] == 24
    monkeypatch.undo()
    assert [drawn.done for drawn in first][-1] == 24
    assert [drawn.done for drawn in draw(file, options, plan)] == [24], "found, and what is wanted"
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_killed_training_left_of_its_patches_is_removed(clean: Path, tmp_path: Path) -> None:
    (tmp_path / ".patches.npy.1.part").write_bytes(b"half")
    options = DetailTraining((str(clean),), tmp_path / "a.onnx", patches=24)
    list(draw(tmp_path / "patches.npy", options, make_plan(options)))
    assert [path.name for path in tmp_path.iterdir()] == ["patches.npy"]


def test_the_network_for_spectra_is_trained_alone(iqa: Run, clean: Path, trained: tuple[Path, bytes], tmp_path: Path) -> None:
    alone = ("train-detail", clean, "-o", tmp_path / "a.onnx", "--views", "8", "--seed", "1", "--spectrum-only")
    without = iqa(*alone)
    assert (without.returncode, b"a.json: cannot read the card" in without.stderr) == (3, True)
    shutil.copytree(trained[0], tmp_path, dirs_exist_ok=True)
    kept, old = ((tmp_path / name).read_bytes() for name in ("a.onnx", "a.spectrum.onnx"))
    done = iqa(*alone)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.onnx").read_bytes() == kept
    assert (tmp_path / "a.spectrum.onnx").read_bytes() != old
    assert json.loads((tmp_path / "a.json").read_text())["spectrum"]["training"]["seed"] == 1
    open_detail(tmp_path / "a.onnx")


@pytest.mark.parametrize("named", ["a.txt", "a"])
def test_weights_are_called_onnx(iqa: Run, clean: Path, tmp_path: Path, named: str) -> None:
    done = iqa("train-detail", clean, "-o", tmp_path / named, *TINY)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])


def test_what_is_no_earlier_output_is_not_replaced(iqa: Run, clean: Path, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"mine": 1}')
    done = iqa("train-detail", clean, "-o", tmp_path / "a.onnx", *TINY)
    assert done.returncode == 2
    assert (tmp_path / "a.json").read_text() == '{"mine": 1}'


LONG = {"--output": "a" * 242, "--samples": "a" * 251}  # one of the files has a name of 256 bytes, which is too long


@pytest.mark.parametrize("named", ["file/a.onnx", "folder.onnx", "long"])
@pytest.mark.parametrize("option", ["--output", "--samples"])
def test_what_cannot_be_written_is_said_before_anything_is_drawn(
    iqa: Run, clean: Path, tmp_path: Path, named: str, option: str
) -> None:
    named = f"{LONG[option]}.onnx" if named == "long" else named
    (tmp_path / "file").write_bytes(b"no folder")
    (tmp_path / "folder.onnx").mkdir()
    outputs = {"--output": tmp_path / "b.onnx", option: tmp_path / named}
    done = iqa("train-detail", clean, *TINY, *(word for pair in outputs.items() for word in pair))
    assert (done.returncode, done.stderr.startswith(b"iqa: error: ")) == (4, True), done.stderr
    assert b"24 patches" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.onnx"]


@pytest.mark.parametrize("named", ["a.onnx", "a.spectrum.onnx", "a.json"])
def test_patches_are_kept_in_no_other_output(iqa: Run, clean: Path, tmp_path: Path, named: str) -> None:
    done = iqa("train-detail", clean, "-o", tmp_path / "a.onnx", *TINY, "--samples", tmp_path / named)
    assert (done.returncode, b"would be written to one file" in done.stderr) == (2, True)
    assert not list(tmp_path.iterdir())


NUMBERS = {
    "--rate": ("-1", "0"),
    "--seed": ("99999999999999999999", str(2**63)),
    "--patches": ("1000000000000",),
    "--views": ("1000000000000",),
}


@pytest.mark.parametrize(("option", "number"), [(name, number) for name, numbers in NUMBERS.items() for number in numbers])
def test_numbers_that_make_no_sense_are_refused(iqa: Run, clean: Path, tmp_path: Path, option: str, number: str) -> None:
    done = iqa("train-detail", clean, "-o", tmp_path / "a.onnx", *TINY, option, number)
    assert (done.returncode, f"{option[2:]} is " in done.stderr.decode()) == (2, True), done.stderr
    assert not list(tmp_path.iterdir())


def test_a_training_that_diverges_is_ended(iqa: Run, clean: Path, tmp_path: Path) -> None:
    done = iqa("train-detail", clean, "-o", tmp_path / "a.onnx", *TINY, "--steps", "9", "--rate", "1e30")
    assert (done.returncode, b"train with a lower rate" in done.stderr) == (2, True), done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "idle", [["--patches", "9"], ["--steps", "9"], ["--batch-size", "9"], ["--rate", "1"], ["--samples", "f"]]
)
def test_what_has_no_effect_on_spectra_is_refused_with_them_alone(
    iqa: Run, clean: Path, tmp_path: Path, idle: list[str]
) -> None:
    done = iqa("train-detail", clean, "-o", tmp_path / "a.onnx", "--spectrum-only", *idle)
    name = idle[0][2:].replace("-", "_")
    assert (done.returncode, f"{name}: no effect with spectrum_only" in done.stderr.decode()) == (2, True), done.stderr


def test_small_photos_are_not_enough(iqa: Run, clean: Path, tmp_path: Path) -> None:
    done = iqa("train-detail", clean / "2.png", "-o", tmp_path / "a.onnx", *TINY)
    assert done.returncode == 4
    assert b"px or more" in done.stderr


def test_samples_are_those_of_the_seed_and_shared_out(clean: Path, tmp_path: Path) -> None:
    sources = plan_sources(measure_photos(sorted(map(str, clean.glob("*.png")))), 12)
    assert [Path(path).stem for path in sources.paths] == ["0", "1"]
    assert sum(sources.counts) == 12
    assert sources.counts[0] < sources.counts[1]
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert list(write_samples(sources, tmp_path / name, seed))[-1] == 12
    files = [(tmp_path / name).read_bytes() for name in "abc"]
    assert files[0] == files[1] != files[2]
    samples = open_samples(tmp_path / "a")
    learnt, held = split_samples(np.asarray(samples["photo"]), 0.5)
    assert {*np.asarray(samples["photo"])[held]} == {1}
    assert len(learnt) + len(held) == 12


def test_the_loss_is_least_for_the_truth_said_with_its_doubt() -> None:
    import torch

    truths = torch.tensor([[1.0], [3.0]])
    right = measure_loss(torch.tensor([[1.0, -2.0], [3.0, -2.0]]), truths)
    assert right < measure_loss(torch.tensor([[1.0, 2.0], [3.0, 2.0]]), truths)
    assert right < measure_loss(torch.tensor([[2.0, -2.0], [2.0, -2.0]]), truths)
    unsure = measure_loss(torch.tensor([[2.0, 0.0], [2.0, 0.0]]), truths)
    assert unsure < measure_loss(torch.tensor([[2.0, -2.0], [2.0, -2.0]]), truths)
