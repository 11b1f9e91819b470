"""Teacher predictions: labels for the training crops by trained networks. They are computed once and cached.

The prediction is the mean over several teachers: an ensemble of different networks errs less than any of them (label extension,
in the terms of QFM-IQM). Each teacher gets the same view as the student, resized to its own input.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from iqa_cli.images.crops import CROP_VERSION, CropSpec, Rgb, cut_box, normalise
from iqa_cli.models.card import ModelCard
from iqa_cli.models.find import find_model, verify_file
from iqa_cli.networks.checkpoint import is_whole, load_network, load_tensors, save_tensors
from iqa_cli.networks.ensemble import Blend
from iqa_cli.networks.network import QfmIqm
from iqa_cli.options import BackendChoice
from iqa_cli.training.data.batches import draw_epoch
from iqa_cli.training.data.feature_cache import FeatureStore
from iqa_cli.training.data.pixels import identify_file
from iqa_cli.training.data.samples import VIEW_VERSION, CropDataset, View
from iqa_cli.training.events import FeaturesExtracted, TeachersPredicted
from iqa_cli.training.optim import knows_bf16
from iqa_cli.training.options import LoopOptions

GROUP = 8  # images at once: enough to keep a processor busy, few enough for its cache
KEPT = 64 * GROUP  # images until the predictions of an epoch under way are saved once more


@dataclass(frozen=True)
class Teacher:
    """A trained network with its card."""

    network: QfmIqm | Blend
    card: ModelCard
    device: torch.device

    def list_networks(self) -> list[QfmIqm]:
        """Its networks, in order: one, or the members of a blend."""
        return [self.network] if isinstance(self.network, QfmIqm) else self.network.list_networks()

    def list_inputs(self, dataset: CropDataset) -> list[tuple[QfmIqm, CropDataset]]:
        """Each of its networks, and its crops of a dataset: those of a blend's member as the blend resizes them."""
        seen = dataset.with_crops(self.card.crops)
        if isinstance(self.network, QfmIqm):
            return [(self.network, seen)]
        own = [
            replace(seen.crops, size=self.network.own_side(number, seen.crops.size), mean=member.mean, std=member.std)
            for number, member in enumerate(self.network.members)
        ]
        return [(network, dataset.with_crops(crops)) for network, crops in zip(self.list_networks(), own, strict=True)]

    @torch.no_grad()
    def predict_features(self, features: Sequence[Tensor]) -> Tensor:
        """The labels [n] by the features [n, t, f] of each network."""
        placed = [part.to(self.device) for part in features]
        labels = self.network.predict(placed) if isinstance(self.network, Blend) else self.network.predict(placed[0])
        return labels.float().cpu()

    @torch.no_grad()
    def predict(self, views: Sequence[View], cut: CropSpec) -> Tensor:
        """The labels [n] of every version of some views, in order, each resized to the size of `cut`."""
        fitted = [fit_view(version, cut) for view in views for version in view.versions]
        crops = torch.from_numpy(normalise(fitted, cut))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=knows_bf16(self.device)):
            labels: Tensor = self.network(crops.to(self.device).contiguous(memory_format=torch.channels_last))
        return labels.float().cpu()


def fit_view(view: Rgb, crops: CropSpec) -> Rgb:
    """A square view as a teacher's input: uint8 [side, side, 3]."""
    side = len(view)
    return cut_box(view, (0, 0, side, side), (crops.size, crops.size))


def open_teachers(references: Sequence[str], device: str) -> list[Teacher]:
    """Models by name, card, folder or file. Raises WeightsError for one that is not there, not intact or has no safetensors."""
    teachers = []
    for reference in references:
        found = find_model(reference, BackendChoice.TORCH)
        network = load_network(found.card, verify_file(found.card, found.folder, BackendChoice.TORCH))
        target = torch.device(device)
        teachers.append(Teacher(network.eval().to(target).to(memory_format=torch.channels_last), found.card, target))
    return teachers


@dataclass(frozen=True)
class Predictor:
    """Some teachers on one dataset. asked: the images of each epoch that they are asked about.

    stores: the cached features of each teacher's networks; none: nothing is cached.
    """

    teachers: Sequence[Teacher]
    dataset: CropDataset
    asked: Sequence[Sequence[int]]
    stores: Sequence[Sequence[FeatureStore]] = ()

    def fill_stores(self, epoch: int) -> Iterator[FeaturesExtracted]:
        """Cache the features of the crops of one epoch."""
        for teacher, stores in zip(self.teachers, self.stores, strict=False):
            for network, store in zip(teacher.list_networks(), stores, strict=True):
                yield from store.fill(network, epoch, self.asked[epoch])

    def predict_epoch(self, epoch: int, under_way: UnderWay) -> Generator[TeachersPredicted, None, Tensor]:
        """The mean prediction [images, versions] for the crops of one epoch; nan where no crop is."""
        images = self.asked[epoch]
        predictions, done = under_way.read(epoch, (len(self.dataset), self.dataset.options.most_versions))
        for start in range(done, len(images), GROUP):
            indices = images[start : start + GROUP]
            labels, rows = (self.from_features if self.stores else self.from_views)(epoch, indices)
            for index, part in zip(indices, torch.split(labels, rows), strict=True):
                predictions[index, : len(part)] = part
            stop = start + len(indices)
            if stop % KEPT == 0:
                under_way.write(epoch, predictions, stop)
            yield TeachersPredicted(epoch, stop, len(images))
        return predictions

    def from_views(self, epoch: int, indices: Sequence[int]) -> tuple[Tensor, list[int]]:
        """The mean prediction [n] for every version of some images in an epoch, and how many versions each has."""
        views = [self.dataset.draw_view(epoch, index) for index in indices]
        cuts = [self.dataset.with_crops(teacher.card.crops).crops for teacher in self.teachers]
        labels = torch.stack([teacher.predict(views, cut) for teacher, cut in zip(self.teachers, cuts, strict=True)]).mean(0)
        return labels, [len(view.levels) for view in views]

    def from_features(self, epoch: int, indices: Sequence[int]) -> tuple[Tensor, list[int]]:
        """The same from cached features."""
        loaded = [[[store.load(epoch, index) for index in indices] for store in stores] for stores in self.stores]
        joined = [[torch.cat([cast("Tensor", image.features) for image in images]) for images in own] for own in loaded]
        labels = [teacher.predict_features(features) for teacher, features in zip(self.teachers, joined, strict=True)]
        return torch.stack(labels).mean(0), [len(image) for image in loaded[0][0]]


def predict_with_teachers(
    teachers: Sequence[Teacher],
    dataset: CropDataset,
    asked: Sequence[Sequence[int]],
    folder: Path,
    loop: LoopOptions | None = None,
) -> Generator[FeaturesExtracted | TeachersPredicted, None, CropDataset]:
    """The dataset with teacher predictions for the crops of some epochs. asked: of which images, for each epoch.

    A file in the folder, named by all that they depend on, caches them: a run that was stopped goes on where it was. loop: with
    it the features of the teachers' backbones are cached there, too, so that other teachers on the same backbones are quick.
    """
    facts = describe_question(teachers, dataset, asked)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"teacher-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}.safetensors"
    under_way = UnderWay(path.with_name(f"begun-{path.name}"), facts)
    predictions = read_predictions(path, facts)
    predictor = Predictor(teachers, dataset, asked, open_stores(teachers, dataset, folder, loop) if loop else ())
    for epoch in range(len(predictions), len(asked)):
        yield from predictor.fill_stores(epoch)
        predictions.append((yield from predictor.predict_epoch(epoch, under_way)))
        save_tensors(path, {"predictions": torch.stack(predictions)}, facts)
        under_way.path.unlink(missing_ok=True)
    return dataset.with_targets(torch.stack(predictions[: len(asked)]))


def open_stores(teachers: Sequence[Teacher], dataset: CropDataset, folder: Path, loop: LoopOptions) -> list[list[FeatureStore]]:
    """Where the features of each teacher's networks are cached."""
    return [[FeatureStore(folder, n, crops, loop) for n, crops in teacher.list_inputs(dataset)] for teacher in teachers]


@dataclass(frozen=True)
class UnderWay:
    """The file of the predictions of an epoch that is not done yet. facts: all that they depend on."""

    path: Path
    facts: dict[str, Any]

    def read(self, epoch: int, shape: tuple[int, int]) -> tuple[Tensor, int]:
        """The predictions [images, versions] so far, and for how many images; nan, and 0, where there are none."""
        if is_whole(self.path):
            tensors, kept = load_tensors(self.path)
            if kept[:2] == json.loads(json.dumps([self.facts, epoch])):
                return tensors["predictions"], kept[2]
        return torch.full(shape, torch.nan), 0

    def write(self, epoch: int, predictions: Tensor, done: int) -> None:
        """Keep the predictions for so many images."""
        save_tensors(self.path, {"predictions": predictions}, [self.facts, epoch, done])


def list_asked(dataset: CropDataset, loop: LoopOptions, epochs: int) -> list[Sequence[int]]:
    """The images of each epoch that teachers are asked about: those that a fine-tuning draws in it, in order.

    Of sets that are balanced the larger ones are drawn in part. All images, where crops of an epoch are shown again in others.
    """
    if not loop.balanced or loop.head_epochs or epochs < loop.epochs * loop.crops_per_epoch:
        return [range(len(dataset))] * epochs
    drawn: list[set[int]] = [set() for _ in range(epochs)]
    for epoch in range(loop.epochs):
        for batch in draw_epoch(dataset, loop, epoch).batches:
            for view, index in batch:
                drawn[view].add(index)
    return [sorted(indices) for indices in drawn]


def describe_question(teachers: Sequence[Teacher], dataset: CropDataset, asked: Sequence[Sequence[int]]) -> dict[str, Any]:
    """All that the predictions depend on."""
    images = [
        [identify_file(i.path).hex(), dataset.number(index), i.is_labeled, dataset.is_clean(i)]
        for index, i in enumerate(dataset.images)
    ]
    whole = all(len(indices) == len(dataset) for indices in asked)
    part = {} if whole else {"asked": hashlib.sha256(json.dumps([list(indices) for indices in asked]).encode()).hexdigest()}
    return part | {
        "teachers": [teacher.card.files["safetensors"].sha256 for teacher in teachers],
        "cut": CROP_VERSION,
        "drawn": VIEW_VERSION,
        "samples": asdict(dataset.options),
        "sizes": [dataset.with_crops(teacher.card.crops).crops.size for teacher in teachers],
        "view_size": dataset.options.view_size or dataset.crops.size,
        "images": hashlib.sha256(json.dumps(images).encode()).hexdigest(),
    }


def read_predictions(path: Path, facts: dict[str, Any]) -> list[Tensor]:
    """The predictions that a file holds for the same facts, one [images, versions] an epoch; else none."""
    if not is_whole(path):
        return []
    tensors, found = load_tensors(path)
    return list(tensors["predictions"]) if found == json.loads(json.dumps(facts)) else []
