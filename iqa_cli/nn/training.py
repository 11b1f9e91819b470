"""fit: the only training loop. Objectives say what is trained for, samples on what, recipes how; a run folder keeps it all.

A run has two phases. While the backbone is frozen its features are measured once, and everything behind it is warmed up on
them, which costs next to nothing; then the network is fine-tuned whole (or from some layer on) on fresh crops.
"""

from __future__ import annotations

import copy
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from iqa_cli.metrics import plcc, srcc
from iqa_cli.nn.features import FeatureStore, ViewMeasured
from iqa_cli.nn.network import QfmIqm, StageEncoder
from iqa_cli.nn.objectives import Objective, QualityMatching
from iqa_cli.nn.runs import RunFolder, Snapshot
from iqa_cli.nn.samples import Batch, Photo, PhotoCrops, load_epoch, load_scoring_crops
from iqa_cli.recipes import LoopOptions

STANDARD = 1000  # photos on which features are standardised: enough for a mean and a deviation
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


@dataclass
class Training:
    """What changes while a network is trained."""

    network: QfmIqm
    averaged: QfmIqm  # the moving average of the weights: what is validated and kept
    objective: Objective
    optimizer: torch.optim.AdamW
    steps: int = 0  # of the averaging


def fit(
    network: QfmIqm,
    dataset: PhotoCrops,
    validation: Sequence[Photo],
    objective: Objective,
    options: LoopOptions,
    run: RunFolder,
    features: Path | None = None,
) -> Iterator[ViewMeasured | StepDone | EpochDone]:
    """Train, yielding each step and epoch; the best and the last weights and the state to resume from lie in the run folder.

    Goes on where the run folder's state ends. A caller that stops iterating loses no more than the current epoch.
    features: where those of the frozen backbone are kept for other trainings; None: in the run folder, during the warm-up.
    Raises DataError for images that cannot be decoded.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    torch.manual_seed(dataset.options.seed)
    network.to(device).to(memory_format=torch.channels_last)
    training = Training(network, copy.deepcopy(network), objective, build_optimizer(network, options, warm=True))
    epochs = options.warm_epochs + options.epochs
    start = resume(training, run, options)
    store: FeatureStore | None = None
    for epoch in range(start, epochs):
        warm = epoch < options.warm_epochs
        if epoch == 0 or (warm and not store):
            store = FeatureStore(features or run.path / "features", network, dataset)
            for view in range(max(1, options.views)):
                yield from store.fill(network, view, options)
            if epoch == 0:
                measure_standards(training, store)
        if epoch == options.warm_epochs:
            if features is None:
                shutil.rmtree(run.path / "features", ignore_errors=True)
            training.optimizer = build_optimizer(network, options, warm=False)
        began, losses, rates, images = time.perf_counter(), [], [], 0
        batches = (
            store.load_epoch(epoch, options)
            if warm and store
            else load_epoch(dataset, options.batch_size, epoch, options.workers)
        )
        for step, batch in enumerate(batches):
            done = step + len(batches) * (epoch if warm else epoch - options.warm_epochs)
            set_rates(training.optimizer, done, len(batches) * (options.warm_epochs if warm else options.epochs))
            outcome = take_step(training, batch.to(device), options)
            losses.append(outcome[0])
            rates.append(outcome[1])
            images += len(batch)
            yield StepDone(epoch, step + 1, len(batches), sum(outcome[0].values()))
        seconds = time.perf_counter() - began
        correlations = validate(training.averaged, validation, dataset, options)
        stats = EpochDone(
            epoch + 1, epochs, "warm-up" if warm else "fine-tuning", average(losses), average(rates), *correlations,
            images_per_second=round(images / seconds, 2), seconds=round(seconds, 1),
        )  # fmt: skip
        run.keep_epoch(stats, training.averaged, snapshot(training, epoch + 1))
        yield stats


def precision_of(options: LoopOptions, network: QfmIqm) -> AbstractContextManager[object]:
    """Autocast to bf16 where that is asked for, or helps: matrix products of a transformer, and any network on a GPU."""
    helps = hasattr(network.encoder.backbone, "num_prefix_tokens") or options.device != "cpu"
    wanted = options.precision == "bf16" or (options.precision == "auto" and helps)
    return torch.autocast(torch.device(options.device).type, torch.bfloat16, enabled=wanted)


def layer_numbers(network: QfmIqm) -> dict[str, int]:
    """For each parameter of the backbone the number of its layer, counted from the input, by timm's own grouping."""
    from timm.models import group_parameters

    backbone = network.encoder.backbone
    groups: dict[str, int] = group_parameters(backbone, backbone.group_matcher(), reverse=True)
    return groups


def build_optimizer(network: QfmIqm, options: LoopOptions, *, warm: bool) -> torch.optim.AdamW:
    """AdamW over what the phase trains; the rest of the parameters want no gradient.

    No weight decay on biases, norms, positions, class tokens and judges, as DEIQT. The backbone's rate falls from its last
    layer to its first; in the warm-up and in the frozen share of its layers it is zero.
    """
    layers = layer_numbers(network)
    top = max(layers.values())
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        layer = layers.get(name.removeprefix("encoder.backbone.")) if name.startswith("encoder.backbone.") else None
        frozen = layer is not None and (warm or layer < options.frozen * (top + 1))
        parameter.requires_grad_(not frozen)
        if frozen:
            continue
        plain = options.warm_rate if warm else options.rate
        rate = plain if layer is None else options.backbone_rate * options.layer_decay ** (top - layer)
        decay = options.weight_decay if parameter.ndim > 1 and not name.endswith(("pos_embed", "cls_token", "judges")) else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": members, "lr": rate, "peak": rate, "weight_decay": decay} for (rate, decay), members in groups.items()]
    )


def set_rates(optimizer: torch.optim.Optimizer, step: int, steps: int) -> None:
    """A linear rise to the peak rates, then a cosine down to zero."""
    rise = min(1.0, (step + 1) / max(1.0, WARM_UP * steps))
    factor = rise * 0.5 * (1 + math.cos(math.pi * step / steps))
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def take_step(training: Training, batch: Batch, options: LoopOptions) -> tuple[dict[str, float], dict[str, float]]:
    """One update of the weights and of their average; the losses by name, and the rates."""
    training.network.train()
    with precision_of(options, training.network):
        losses, rates = training.objective(training.network, batch)
    training.optimizer.zero_grad(set_to_none=True)
    if not losses:  # a batch without labels, answers or chains teaches nothing
        return {}, rates
    torch.stack([loss.float() for loss in losses.values()]).sum().backward()  # type: ignore[no-untyped-call]
    trained = [p for group in training.optimizer.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(trained, options.clip)
    training.optimizer.step()
    training.steps += 1
    decay = min(options.averaging, training.steps / (10 + training.steps))  # young averages follow quickly
    with torch.no_grad():
        ours, theirs = ([p.detach() for p in network.parameters()] for network in (training.averaged, training.network))
        torch._foreach_lerp_(ours, theirs, 1 - decay)
    return {name: float(loss.detach()) for name, loss in losses.items()}, rates


def measure_standards(training: Training, store: FeatureStore) -> None:
    """Show an encoder of stages the mean and deviation of its features on undamaged crops, to standardise them by."""
    encoder = training.network.encoder
    if not isinstance(encoder, StageEncoder):
        return
    encoder.standards.train()
    with torch.no_grad():
        encoder.project(store.load_undamaged(STANDARD).to(next(encoder.parameters()).device))
    encoder.standards.eval()
    training.averaged.load_state_dict(training.network.state_dict())


@torch.no_grad()
def predict(network: QfmIqm, crops: Tensor, options: LoopOptions) -> Tensor:
    """Crops [n, 3, h, w] -> quality [n], on the CPU, in single precision."""
    network.eval()
    with precision_of(options, network):
        return network(crops.to(options.device).contiguous(memory_format=torch.channels_last)).float().cpu()  # type: ignore[no-any-return]


def predict_photos(
    network: QfmIqm, photos: Sequence[Photo], dataset: PhotoCrops, options: LoopOptions
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The quality [n] of each photo as scoring would see it: the mean over its crops, cut by the dataset's own spec."""
    crops = load_scoring_crops(photos, dataset.scoring_crops, dataset.pixels)
    return np.array([float(predict(network, each, options).mean()) for each in crops])


def validate(
    network: QfmIqm, photos: Sequence[Photo], dataset: PhotoCrops, options: LoopOptions
) -> tuple[float | None, float | None]:
    """SRCC and PLCC of the labelled photos, None where there are too few."""
    if len(photos) < 3:
        return None, None
    predicted = predict_photos(network, photos, dataset, options)
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
    return found.epoch
