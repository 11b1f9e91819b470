"""Samples: labeled and unlabeled images as batches of random crops.

Everything random about a crop is drawn from (seed, epoch, number of the image), so a resumed run sees the crops that an
uninterrupted one would, however many workers load the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from iqa_cli.images.crops import CropSpec, Rgb, cut_box, cut_crops, normalise
from iqa_cli.images.distortions import LEVELS, change_harmlessly, distort
from iqa_cli.images.masks import confine, draw_mask
from iqa_cli.qfm_iqm.batch import Batch
from iqa_cli.training.data.labeled import TrainingData, choose_crop_size, choose_distortions, weigh_subsets
from iqa_cli.training.data.pixels import PixelCache, Pixels
from iqa_cli.training.data.teacher_scores import TeacherScore
from iqa_cli.training.options import SampleOptions

VIEW_VERSION = 2  # of how views are drawn: it rises where cached features of the same options would not fit


@dataclass(frozen=True)
class TrainingImage:
    """One image to train on. label: 0..1, higher is better, or nan. reference: the name of its content.

    number: its own among all images of the data, whichever of them a trial trains on; -1: its index in the dataset.
    source: the place of its set among those that are trained on; -1: of none. weight: how often it is drawn, where sets are
        balanced. teacher: what a file of teacher scores says about it.
    """

    path: str
    label: float = float("nan")
    reference: str = ""
    number: int = -1
    source: int = 0
    weight: float = 1.0
    teacher: TeacherScore | None = None

    @property
    def is_labeled(self) -> bool:
        """Whether it has a label."""
        return self.label == self.label


def list_images(data: TrainingData | None, options: SampleOptions) -> list[TrainingImage]:
    """Every labeled image. Raises UsageError for a weight of a subset that no set has."""
    if data is None:
        return []
    weights = weigh_subsets(data, options)
    sources = list(data.sets)
    rows = enumerate(zip(data.paths, data.labels, data.groups, data.origins, data.subsets, strict=True))
    return [
        TrainingImage(str(path), float(label), group, number, sources.index(origin), weights.get(subset or "", 1.0))
        for number, (path, label, group, origin, subset) in rows
    ]


@dataclass(frozen=True)
class View:
    """One random view of an image and versions of it: uint8 [side, side, 3] each, and their levels of distortion.

    The view itself and a harmless version of it have level 0.
    """

    versions: list[Rgb]
    levels: list[float]


# ---- crops ----


@dataclass(frozen=True, eq=False)
class CropDataset(Dataset[Batch]):
    """(view, index) -> the batch of one image: a random crop, flipped or not, and at times distorted versions of it.

    scoring_crops: the network's input. Training crops are squares, of its size or their own: of one shape, to make a batch.
    targets: teacher predictions [epochs, images, versions]; then only the crops of those epochs are drawn, over and over.
    """

    images: Sequence[TrainingImage]
    scoring_crops: CropSpec
    options: SampleOptions
    pixels: Pixels = field(default_factory=PixelCache)
    targets: Tensor | None = None

    @cached_property
    def crops(self) -> CropSpec:
        """How training crops are cut."""
        return replace(self.scoring_crops, fit="square", size=self.options.crop_size or self.scoring_crops.size)

    @cached_property
    def references(self) -> list[int]:
        """A number for the content of each image."""
        names = {name: number for number, name in enumerate(dict.fromkeys(i.reference or i.path for i in self.images))}
        return [names[image.reference or image.path] for image in self.images]

    @cached_property
    def distortions(self) -> dict[bool, list[str]]:
        """Those to draw from, by whether an image may have the opposite fault."""
        return choose_distortions(self.options)

    def is_clean(self, image: TrainingImage) -> bool:
        """Whether any distortion makes the image worse: of a labeled one its label says so, others are taken to be clean."""
        return not image.is_labeled or image.label > self.options.clean_label

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, where: tuple[int, int]) -> Batch:
        epoch, index = where
        view = self.draw_view(self.view_number(epoch), index)
        crops = torch.from_numpy(normalise([self.fit_version(version) for version in view.versions], self.crops))
        return self.describe(epoch, index, view.levels, crops)

    # ---- other datasets of the same images ----

    def with_targets(self, targets: Tensor) -> CropDataset:
        """The same crops with teacher predictions."""
        return replace(self, targets=targets)

    def with_crops(self, crops: CropSpec) -> CropDataset:
        """The same views, cut for another network; without targets."""
        size = choose_crop_size(self.options, crops, self.scoring_crops.size)
        options = replace(self.options, view_size=self.options.view_size or self.crops.size, crop_size=size)
        return replace(self, scoring_crops=crops, options=options, targets=None)

    # ---- one view ----

    def number(self, index: int) -> int:
        """The image's own number."""
        own = self.images[index].number
        return own if own >= 0 else index

    def view_number(self, epoch: int) -> int:
        """The view of each image that an epoch shows."""
        return epoch if self.targets is None else epoch % len(self.targets)

    def draw_view(self, number: int, index: int) -> View:
        """A view of an image, before it is resized for a network."""
        image = self.images[index]
        generator = np.random.default_rng((self.options.seed, number, self.number(index)))
        rgb = self.cut_view(self.pixels.load(image.path), generator)
        undistorted = [rgb]
        if self.options.harmless and generator.random() < self.options.harmless:
            undistorted.append(change_harmlessly(rgb, generator))
        levels = [0.0] * len(undistorted)
        if not self.options.versions or (image.is_labeled and generator.random() >= self.options.distorted):
            return View(undistorted, levels)
        distorted, own = self.draw_distorted(image, rgb, generator)
        return View([*undistorted, *distorted], [*levels, *own])

    def draw_distorted(self, image: TrainingImage, rgb: Rgb, generator: np.random.Generator) -> tuple[list[Rgb], list[float]]:
        """Versions of a view with one distortion, in all of it or in a part, and their rising levels."""
        kinds = self.distortions[not self.is_clean(image)]
        kind, pattern = kinds[generator.integers(len(kinds))], int(generator.integers(2**32))
        levels = sorted(generator.uniform(0.5, LEVELS, self.options.versions))
        distorted = [distort(rgb, kind, level, np.random.default_rng(pattern)) for level in levels]
        if self.options.partial and generator.random() < self.options.partial:
            mask = draw_mask((rgb.shape[0], rgb.shape[1]), generator)
            distorted = [confine(version, rgb, mask) for version in distorted]
        return distorted, levels

    def cut_view(self, rgb: Rgb, generator: np.random.Generator) -> Rgb:
        """A random square of the image at a random scale, mirrored or not: uint8 [side, side, 3]."""
        length = self.options.view_size or self.crops.size
        height, width = rgb.shape[:2]
        side = min(height, width) / generator.uniform(1.0, self.options.max_zoom)
        left, top = generator.uniform(0, width - side), generator.uniform(0, height - side)
        view = cut_box(rgb, (left, top, left + side, top + side), (length, length))
        return np.ascontiguousarray(view[:, ::-1]) if generator.random() < 0.5 else view

    def fit_version(self, version: Rgb) -> Rgb:
        """A version of a view as the network's input: uint8 [size, size, 3]."""
        side = len(version)
        return cut_box(version, (0, 0, side, side), (self.crops.size, self.crops.size))

    def describe(self, epoch: int, index: int, levels: Sequence[float], crops: Tensor, features: Tensor | None = None) -> Batch:
        """The batch of one image: crops [versions, 3, h, w], or features [versions, n, f], with their label and targets.

        What is undistorted has the image's label.
        """
        rows, label = len(levels), self.images[index].label
        return Batch(
            crops=crops,
            label=torch.tensor([torch.nan if level else label for level in levels], dtype=torch.float32),
            image=torch.full((rows,), index),
            reference=torch.full((rows,), self.references[index]),
            chain=torch.full((rows,), epoch * len(self.images) + index if rows > 1 else -1),  # of this crop of it
            level=torch.tensor(levels, dtype=torch.float32),
            source=torch.full((rows,), self.images[index].source),
            teacher=self.find_targets(epoch, index, levels),
            trust=self.find_trust(index, rows),
            features=features,
        )

    # ---- teachers ----

    def find_targets(self, epoch: int, index: int, levels: Sequence[float]) -> Tensor | None:
        """What teachers say about each version [versions]: nan where nothing is said; None where nothing ever is."""
        if self.targets is not None:
            return self.targets[self.view_number(epoch), index, : len(levels)].float()
        if not self.is_scored:
            return None
        score = self.images[index].teacher
        target = score.target if score else torch.nan
        return torch.tensor([torch.nan if level else target for level in levels])

    def find_trust(self, index: int, rows: int) -> Tensor | None:
        """The weight of that [versions]; None where all have the same."""
        score = self.images[index].teacher
        return torch.full((rows,), score.trust if score else 1.0) if self.is_scored else None

    @cached_property
    def is_scored(self) -> bool:
        """Whether a file says something about some images."""
        return any(image.teacher for image in self.images)


# ---- scoring crops ----


def load_scoring_crops(images: Sequence[TrainingImage], crops: CropSpec, pixels: Pixels) -> Iterator[Tensor]:
    """For each image the crops that scoring would see, [n, 3, h, w]: what validation is done on."""
    for image in images:
        yield torch.from_numpy(cut_crops(pixels.load(image.path), crops))
