"""Fit an MLP head on pooled backbone features, from labels and, optionally, teacher predictions on unlabeled images.

`fit_head` is the one door to this second way of training, which `loop.fit` does not know.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  its usual name

from iqa_cli.networks.checkpoint import load_tensors, save_tensors
from iqa_cli.networks.heads import CENTER, UNIT, MlpHead
from iqa_cli.networks.network import QfmIqm
from iqa_cli.qfm_iqm.objective import cap_targets
from iqa_cli.training.data.feature_cache import FeatureStore, ImageStore
from iqa_cli.training.data.samples import CropDataset, load_scoring_crops
from iqa_cli.training.events import EpochDone, FeaturesExtracted
from iqa_cli.training.optim import device_of
from iqa_cli.training.options import MlpOptions
from iqa_cli.training.run_folder import Snapshot
from iqa_cli.training.state import Run


class Examples(NamedTuple):
    """What MLPs are fitted to: pooled features [n, p], labels [n], and the weight of each in the loss [n]."""

    pooled: Tensor
    labels: Tensor
    weights: Tensor


def fit_head(run: Run, options: MlpOptions) -> Iterator[FeaturesExtracted | EpochDone]:
    """Extract pooled features of the run's images and fit the head of its network to them; the run folder keeps it.

    The features are cached in the run folder, or in `run.features`, so that a run that was stopped goes on where it was; one
    that is resumed after the fit has nothing left to do. Several processes share the images out.
    Raises DataError for images that cannot be decoded.
    """
    if run.folder.read_snapshot() is not None:
        return
    began = time.perf_counter()
    run.network.to(run.device).eval()
    extractor = Extractor(run.network, run.dataset, options.rescale, run.features or run.folder.features)
    examples = []
    own = run.group.shard(list_views(run.dataset, options.rescale))
    for done, view in enumerate(own, 1):
        pooled, levels = extractor.load(view)
        examples.append(Examples(pooled, *make_targets(run.dataset, view, levels, options)))
        yield FeaturesExtracted(view.number or 0, done, len(own))
    joined = Examples(*(torch.cat(run.group.gather(torch.cat(rows))) for rows in zip(*examples, strict=True)))
    error = fit_mlp(head_of(run.network.cpu()), joined, options, run.dataset.options.seed)
    run.network.to(run.device)
    correlations = run.validate(run.network)
    seconds = time.perf_counter() - began
    speed = round(len(run.dataset) / seconds, 2)
    stats = EpochDone(1, 1, "MLP head", {"label": round(error, 6)}, {}, *correlations, speed, round(seconds, 1))
    run.folder.keep_epoch(stats, run.network, Snapshot(1, 0, {}))
    if run.features is None:
        run.folder.drop_features()
    yield stats


def head_of(network: QfmIqm) -> MlpHead:
    """The head of a network whose head is an MLP."""
    return cast("MlpHead", network.decoder)


# ---- what is learned from ----


@dataclass(frozen=True)
class HeadView:
    """An image as the head learns from it.

    number: the view, of those with teacher predictions; None: the scoring crop of a labeled image. rescaled: whether the image
    is reduced a little before.
    """

    index: int
    number: int | None = None
    rescaled: bool = False


def list_views(dataset: CropDataset, rescale: float) -> list[HeadView]:
    """Labeled images first, the views of unlabeled ones that have predictions, and these once more, rescaled."""
    views = range(0 if dataset.targets is None else len(dataset.targets))
    unlabeled = [index for index, image in enumerate(dataset.images) if not image.is_labeled]
    labeled = [HeadView(index) for index, image in enumerate(dataset.images) if image.is_labeled]
    others = [HeadView(index, number) for number in views for index in unlabeled]
    return labeled + others + [replace(view, rescaled=True) for view in others if rescale]


def load_crops(dataset: CropDataset, view: HeadView, rescale: float) -> tuple[Tensor, list[float]]:
    """Crops [n, 3, h, w] and their levels of distortion.

    Of a labeled image one crop: of several that scoring sees the first, which is the center one. A rescaled image is reduced by
    that share of its sides, and has no distorted versions.
    """
    if view.number is None:
        image = dataset.images[view.index]
        return next(load_scoring_crops([image], dataset.scoring_crops, dataset.pixels))[:1], [0.0]
    batch = (dataset.rescaled(rescale) if view.rescaled else dataset)[view.number, view.index]
    return batch.crops, batch.level.tolist()


def make_targets(dataset: CropDataset, view: HeadView, levels: Sequence[float], options: MlpOptions) -> tuple[Tensor, Tensor]:
    """The label and the weight of every version of a view [n]."""
    if view.number is None:
        return torch.tensor([dataset.images[view.index].label]), torch.ones(1)
    batch = dataset.describe(view.number, view.index, levels, torch.empty(len(levels), 3, 0, 0))
    targets = cap_targets(batch, options.margin) if options.cap_targets else cast("Tensor", batch.teacher)
    return targets, torch.full_like(targets, options.teacher_weight)


class Extractor:
    """Pooled features of a dataset's views. cache: the folder that keeps them."""

    def __init__(self, network: QfmIqm, dataset: CropDataset, rescale: float, cache: Path) -> None:
        self.network, self.dataset, self.rescale = network, dataset, rescale
        self.features = FeatureStore(cache, network, dataset)
        self.pooled = ImageStore(cache / f"pooled-{dataset.scoring_crops.fit}-{self.features.folder.name}", dataset)

    def load(self, view: HeadView) -> tuple[Tensor, list[float]]:
        """Pooled features [n, p] and levels of distortion [n]; those of a view from its cached features, if there are any."""
        number = -1 if view.number is None else view.number
        plain = self.pooled.locate(number, view.index)
        path = plain.with_name(f"{self.rescale:g}-{plain.name}") if view.rescaled else plain
        if not path.exists() and not view.rescaled and self.features.holds(number, view.index):
            batch = self.features.load(number, view.index)
            return head_of(self.network).pool(cast("Tensor", batch.features)), batch.level.tolist()
        if not path.exists():
            pooled, levels = self.extract(view)
            save_tensors(path, {"pooled": pooled.half()}, [float(level) for level in levels])
        tensors, levels = load_tensors(path)
        return tensors["pooled"].float(), levels

    @torch.no_grad()
    def extract(self, view: HeadView) -> tuple[Tensor, list[float]]:
        """The same, without a cache."""
        crops, levels = load_crops(self.dataset, view, self.rescale)
        return head_of(self.network).pool(self.network.extract(crops.to(device_of(self.network)))).cpu(), levels


# ---- the MLPs ----


def fit_mlp(head: MlpHead, examples: Examples, options: MlpOptions, seed: int) -> float:
    """Train an ensemble of `options.count` MLPs side by side and put it into the head; its mean absolute error."""
    head.fit_standards(examples.pooled)
    inputs = head.standardize(examples.pooled)
    scaled = examples._replace(pooled=inputs, labels=(examples.labels - CENTER) / UNIT)
    generator = torch.Generator().manual_seed(seed)
    layers = init_layers(options.count, len(head.out.weight[0]) // options.count, inputs.shape[1], generator)
    with torch.enable_grad():
        train_layers(layers, scaled, options, generator)
    hidden, hidden_bias, out, out_bias = (layer.detach() for layer in layers)
    with torch.no_grad():
        head.hidden.weight.copy_(hidden.transpose(1, 2).flatten(0, 1))
        head.hidden.bias.copy_(hidden_bias.flatten())
        head.out.weight.copy_(out.flatten()[None] / options.count)
        head.out.bias.copy_(out_bias.mean())
        return float((head.predict(examples.pooled) - examples.labels).abs().mean())


def init_layers(count: int, units: int, size: int, generator: torch.Generator) -> list[Tensor]:
    """Initial weights and biases of the hidden layers, [count, p, units] and [count, 1, units], and of the outputs,
    [count, units, 1] and [count, 1, 1].
    """

    def draw(inputs: int, *shape: int) -> Tensor:
        return ((2 * torch.rand(shape, generator=generator) - 1) / math.sqrt(inputs)).requires_grad_()

    return [draw(size, count, size, units), draw(size, count, 1, units), draw(units, count, units, 1), draw(units, count, 1, 1)]


def train_layers(layers: list[Tensor], examples: Examples, options: MlpOptions, generator: torch.Generator) -> None:
    """AdamW with a cosine schedule; each MLP has batches and dropout of its own."""
    hidden, hidden_bias, out, out_bias = layers
    groups = [
        {"params": [hidden, out], "weight_decay": options.weight_decay},
        {"params": [hidden_bias, out_bias], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=options.rate)
    count = len(examples.pooled)
    size = min(options.batch_size, count)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs * (count // size))
    for _ in range(options.epochs):
        orders = torch.stack([torch.randperm(count, generator=generator) for _ in range(options.count)])
        for start in range(0, count - size + 1, size):
            batch = orders[:, start : start + size]  # [count, size]
            inputs = drop(examples.pooled[batch], options.dropout, generator)
            units = drop(F.gelu(torch.baddbmm(hidden_bias, inputs, hidden)), options.hidden_dropout, generator)
            output = torch.baddbmm(out_bias, units, out).squeeze(2)
            losses = F.smooth_l1_loss(output, examples.labels[batch], beta=options.beta / UNIT, reduction="none")
            optimizer.zero_grad()
            (losses * examples.weights[batch]).mean(1).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()


def drop(values: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Dropout with a generator of its own."""
    return values * (torch.rand(values.shape, generator=generator) >= share) / (1 - share)
