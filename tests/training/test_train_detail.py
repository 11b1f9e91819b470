"""`iqa train-detail`: from photos to weights that measure, and what it refuses."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import Run
from PIL import Image

pytest.importorskip("onnxscript", reason="the train extra is not installed")

from iqa_cli.detail.model import open_detail
from iqa_cli.training.detail.fit import measure_loss, open_samples, split_samples
from iqa_cli.training.detail.samples import plan_sources, write_samples

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


def test_two_steps_make_weights_that_measure(iqa: Run, clean: Path, tmp_path: Path) -> None:
    done = iqa("train-detail", clean, "-o", tmp_path / "a.onnx", *TINY)
    assert done.returncode == 0, done.stderr
    assert b"step 2: loss" in done.stderr
    assert b"errors on photos held out" in done.stderr
    found = open_detail(tmp_path / "a.onnx").measure(np.zeros((300, 300, 3), np.uint8))
    assert 0 <= found.detail <= 100
    card = json.loads((tmp_path / "a.json").read_text())
    assert (card["training"]["photos"], card["training"]["patches"]) == (["0.png", "1.png", "2.png"], 24)


def test_patches_are_kept_and_found_again(iqa: Run, clean: Path, tmp_path: Path) -> None:
    kept = ("--samples", tmp_path / "patches.npy")
    iqa("train-detail", clean, "-o", tmp_path / "a.onnx", *TINY, *kept)
    first = (tmp_path / "patches.npy").read_bytes()
    iqa("train-detail", clean, "-o", tmp_path / "b.onnx", *TINY, *kept)
    assert (tmp_path / "patches.npy").read_bytes() == first
    for suffix in (".onnx", ".spectrum.onnx"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    other = iqa("train-detail", clean, "-o", tmp_path / "c.onnx", "--patches", "7", *kept)
    assert (other.returncode, b"holds 24 patches" in other.stderr) == (4, True)
    for changed in (("train-detail", clean / "0.png", *TINY), ("train-detail", clean, *TINY, "--seed", "1")):
        other = iqa(*changed, "-o", tmp_path / "c.onnx", *kept)
        assert (other.returncode, b"of other photos, or of another seed" in other.stderr) == (4, True)
    (tmp_path / "patches.npy").write_bytes(b"")
    other = iqa("train-detail", clean, "-o", tmp_path / "c.onnx", *TINY, *kept)
    assert (other.returncode, b"name another file" in other.stderr) == (4, True)
    assert not (tmp_path / "c.onnx").exists()


def test_the_network_for_spectra_is_trained_alone(iqa: Run, clean: Path, tmp_path: Path) -> None:
    alone = ("train-detail", clean, "-o", tmp_path / "a.onnx", "--views", "8", "--seed", "1", "--spectrum-only")
    without = iqa(*alone)
    assert (without.returncode, b"a.json: cannot read the card" in without.stderr) == (3, True)
    iqa("train-detail", clean, "-o", tmp_path / "a.onnx", *TINY)
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


def test_small_photos_are_not_enough(iqa: Run, clean: Path, tmp_path: Path) -> None:
    done = iqa("train-detail", clean / "2.png", "-o", tmp_path / "a.onnx", *TINY)
    assert done.returncode == 4
    assert b"px or more" in done.stderr


def test_samples_are_those_of_the_seed_and_shared_out(clean: Path, tmp_path: Path) -> None:
    sources = plan_sources(sorted(map(str, clean.glob("*.png"))), 12)
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
