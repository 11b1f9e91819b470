"""FeatureStore: what a frozen backbone measured on the training crops, on disk: a file for each photo and view. CropStore: the
crops themselves, for when the backbone is no longer frozen.

A network whose backbone does not change yet need see no crop twice, and a crop that is shown again and again need not be
decoded, damaged and cut each time. A store is named by all that it depends on, so trainings of other folds, seeds of the panel
or recipes share one; and it is read a batch at a time, so memory stays flat.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from iqa_cli.images.crops import CUT, CropSpec
from iqa_cli.networks.checkpoint import load_tensors, save_tensors
from iqa_cli.networks.network import NetworkConfig, QfmIqm
from iqa_cli.training.optim import knows_bf16
from iqa_cli.training.options import LoopOptions
from iqa_cli.training.samples import Batch, EpochOrder, PhotoCrops, Views, join_batches, load_in_order

LATER = {"middle": 0, "units": 0}
"""Facts that came when there were stores already, which know nothing of them, and what they were until then."""


@dataclass(frozen=True)
class ViewMeasured:
    """The backbone has measured this many photos in one view: for a progress bar."""

    view: int
    done: int
    photos: int


class PhotoStore:
    """A file for each photo of a set and view of it, in a folder."""

    def __init__(self, folder: Path, dataset: PhotoCrops) -> None:
        self.dataset = dataset
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)

    def locate(self, view: int, place: int) -> Path:
        """The file of one photo in one view, by the photo's number and name."""
        photo = self.dataset.photos[place]
        name = hashlib.sha256(Path(photo.path).name.encode()).hexdigest()[:8]
        return self.folder / f"{view}-{photo.number}-{name}-{int(photo.quality == photo.quality)}.safetensors"

    def holds(self, view: int, place: int) -> bool:
        """Whether there is one."""
        return self.locate(view, place).exists()


class CropStore(PhotoStore, Dataset[Batch]):
    """(epoch, place) -> the batch of one photo, as the set gives it, from crops that are kept below a folder.

    For sets of which teachers have judged some views, which are shown over and over.
    """

    def __init__(self, folder: Path, dataset: PhotoCrops) -> None:
        super().__init__(folder / f"crops-{name_crops(dataset)}", dataset)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, where: tuple[int, int]) -> Batch:
        epoch, place = where
        view = epoch % len(cast("Tensor", self.dataset.targets))
        return self.dataset.present(view, place, self.load(view, place))

    def load(self, view: int, place: int) -> Views:
        """The versions of a photo as the network sees them, cut once."""
        path = self.locate(view, place)
        if path.exists():
            tensors, levels = load_tensors(path)
            return Views(list(tensors["crops"].numpy()), levels)
        seen = self.dataset.cut_views(view, place)
        save_tensors(path, {"crops": torch.from_numpy(np.stack(seen.versions))}, [float(level) for level in seen.levels])
        return seen


class FeatureStore(PhotoStore):
    """The features of one backbone on one way of cutting crops, below a folder."""

    def __init__(self, folder: Path, network: QfmIqm, dataset: PhotoCrops) -> None:
        super().__init__(folder / name_features(network, dataset), dataset)

    def keep(self, view: int, place: int, levels: Tensor, features: Tensor) -> None:
        """Put features [versions, n, f] of a photo there, in half precision."""
        save_tensors(self.locate(view, place), {"features": features.half()}, [float(level) for level in levels])

    @torch.no_grad()
    def measure(self, network: QfmIqm, photos: Sequence[Batch], options: LoopOptions) -> Tensor:
        """The features of some photos. Where the processor knows bf16 it is used: no gradient is at stake, and convolutions
        are twice as fast.
        """
        device = torch.device(options.device)
        quick = options.precision != "fp32" and knows_bf16(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=quick):
            return network.extract(join_batches(photos).to(device).crops)

    def fill(self, network: QfmIqm, view: int, options: LoopOptions) -> Iterator[ViewMeasured]:
        """Measure what is missing of one view of each photo."""
        network.eval()
        missing = [place for place in range(len(self.dataset)) if not self.holds(view, place)]
        done = len(self.dataset) - len(missing)
        for places, photos in load_in_order(self.dataset, view, missing, options.workers):
            features = self.measure(network, photos, options)
            for place, photo, part in zip(places, photos, torch.split(features, [len(each) for each in photos]), strict=True):
                self.keep(view, place, photo.level, part)
            done += len(places)
            yield ViewMeasured(view, done, len(self.dataset))

    def load_epoch(self, epoch: int, options: LoopOptions) -> FeatureEpoch:
        """An epoch of the warm-up: one view of each photo, in the batches of that epoch; only views that teachers, if there
        are any, were asked about.
        """
        order = EpochOrder(range(len(self.dataset)), options.batch_size, epoch, self.dataset.options.seed)
        answered = options.views if self.dataset.targets is None else len(self.dataset.targets)
        return FeatureEpoch(self, epoch % max(1, min(options.views, answered)), order)

    def load_undamaged(self, count: int) -> Tensor:
        """The features [count, n, f] of the first view of some photos spread over the set."""
        places = np.linspace(0, len(self.dataset) - 1, min(count, len(self.dataset))).astype(int).tolist()
        return torch.cat([features[:1] for place in places if (features := self.load(0, place).features) is not None])

    def load(self, view: int, place: int) -> Batch:
        """The batch of one photo, with features and without crops."""
        tensors, levels = load_tensors(self.locate(view, place))
        features = tensors["features"]
        return self.dataset.describe(view, place, levels, torch.empty(len(levels), 3, 0, 0), features.float())


@dataclass(frozen=True)
class FeatureEpoch:
    """The batches of one epoch, read as they are asked for."""

    store: FeatureStore
    view: int
    order: EpochOrder

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        for places in self.order:
            yield join_batches([self.store.load(self.view, place) for _, place in places])


def list_facts(config: NetworkConfig | CropSpec) -> dict[str, Any]:
    """By name, but for later ones that are as ever."""
    return {name: value for name, value in asdict(config).items() if value != LATER.get(name)}


def name_features(network: QfmIqm, dataset: PhotoCrops) -> str:
    """A digest of the backbone, its stages, the crops and how they are drawn, which does not hang on what is held out."""
    digest = hashlib.sha256()
    for name, value in network.encoder.active_backbone.state_dict().items():
        digest.update(name.encode())
        kept = value.half() + 0 if value.is_floating_point() else value  # as weights are stored; no negative zeros
        digest.update(kept.detach().cpu().numpy().tobytes())
    facts = {"network": list_facts(network.config.feature_config), **list_sources(dataset)}
    digest.update(json.dumps(facts, sort_keys=True, default=list).encode())
    return digest.hexdigest()[:16]


def name_crops(dataset: PhotoCrops) -> str:
    """A digest of the crops and how they are drawn."""
    return hashlib.sha256(json.dumps(list_sources(dataset), sort_keys=True, default=list).encode()).hexdigest()[:16]


def list_sources(dataset: PhotoCrops) -> dict[str, Any]:
    """All that the crops of a photo depend on."""
    samples = dataset.options
    side = 0 if samples.side == dataset.crops.size else samples.side  # one view by two names
    return {"crops": list_facts(dataset.crops), "cut": CUT, "samples": asdict(replace(samples, side=side, held_out=0.0))}
