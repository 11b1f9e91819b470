"""Which images stand in the batches of an epoch, and what augmentations make of their crops."""

from __future__ import annotations

import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the [train] extra")

from conftest import write_photo

from iqa_cli.errors import DataError
from iqa_cli.images.crops import CropSpec, Rgb
from iqa_cli.qfm_iqm.batch import Batch
from iqa_cli.training.data.batches import draw_epoch, load_epoch, load_in_order, watch_loaders
from iqa_cli.training.data.samples import CropDataset, TrainingImage
from iqa_cli.training.options import LoopOptions, SampleOptions

LOOP = LoopOptions(batch_size=6, balanced=True)


class OnePicture:
    """Every path is the same picture."""

    def __init__(self, rgb: Rgb) -> None:
        self.rgb = rgb

    def load(self, _: str) -> Rgb:
        return self.rgb


def make_dataset(small: int, large: int, unlabeled: int = 0, *, weights: tuple[float, float] = (1.0, 1.0)) -> CropDataset:
    """A small set, a large one whose halves have two weights, and unlabeled images."""
    images = [TrainingImage(f"a{n}", 0.5, source=0) for n in range(small)]
    images += [TrainingImage(f"b{n}", 0.5, source=1, weight=weights[n >= large // 2]) for n in range(large)]
    images += [TrainingImage(f"c{n}", source=-1) for n in range(unlabeled)]
    return CropDataset(images, CropSpec(32), SampleOptions(versions=0))


def test_balanced_batches_hold_as_many_of_each_set_and_none_twice() -> None:
    dataset = make_dataset(9, 40)
    epoch = draw_epoch(dataset, LOOP, 3)
    assert len(epoch) == 3
    for batch in epoch:
        assert Counter(dataset.images[index].source for _, index in batch) == {0: 3, 1: 3}
    shown = [index for batch in epoch for _, index in batch]
    assert len(set(shown)) == len(shown) == 18
    assert {view for batch in epoch for view, _ in batch} == {3}
    assert list(draw_epoch(dataset, LOOP, 3)) == list(epoch)
    assert list(draw_epoch(dataset, LOOP, 4)) != list(epoch)


def test_over_the_epochs_every_image_of_the_large_set_is_shown() -> None:
    dataset = make_dataset(10, 30)
    shown = {index for epoch in range(20) for batch in draw_epoch(dataset, LOOP, epoch) for _, index in batch}
    assert shown == set(range(40))


def test_unlabeled_images_are_a_source_of_their_own() -> None:
    dataset = make_dataset(6, 12, 20)
    for batch in draw_epoch(dataset, LOOP, 0):
        kinds = Counter(dataset.images[index].source if dataset.images[index].is_labeled else -1 for _, index in batch)
        assert kinds == {0: 2, 1: 2, -1: 2}


def test_subsets_are_drawn_by_their_weights() -> None:
    dataset = make_dataset(50, 1000, weights=(3.0, 1.0))
    shown = Counter(
        index < 550 for epoch in range(100) for batch in draw_epoch(dataset, LOOP, epoch) for _, index in batch if index >= 50
    )
    assert shown[True] / shown[False] == pytest.approx(3, rel=0.1)


def test_crops_an_epoch_are_views_of_their_own() -> None:
    places = [
        place for batch in draw_epoch(make_dataset(4, 20), replace(LOOP, crops_per_epoch=3, batch_size=4), 2) for place in batch
    ]
    small = [place for place in places if place[1] < 4]
    assert sorted(small) == [(view, index) for view in (6, 7, 8) for index in range(4)]
    assert len({index for _, index in places if index >= 4}) == 12


def test_without_balance_all_images_are_shown_once() -> None:
    places = [place for batch in draw_epoch(make_dataset(4, 8, 3), LoopOptions(batch_size=5), 1) for place in batch]
    assert sorted(places) == [(1, index) for index in range(15)]


def test_the_batch_names_the_set_of_each_crop() -> None:
    dataset = replace(make_dataset(1, 1, 1), pixels=OnePicture(np.zeros((40, 40, 3), np.uint8)))
    assert [int(dataset[0, index].source) for index in range(3)] == [0, 1, -1]


def test_training_crops_have_a_size_of_their_own() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    dataset = CropDataset(
        [TrainingImage("a", 0.5)], CropSpec(64, "whole"), SampleOptions(versions=0, crop_size=48), OnePicture(picture)
    )
    assert dataset[0, 0].crops.shape == (1, 3, 48, 48)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_cannot_be_decoded_is_one_line_whichever_process_loads_it(tmp_path: Path, workers: int) -> None:
    (tmp_path / "no.png").write_bytes(write_photo(tmp_path / "photo.png", 0, (40, 48)).read_bytes()[:100])
    images = [TrainingImage(str(tmp_path / name), 0.5) for name in ("photo.png", "no.png")]
    dataset = CropDataset(images, CropSpec(32, "square"), SampleOptions(versions=0))
    for loader in (load_epoch(dataset, draw_epoch(dataset, LOOP, 0), workers), load_in_order(dataset, 0, [0, 1], workers)):
        with pytest.raises(DataError) as caught:
            list(loader)
        assert str(caught.value).startswith(f"{tmp_path / 'no.png'}: cannot train on this image: ")
        assert "\n" not in str(caught.value)


class Killed(CropDataset):
    """Whose loader process is killed by the system at its first image."""

    def __getitem__(self, _: tuple[int, int]) -> Batch:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def test_of_a_loader_process_that_was_killed_it_is_said_what_to_do() -> None:
    dataset = Killed([TrainingImage("a", 0.5)], CropSpec(32, "square"), SampleOptions(versions=0))
    told = r"was killed, perhaps for want of memory: set fewer loop\.workers, and go on by --resume"
    with pytest.raises(DataError, match=told), watch_loaders():
        list(load_epoch(dataset, draw_epoch(dataset, LOOP, 0), workers=1))
    with pytest.raises(RuntimeError, match="Caught RuntimeError in DataLoader worker process 0"), watch_loaders():
        raise RuntimeError("Caught RuntimeError in DataLoader worker process 0.")
