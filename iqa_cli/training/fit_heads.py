"""remember_photos: a regression on means of features is fitted at once: to all rated photos as scoring sees them, and to what
teachers say of views of other photos and of damaged versions of these.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  its usual name

from iqa_cli.networks.checkpoint import load_tensors, save_tensors
from iqa_cli.networks.heads import CENTER, UNIT, MlpHead
from iqa_cli.networks.network import QfmIqm
from iqa_cli.qfm_iqm.objective import choose_answers
from iqa_cli.training.distributed import ALONE, Team
from iqa_cli.training.feature_cache import FeatureStore, PhotoStore, ViewMeasured, name_features
from iqa_cli.training.loop import EpochDone, validate
from iqa_cli.training.options import PerceptronOptions, StudyOptions
from iqa_cli.training.run_folder import RunFolder, Snapshot
from iqa_cli.training.samples import Photo, PhotoCrops, load_scoring_crops


class Shown(NamedTuple):
    """Something to learn from. view: of those that teachers have judged; None: what scoring sees of a rated photo.
    shrunk: whether the photo is reduced a little before.
    """

    place: int
    view: int | None = None
    shrunk: bool = False


def list_shown(dataset: PhotoCrops, options: PerceptronOptions) -> list[Shown]:
    """What there is to learn from: rated photos first, the judged views of others, and these once more, shrunk."""
    rated = [photo.quality == photo.quality for photo in dataset.photos]
    judged = range(0 if dataset.targets is None else len(dataset.targets))
    others = [Shown(place, view) for view in judged for place, known in enumerate(rated) if not known]
    again = [shown._replace(shrunk=True) for shown in others if options.shrunk]
    return [Shown(place) for place, known in enumerate(rated) if known] + others + again


def show(dataset: PhotoCrops, shown: Shown, share: float) -> tuple[Tensor, list[float]]:
    """Crops [n, 3, h, w] and their levels of damage. Of a rated photo it is one crop: of several that scoring sees the first,
    which is the middle one. A shrunk one is reduced by that share of its sides, and has no damaged versions.
    """
    if shown.view is None:
        photo = dataset.photos[shown.place]
        return next(load_scoring_crops([photo], dataset.scoring_crops, dataset.pixels))[:1], [0.0]
    source = dataset.shrunk(share) if shown.shrunk else dataset
    views = source.cut_views(shown.view, shown.place)
    return source.present(shown.view, shown.place, views).crops, views.levels


def tell(dataset: PhotoCrops, shown: Shown, levels: Sequence[float], options: PerceptronOptions) -> Tensor:
    """Targets and weights [n, 2]."""
    if shown.view is None:
        return torch.tensor([[dataset.photos[shown.place].quality, 1.0]])
    batch = dataset.describe(shown.view, shown.place, levels, torch.empty(len(levels), 3, 0, 0))
    taught = choose_answers(batch, cast("Tensor", batch.taught), margin=options.margin, capped=options.capped)
    return torch.stack([taught, torch.full_like(taught, options.taught)], dim=1)


class StatisticsStore(PhotoStore):
    """What a regression sees of photos, measured once, below a folder, for those of other folds, kinds and options."""

    def __init__(self, folder: Path, network: QfmIqm, dataset: PhotoCrops, share: float) -> None:
        super().__init__(folder / f"statistics-{dataset.scoring_crops.fit}-{name_features(network, dataset)}", dataset)
        self.features = FeatureStore(folder, network, dataset)
        self.network = network
        self.share = share  # by which shrunk photos are reduced

    def load_shown(self, shown: Shown, device: torch.device) -> tuple[Tensor, list[float]]:
        """Statistics [n, s] and levels of damage [n]; those of a view from its features, where these were measured already."""
        view = -1 if shown.view is None else shown.view
        plain = self.locate(view, shown.place)
        path = plain.with_name(f"{self.share:g}-{plain.name}") if shown.shrunk else plain
        if not path.exists() and not shown.shrunk and self.features.holds(view, shown.place):
            batch = self.features.load(view, shown.place)
            return head_of(self.network).pool(cast("Tensor", batch.features)), batch.level.tolist()
        if not path.exists():
            statistics, levels = describe(self.network, self.dataset, shown, self.share, device)
            save_tensors(path, {"statistics": statistics.half()}, [float(level) for level in levels])
        tensors, levels = load_tensors(path)
        return tensors["statistics"].float(), levels


def head_of(network: QfmIqm) -> MlpHead:
    """The head of a network whose head is an MLP."""
    return cast("MlpHead", network.decoder)


def describe(
    network: QfmIqm, dataset: PhotoCrops, shown: Shown, share: float, device: torch.device
) -> tuple[Tensor, list[float]]:
    """What the regression of a network sees: statistics [n, s] and levels of damage [n]."""
    crops, levels = show(dataset, shown, share)
    with torch.no_grad():
        return head_of(network).pool(network.extract(crops.to(device))).cpu(), levels


def remember_photos(
    network: QfmIqm,
    dataset: PhotoCrops,
    validation: Sequence[Photo],
    options: StudyOptions,
    run: RunFolder,
    features: Path | None = None,
    team: Team = ALONE,
) -> Iterator[ViewMeasured | EpochDone]:
    """Measure the photos of the set and fit the network's regression to them; the run folder keeps it, and a run that is
    resumed after that has nothing left to do.

    features: a folder that keeps what was measured, for other trainings, or None. Several processes share the photos out.
    Raises DataError for images that cannot be decoded.
    """
    if run.read_snapshot() is not None:
        return
    began = time.perf_counter()
    chosen = options.perceptrons
    device = torch.device(options.loop.device)
    network.to(device).eval()
    described, known, share = [], [], chosen.shrunk
    store = StatisticsStore(features, network, dataset, share) if features else None
    own = team.share(list_shown(dataset, chosen))
    for done, shown in enumerate(own, 1):
        seen, levels = store.load_shown(shown, device) if store else describe(network, dataset, shown, share, device)
        described.append(seen)
        known.append(tell(dataset, shown, levels, chosen))
        yield ViewMeasured(shown.view or 0, done, len(own))
    statistics, answers = (torch.cat(team.gather(torch.cat(rows))) for rows in (described, known))
    quality, counts = answers.T
    network.cpu()
    head = head_of(network)
    fit_mlp(head, Examples(statistics, quality, counts), options.perceptrons, options.samples.seed)
    with torch.no_grad():
        missed = (head.predict(statistics) - quality).abs().mean()
    network.to(device)
    correlations = validate(network, validation, dataset, options.loop, team)
    seconds = time.perf_counter() - began
    speed = round(len(dataset) / seconds, 2)
    stats = EpochDone(1, 1, options.method, {"quality": round(float(missed), 6)}, {}, *correlations, speed, round(seconds, 1))
    if team.leads:
        run.keep_epoch(stats, network, Snapshot(1, 0, {}))
    team.wait()
    yield stats


# ---- the MLPs ----


class Examples(NamedTuple):
    """What MLPs are fitted to: pooled features [n, p], labels [n], and the weight of each in the loss [n]."""

    pooled: Tensor
    labels: Tensor
    weights: Tensor


def fit_mlp(head: MlpHead, examples: Examples, options: PerceptronOptions, seed: int) -> None:
    """Train an ensemble of `options.count` MLPs side by side and put it into the head."""
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


def init_layers(count: int, units: int, size: int, generator: torch.Generator) -> list[Tensor]:
    """Initial weights and biases of the hidden layers [count, p, units], [count, 1, units] and the outputs [count, units, 1],
    [count, 1, 1].
    """

    def draw(inputs: int, *shape: int) -> Tensor:
        return ((2 * torch.rand(shape, generator=generator) - 1) / math.sqrt(inputs)).requires_grad_()

    return [draw(size, count, size, units), draw(size, count, 1, units), draw(units, count, units, 1), draw(units, count, 1, 1)]


def train_layers(layers: list[Tensor], examples: Examples, options: PerceptronOptions, generator: torch.Generator) -> None:
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
