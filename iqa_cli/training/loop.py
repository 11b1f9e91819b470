"""fit: the only training loop. Objectives say what is trained for, samples on what, recipes how; a run folder keeps it all.

A run has two phases. While the backbone is frozen its features are measured once, and everything behind it is warmed up on
them, which costs next to nothing; then the network is fine-tuned whole (or from some layer on) on fresh crops.
"""

from __future__ import annotations

import copy
import math
import shutil
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from iqa_cli.errors import UsageError
from iqa_cli.evaluation.metrics import plcc, srcc
from iqa_cli.images.crops import CropSpec
from iqa_cli.networks.network import QfmIqm, StageEncoder
from iqa_cli.networks.torch_backend import choose_device
from iqa_cli.qfm_iqm.objective import Objective, QualityMatching
from iqa_cli.training.distributed import ALONE, SharedNetwork, Team
from iqa_cli.training.feature_cache import CropStore, FeatureEpoch, FeatureStore, ViewMeasured
from iqa_cli.training.optim import keep_depthwise_single, precision_of
from iqa_cli.training.options import LoopOptions, Schedule
from iqa_cli.training.run_folder import RunFolder, Snapshot
from iqa_cli.training.samples import Batch, EpochOrder, Photo, PhotoCrops, Pixels, load_epoch, load_scoring_crops

STANDARD = 1000  # photos on which features are standardised: enough for a mean and a deviation
TINY = 1e-3  # the least root mean square by which a rate is scaled: a bias of zeros must be able to move
WARM_UP = 0.1  # the share of a phase's steps in which the learning rate rises to its peak


@dataclass(frozen=True)
class StepDone:
    """One step of the loop: for a progress bar."""

    epoch: int
    step: int
    steps: int
    loss: float


@dataclass(frozen=True)
class EpochDone:
    """One epoch: what a line of stats.jsonl holds. Correlations are of the validation part, None where there is none."""

    epoch: int
    epochs: int
    phase: str
    losses: dict[str, float]
    rates: dict[str, float]
    srcc: float | None
    plcc: float | None
    images_per_second: float
    seconds: float


@dataclass(frozen=True)
class PhaseStopped:
    """A phase has ended early, after this epoch: there was nothing better to be had for a while."""

    epoch: int
    phase: str
    best: int  # the epoch that was


@dataclass
class Training:
    """What changes while a network is trained."""

    network: QfmIqm
    averaged: QfmIqm  # the moving average of the weights: what is validated and kept
    objective: Objective
    optimizer: torch.optim.AdamW
    steps: int = 0  # of the averaging
    rows: list[dict[str, Any]] = field(default_factory=list)  # the epochs so far, as stats.jsonl holds them


def fit(
    network: QfmIqm,
    dataset: PhotoCrops,
    validation: Sequence[Photo],
    objective: Objective,
    options: LoopOptions,
    run: RunFolder,
    features: Path | None = None,
    team: Team = ALONE,
) -> Iterator[ViewMeasured | StepDone | EpochDone | PhaseStopped]:
    """Train, yielding each step and epoch; the best and the last weights and the state to resume from lie in the run folder.

    Goes on where the run folder's state ends. A caller that stops iterating loses no more than the current epoch.
    features: where those of the frozen backbone are kept for other trainings; None: in the run folder, during the warm-up.
    team: all processes call this with the same arguments; one of them writes.
    Raises DataError for images that cannot be decoded, UsageError for fewer photos a batch than processes.
    """
    smallest = min(options.batch_size, options.fine_batch_size or options.batch_size, len(dataset))
    if smallest < team.size:
        raise UsageError(f"{team.size} processes cannot share batches of {smallest} photos")
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(dataset.options.seed)
    options = replace(options, device=str(choose_device(options.device)))
    network.to(torch.device(options.device)).to(memory_format=torch.channels_last)
    training = Training(network, copy.deepcopy(network), objective, build_optimizer(network, options, warm=True))
    start = resume(training, run, options)
    store: FeatureStore | None = None
    for epoch in range(start, options.warm_epochs + options.epochs):
        warm = epoch < options.warm_epochs
        phase = "warm-up" if warm else "fine-tuning"
        if epoch == options.warm_epochs:
            training.optimizer = build_optimizer(network, options, warm=False)
        if not warm:
            keep_depthwise_single(network)
        if find_stall(training.rows, phase, options.patience) is not None:
            continue
        if (epoch == 0 and wants_standards(network)) or (warm and not store):
            store = yield from measure_features(training, dataset, features or run.path / "features", options, team)
            if epoch == 0 and wants_standards(network):
                measure_standards(training, store)
        if not warm and features is None and team.leads:
            shutil.rmtree(run.path / "features", ignore_errors=True)
        began = time.perf_counter()
        source = store if warm and store else choose_crops(dataset, features, options)
        losses, rates, images = yield from run_epoch(training, dataset, source, epoch, options, team)
        seconds = time.perf_counter() - began
        correlations = validate(training.averaged, validation, dataset, options, team)
        stats = EpochDone(
            epoch + 1, options.warm_epochs + options.epochs, phase, average(losses), average(rates), *correlations,
            images_per_second=round(images / seconds, 2), seconds=round(seconds, 1),
        )  # fmt: skip
        training.rows.append(asdict(stats))
        if team.leads:
            run.keep_epoch(stats, training.averaged, snapshot(training, epoch + 1))
        team.wait()
        yield stats
        best = find_stall(training.rows, phase, options.patience)
        if best is not None:
            yield PhaseStopped(epoch + 1, phase, best)


def find_stall(rows: Sequence[Mapping[str, Any]], phase: str, patience: int) -> int | None:
    """The best epoch of a phase where it is long enough ago that the phase is to end; None where it goes on."""
    known = [row for row in rows if row["phase"] == phase]
    if not patience or not known or any(row["srcc"] is None for row in known):
        return None
    figures = [-2.0 if math.isnan(row["srcc"]) else float(row["srcc"]) for row in known]
    best = int(np.argmax(figures))
    return int(known[best]["epoch"]) if len(known) - 1 - best >= patience else None


def measure_features(
    training: Training, dataset: PhotoCrops, folder: Path, options: LoopOptions, team: Team
) -> Generator[ViewMeasured, None, FeatureStore]:
    """What the frozen backbone makes of each view, measured once, each process its share of the photos."""
    store = FeatureStore(folder, training.network, dataset) if team.size == 1 else FeatureShare(folder, training, dataset, team)
    for view in range(max(1, options.views) if options.warm_epochs else 1):  # one will do for the standards
        yield from store.fill(training.network, view, options)
    team.wait()
    return store


class FeatureShare(FeatureStore):
    """A store that several processes fill: to each, what the others measure counts as there."""

    def __init__(self, folder: Path, training: Training, dataset: PhotoCrops, team: Team) -> None:
        super().__init__(folder, training.network, dataset)
        self.own = set(team.share(range(len(dataset))))

    def holds(self, view: int, place: int) -> bool:
        """Whether there is nothing left to be measured here."""
        return place not in self.own or super().holds(view, place)


def run_epoch(
    training: Training, dataset: PhotoCrops, source: FeatureStore | Dataset[Batch], epoch: int, options: LoopOptions, team: Team
) -> Generator[StepDone, None, tuple[list[dict[str, float]], list[dict[str, float]], int]]:
    """One epoch, on features or on crops: losses and rates of each step, and how many crops were seen."""
    batches: FeatureEpoch | DataLoader[Batch]
    if isinstance(source, FeatureStore):
        phase, first, batches = options.warm_epochs, 0, source.load_epoch(epoch, options)
        batches.order.batches = [list(team.share(batch)) for batch in batches.order.batches]
    else:
        places = dataset.choose_places(epoch, options.unlabelled)
        size = options.fine_batch_size or options.batch_size
        order = EpochOrder(places, size, epoch, dataset.options.seed, options.draws)
        order.batches = [list(team.share(batch)) for batch in order.batches]
        batches = load_epoch(source, order, options.workers)
        phase, first = options.epochs, options.warm_epochs
    losses, rates, images, steps = [], [], 0, len(batches)
    for step, own in enumerate(batches):
        batch = team.gather_batch(own.to(torch.device(options.device)))
        set_rates(training.optimizer, step + steps * (epoch - first), steps * phase, options.schedule)
        outcome = take_step(training, batch, options, team)
        losses.append(outcome[0])
        rates.append(outcome[1])
        images += len(batch)
        yield StepDone(epoch, step + 1, steps, sum(outcome[0].values()))
    return losses, rates, images


def choose_crops(dataset: PhotoCrops, features: Path | None, options: LoopOptions) -> Dataset[Batch]:
    """Where the crops of fine-tuning come from: cut anew, or kept beside the features where they are shown again and again."""
    if features is not None and dataset.targets is not None and not options.vary:
        return CropStore(features, dataset)
    return dataset.varied(options.vary)


def layer_numbers(network: QfmIqm) -> dict[str, int]:
    """For each parameter of the backbone the number of its layer, counted from the input: by timm's own grouping, or where it
    has none by the first two parts of the name, as stages.0.
    """
    from timm.models import group_parameters

    backbone = network.encoder.backbone
    if not hasattr(backbone, "group_matcher"):
        parts = {name: tuple(name.split(".")[:2]) for name, _ in backbone.named_parameters()}
        order = list(dict.fromkeys(parts.values()))
        return {name: order.index(part) for name, part in parts.items()}
    groups: dict[str, int] = group_parameters(backbone, backbone.group_matcher(), reverse=True)
    return groups


def build_optimizer(network: QfmIqm, options: LoopOptions, *, warm: bool) -> torch.optim.AdamW:
    """AdamW over what the phase trains; the rest of the parameters want no gradient.

    No weight decay on biases, norms, positions, class tokens and judges, as DEIQT. The backbone's rate falls from its last
    layer to its first; in the warm-up and in the frozen share of its layers it is zero. Where it is relative each tensor of the
    backbone is a group of its own, whose rate counts in its root mean square.
    """
    layers = layer_numbers(network)
    top = max(layers.values())
    groups: dict[tuple[float, float, str], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        layer = layers.get(name.removeprefix("encoder.backbone.")) if name.startswith("encoder.backbone.") else None
        frozen = layer is not None and (warm or layer < options.frozen * (top + 1))
        parameter.requires_grad_(not frozen)
        if frozen:
            continue
        plain = options.warm_rate if warm else options.rate
        rate = plain if layer is None else options.backbone_rate * options.layer_decay ** (top - layer)
        decay = options.weight_decay if parameter.ndim > 1 and not name.endswith(("pos_embed", "cls_token", "judges")) else 0.0
        own = name if options.relative and layer is not None else ""
        groups.setdefault((rate, decay, own), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": members, "lr": rate, "peak": rate, "weight_decay": decay, "relative": bool(own)}
            for (rate, decay, own), members in groups.items()
        ]
    )


def set_rates(optimizer: torch.optim.Optimizer, step: int, steps: int, schedule: Schedule = "cosine") -> None:
    """A linear rise to the peak rates, and a fall as the schedule says; a relative rate times what its tensor measures now."""
    rise = min(1.0, (step + 1) / max(1.0, WARM_UP * steps))
    fall = 0.5 * (1 + math.cos(math.pi * step / steps)) if schedule == "cosine" else 0.1 ** (3 * step // steps)
    factor = rise * fall
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor
    relative = [group for group in optimizer.param_groups if group.get("relative")]
    if relative:
        tensors = [group["params"][0].detach() for group in relative]
        sizes = torch.stack(torch._foreach_norm(tensors)).tolist()
        for group, tensor, size in zip(relative, tensors, sizes, strict=True):
            group["lr"] *= max(TINY, size / tensor.numel() ** 0.5)


def take_step(
    training: Training, batch: Batch, options: LoopOptions, team: Team = ALONE
) -> tuple[dict[str, float], dict[str, float]]:
    """One update of the weights and of their average; the losses by name, and the rates."""
    training.network.train()
    network = training.network if team.size == 1 else cast("QfmIqm", SharedNetwork(training.network, team))
    with precision_of(options, training.network, warm=batch.features is not None):
        losses, rates = training.objective(network, batch)
    training.optimizer.zero_grad(set_to_none=True)
    if not losses:  # a batch without labels, answers or chains teaches nothing
        return {}, rates
    torch.stack([loss.float() for loss in losses.values()]).sum().backward()  # type: ignore[no-untyped-call]
    team.sum_gradients(training.network)
    trained = [p for group in training.optimizer.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(trained, options.clip)
    training.optimizer.step()
    training.steps += 1
    decay = min(options.averaging, training.steps / (10 + training.steps))  # young averages follow quickly
    with torch.no_grad():
        ours, theirs = ([p.detach() for p in network.parameters()] for network in (training.averaged, training.network))
        torch._foreach_lerp_(ours, theirs, 1 - decay)
    return {name: float(loss.detach()) for name, loss in losses.items()}, rates


def wants_standards(network: QfmIqm) -> bool:
    """Whether features are to be standardised before the first step."""
    return isinstance(network.encoder, StageEncoder)


def measure_standards(training: Training, store: FeatureStore) -> None:
    """Show an encoder of stages the mean and deviation of its features on undamaged crops, to standardise them by."""
    encoder = cast("StageEncoder", training.network.encoder)
    encoder.standards.train()
    with torch.no_grad():
        encoder.project(store.load_undamaged(STANDARD).to(next(encoder.parameters()).device))
    encoder.standards.eval()
    training.averaged.load_state_dict(training.network.state_dict())


@torch.no_grad()
def predict(network: QfmIqm, crops: Tensor, options: LoopOptions) -> Tensor:
    """Crops [n, 3, h, w] -> quality [n], on the CPU, in single precision."""
    network.eval()
    return network(crops.to(options.device).contiguous(memory_format=torch.channels_last)).cpu()  # type: ignore[no-any-return]


def predict_photos(
    network: QfmIqm, photos: Sequence[Photo], crops: CropSpec, pixels: Pixels, options: LoopOptions, team: Team = ALONE
) -> npt.NDArray[np.float64]:
    """The quality [n] of each photo as scoring would see it: the mean over its crops.

    Of several processes each looks at a share of the photos, and all get all answers.
    """
    own = [float(predict(network, each, options).mean()) for each in load_scoring_crops(team.share(photos), crops, pixels)]
    return torch.cat(team.gather(torch.tensor(own, dtype=torch.float64))).numpy()


def validate(
    network: QfmIqm, photos: Sequence[Photo], dataset: PhotoCrops, options: LoopOptions, team: Team = ALONE
) -> tuple[float | None, float | None]:
    """SRCC and PLCC of the labelled photos, None where there are too few."""
    if len(photos) < 3:
        return None, None
    predicted = predict_photos(network, photos, dataset.scoring_crops, dataset.pixels, options, team)
    truth = np.array([photo.quality for photo in photos])
    return srcc(predicted, truth), plcc(predicted, truth)


def average(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean by name over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: round(float(np.mean([row[name] for row in rows if name in row])), 6) for name in names}


def snapshot(training: Training, epoch: int) -> Snapshot:
    """Everything that the next epoch depends on."""
    tensors = {f"network.{k}": v for k, v in training.network.state_dict().items()}
    tensors |= {f"averaged.{k}": v for k, v in training.averaged.state_dict().items()}
    if isinstance(training.objective, QualityMatching):
        tensors |= {f"memory.{k}": v for k, v in training.objective.memory.state().items()}
    for number, state in training.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{k}": v for k, v in state.items()}
    tensors["random"] = torch.get_rng_state()
    return Snapshot(epoch, training.steps, tensors)


def resume(training: Training, run: RunFolder, options: LoopOptions) -> int:
    """Put the run folder's snapshot into the training; the epoch to go on with, 0 where there is none."""
    found = run.read_snapshot()
    if found is None:
        return 0
    training.network.load_state_dict(found.part("network"))
    training.averaged.load_state_dict(found.part("averaged"))
    if isinstance(training.objective, QualityMatching):
        training.objective.memory.restore(found.part("memory"))
    training.optimizer = build_optimizer(training.network, options, warm=found.epoch <= options.warm_epochs)
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in found.part("optimizer").items():
        number, name = key.split(".")
        state.setdefault(int(number), {})[name] = value
    groups = training.optimizer.state_dict()["param_groups"]
    training.optimizer.load_state_dict({"state": state, "param_groups": groups})
    torch.set_rng_state(found.tensors["random"])
    training.steps = found.steps
    training.rows = [row for row in run.read_stats() if row["epoch"] <= found.epoch]
    return found.epoch
