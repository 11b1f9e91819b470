"""Which images stand in the batches of an epoch, and what augmentations make of their crops."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the [train] extra")

from iqa_cli.images.crops import CropSpec, Rgb
from iqa_cli.training.data.batches import draw_epoch
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
