"""Caches on disk: features of a frozen backbone, a file for each image and view.

A network whose backbone does not change need see no crop twice. A feature store is named by all that it depends on, so
trainings of other folds, seeds of the head or recipes share one; and it is read a batch at a time, so memory stays flat.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from iqa_cli.images.crops import CROP_VERSION
from iqa_cli.networks.checkpoint import is_whole, load_tensors, save_tensors
from iqa_cli.networks.network import QfmIqm
from iqa_cli.qfm_iqm.batch import Batch, join_batches
from iqa_cli.training.data.batches import EpochSampler, draw_epoch, load_in_order, watch_loaders
from iqa_cli.training.data.pixels import identify_file
from iqa_cli.training.data.samples import VIEW_VERSION, CropDataset
from iqa_cli.training.events import FeaturesExtracted
from iqa_cli.training.optim import device_of, knows_bf16
from iqa_cli.training.options import LoopOptions

# ---- features ----


class FeatureStore:
    """The features of one backbone on one way of cutting crops, below a folder: a file for each image and view of it.

    They are extracted in bf16 where the device knows it: no gradient is at stake, and transformers are twice as fast.
    """

    def __init__(self, folder: Path, network: QfmIqm, dataset: CropDataset, options: LoopOptions) -> None:
        self.dataset = dataset
        self.options = options
        self.is_quick = options.precision != "fp32" and knows_bf16(device_of(network))
        self.folder = folder / name_features(network, dataset, "bf16" if self.is_quick else "fp32")
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def views(self) -> int:
        """How many views of each image head training shows; only those with teacher predictions, where there are any."""
        targets = self.dataset.targets
        return max(1, self.options.views if targets is None else min(self.options.views, len(targets)))

    def locate(self, view: int, index: int) -> Path:
        """The file of one image in one view: by the image's own file and number, and by what decides on its distortions."""
        image = self.dataset.images[index]
        kind = image.is_labeled + (image.is_labeled and self.dataset.is_clean(image))
        file = hashlib.sha256(identify_file(image.path)).hexdigest()[:16]
        return self.folder / f"{view}-{self.dataset.number(index)}-{file}-{kind}.safetensors"

    def holds(self, view: int, index: int) -> bool:
        """Whether there is one, and it is whole."""
        return is_whole(self.locate(view, index))

    def keep(self, view: int, index: int, levels: Tensor, features: Tensor) -> None:
        """Write features [versions, n, f] of an image, in half precision."""
        save_tensors(self.locate(view, index), {"features": features.half()}, [float(level) for level in levels])

    @torch.no_grad()
    def extract(self, network: QfmIqm, images: Sequence[Batch]) -> Tensor:
        """The features of some images."""
        device = device_of(network)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.is_quick):
            return network.extract(join_batches(images).to(device).crops)

    def fill(self, network: QfmIqm, view: int, indices: Sequence[int] | None = None) -> Iterator[FeaturesExtracted]:
        """Extract what is missing of one view of all images, or of some. Raises DataError for one that cannot be decoded."""
        network.eval()
        wanted = range(len(self.dataset)) if indices is None else indices
        missing = [index for index in wanted if not self.holds(view, index)]
        done = len(self.dataset) - len(missing)
        with watch_loaders():
            for part, images in load_in_order(self.dataset, view, missing, self.options.workers):
                features = self.extract(network, images)
                for index, image, own in zip(part, images, torch.split(features, [len(each) for each in images]), strict=True):
                    self.keep(view, index, image.level, own)
                done += len(part)
                yield FeaturesExtracted(view, done, len(self.dataset))

    def load_epoch(self, epoch: int) -> FeatureEpoch:
        """An epoch of head training: one view of each image, in the batches of that epoch."""
        return FeatureEpoch(self, epoch % self.views, draw_epoch(self.dataset, self.options, epoch, crops=1))

    def load_undistorted(self, count: int) -> Tensor:
        """The features [count, n, f] of the first view of some images spread over the dataset."""
        indices = np.linspace(0, len(self.dataset) - 1, min(count, len(self.dataset))).astype(int).tolist()
        return torch.cat([features[:1] for index in indices if (features := self.load(0, index).features) is not None])

    def load(self, view: int, index: int) -> Batch:
        """The batch of one image, with features and without crops."""
        tensors, levels = load_tensors(self.locate(view, index))
        features = tensors["features"]
        return self.dataset.describe(view, index, levels, torch.empty(len(levels), 3, 0, 0), features.float())


@dataclass(frozen=True)
class FeatureEpoch:
    """The batches of one epoch, read as they are asked for."""

    store: FeatureStore
    view: int
    sampler: EpochSampler

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.sampler:
            yield join_batches([self.store.load(self.view, index) for _, index in batch])


def name_features(network: QfmIqm, dataset: CropDataset, precision: str = "fp32") -> str:
    """A digest of the backbone, its stages, the crops and how they are drawn, independent of what is held out."""
    digest = hashlib.sha256()
    for name, value in network.encoder.backbone.state_dict().items():
        digest.update(name.encode())
        kept = value.half() + 0 if value.is_floating_point() else value  # as weights are stored; no negative zeros
        digest.update(kept.detach().cpu().numpy().tobytes())
    facts = {"network": asdict(network.config.feature_config), "precision": precision, **list_sources(dataset)}
    digest.update(json.dumps(facts, sort_keys=True, default=list).encode())
    return digest.hexdigest()[:16]


def list_sources(dataset: CropDataset) -> dict[str, Any]:
    """All that the crops of an image depend on."""
    samples = dataset.options
    size = 0 if samples.view_size == dataset.crops.size else samples.view_size  # one view by two names
    return {
        "crops": asdict(dataset.crops),
        "cut": CROP_VERSION,
        "drawn": VIEW_VERSION,
        "samples": asdict(replace(samples, view_size=size, crop_size=0, held_out=0.0)),  # crops have a size
    }
