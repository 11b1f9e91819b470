"""fit: the only training loop. Objectives say what is trained for, datasets on what, options how; a run folder keeps it all.

A run has two phases. While the backbone is frozen its features are extracted once, and the head is trained on them, which costs
next to nothing; then the network is fine-tuned whole (or from some layer on) on fresh crops.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from iqa_cli.errors import UsageError
from iqa_cli.evaluation.metrics import plcc, srcc
from iqa_cli.networks.encoders import StageEncoder
from iqa_cli.networks.network import QfmIqm
from iqa_cli.networks.torch_backend import choose_device
from iqa_cli.qfm_iqm.batch import Batch
from iqa_cli.qfm_iqm.objective import Objective
from iqa_cli.training.distributed import ProcessGroup, ShardedNetwork
from iqa_cli.training.events import EpochDone, FeaturesExtracted, PhaseStopped, StepDone
from iqa_cli.training.feature_cache import FeatureStore
from iqa_cli.training.optim import autocast, build_optimizer, set_rates
from iqa_cli.training.options import LoopOptions
from iqa_cli.training.run_folder import RunFolder, Snapshot
from iqa_cli.training.samples import CropDataset, EpochSampler, Pixels, TrainingImage, load_epoch, load_scoring_crops

STANDARD = 1000  # images on which features are standardized: enough for a mean and a deviation


@dataclass(frozen=True)
class Run:
    """A network, its data, how it is trained, and where that is kept.

    features: where those of the frozen backbone are cached for other trainings; None: in the run folder, for head training.
    """

    network: QfmIqm
    dataset: CropDataset
    validation: Sequence[TrainingImage]
    options: LoopOptions
    folder: RunFolder
    features: Path | None = None

    @property
    def group(self) -> ProcessGroup:
        """The processes that train it together, all with the same run; one of them writes."""
        return self.folder.group

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return choose_device(self.options.device)

    def predict(self, network: QfmIqm, images: Sequence[TrainingImage], pixels: Pixels) -> npt.NDArray[np.float64]:
        """The label [n] of each image as scoring would predict it: the mean over its crops.

        Of several processes each predicts a shard of the images, and all get all labels.
        """
        crops = load_scoring_crops(self.group.shard(images), self.dataset.scoring_crops, pixels)
        own = [float(predict_crops(network, each, self.device).mean()) for each in crops]
        return torch.cat(self.group.gather(torch.tensor(own, dtype=torch.float64))).numpy()

    def validate(self, network: QfmIqm) -> tuple[float | None, float | None]:
        """SRCC and PLCC of the validation images, None where there are too few."""
        if len(self.validation) < 3:
            return None, None
        predicted = self.predict(network, self.validation, self.dataset.pixels)
        labels = np.array([image.label for image in self.validation])
        return srcc(predicted, labels), plcc(predicted, labels)


@dataclass(frozen=True)
class Phase:
    """A stretch of epochs, numbered from 0: head training, or fine-tuning."""

    name: str
    first: int
    epochs: int
    head_only: bool

    @classmethod
    def of(cls, epoch: int, options: LoopOptions) -> Phase:
        """The phase of an epoch."""
        if epoch < options.head_epochs:
            return cls("head training", 0, options.head_epochs, head_only=True)
        return cls("fine-tuning", options.head_epochs, options.epochs, head_only=False)


@dataclass
class State:
    """What changes while a network is trained."""

    averaged: QfmIqm  # the moving average of the weights: what is validated and kept
    objective: Objective
    optimizer: torch.optim.AdamW
    epoch: int = 0  # how many are done
    steps: int = 0  # of the averaging
    rows: list[dict[str, Any]] = field(default_factory=list)  # the epochs so far, as stats.jsonl holds them


class Batches(Sized, Iterable[Batch], Protocol):
    """The batches of an epoch."""


def fit(run: Run, objective: Objective) -> Iterator[FeaturesExtracted | StepDone | EpochDone | PhaseStopped]:
    """Train, yielding each step and epoch; the best and the last weights and the state to resume from lie in the run folder.

    Goes on where the run folder's state ends. A caller that stops iterating loses no more than the current epoch.
    Raises DataError for images that cannot be decoded, UsageError for fewer images a batch than processes.
    """
    prepare(run)
    state = begin(run, objective)
    store: FeatureStore | None = None
    for epoch in range(state.epoch, run.options.head_epochs + run.options.epochs):
        phase = Phase.of(epoch, run.options)
        if epoch == run.options.head_epochs:
            state.optimizer = build_optimizer(run.network, run.options, head_only=False)
        if find_stall(state.rows, phase.name, run.options.patience) is not None:
            continue
        standardizes = epoch == 0 and isinstance(run.network.encoder, StageEncoder)
        if standardizes or (phase.head_only and store is None):
            store = yield from extract_features(run)
        if standardizes and store is not None:
            fit_standards(run, state, store)
        if not phase.head_only and run.features is None:
            run.folder.drop_features()
        stats = yield from train_epoch(run, state, epoch, store)
        state.rows.append(asdict(stats))
        run.folder.keep_epoch(stats, state.averaged, snapshot(run, state, epoch + 1))
        yield stats
        best = find_stall(state.rows, phase.name, run.options.patience)
        if best is not None:
            yield PhaseStopped(epoch + 1, phase.name, best)


def prepare(run: Run) -> None:
    """Settle threads, seed and device. Raises UsageError for fewer images a batch than processes."""
    smallest = min(run.options.batch_size, len(run.dataset))
    if smallest < run.group.size:
        raise UsageError(f"{run.group.size} processes cannot share batches of {smallest} images")
    if run.options.threads:
        torch.set_num_threads(run.options.threads)
    torch.manual_seed(run.dataset.options.seed)
    run.network.to(run.device).to(memory_format=torch.channels_last)


def find_stall(rows: Sequence[Mapping[str, Any]], phase: str, patience: int) -> int | None:
    """The best epoch of a phase where it is long enough ago that the phase is to end; None where it goes on."""
    known = [row for row in rows if row["phase"] == phase]
    if not patience or not known or any(row["srcc"] is None for row in known):
        return None
    figures = [-2.0 if math.isnan(row["srcc"]) else float(row["srcc"]) for row in known]
    best = int(np.argmax(figures))
    return int(known[best]["epoch"]) if len(known) - 1 - best >= patience else None


# ---- features ----


def extract_features(run: Run) -> Generator[FeaturesExtracted, None, FeatureStore]:
    """The features of each view by the frozen backbone, extracted once, by each process for its shard of the images."""
    store = FeatureStore(run.features or run.folder.features, run.network, run.dataset)
    own = run.group.shard(range(len(run.dataset)))
    for view in range(max(1, run.options.views) if run.options.head_epochs else 1):  # one will do for the standards
        yield from store.fill(run.network, view, run.options, own)
    run.group.wait()
    return store


def fit_standards(run: Run, state: State, store: FeatureStore) -> None:
    """Fit the mean and deviation by which an encoder of stages standardizes features, on undistorted crops."""
    encoder = cast("StageEncoder", run.network.encoder)
    encoder.standards.train()
    with torch.no_grad():
        encoder.project(store.load_undistorted(STANDARD).to(run.device))
    encoder.standards.eval()
    state.averaged.load_state_dict(run.network.state_dict())


# ---- one epoch ----


def train_epoch(run: Run, state: State, epoch: int, store: FeatureStore | None) -> Generator[StepDone, None, EpochDone]:
    """One epoch, on cached features or on crops."""
    phase, began = Phase.of(epoch, run.options), time.perf_counter()
    batches = load_batches(run, epoch, store if phase.head_only else None)
    losses, rates, images, steps = [], [], 0, len(batches)
    for step, own in enumerate(batches):
        batch = run.group.gather_batch(own.to(run.device))
        set_rates(state.optimizer, step + steps * (epoch - phase.first), steps * phase.epochs, run.options.schedule)
        outcome = take_step(run, state, batch)
        losses.append(outcome[0])
        rates.append(outcome[1])
        images += len(batch)
        yield StepDone(epoch, step + 1, steps, sum(outcome[0].values()))
    seconds = time.perf_counter() - began
    correlations = run.validate(state.averaged)
    epochs = run.options.head_epochs + run.options.epochs
    speed = round(images / seconds, 2)
    return EpochDone(epoch + 1, epochs, phase.name, average(losses), average(rates), *correlations, speed, round(seconds, 1))


def load_batches(run: Run, epoch: int, store: FeatureStore | None) -> Batches:
    """The batches of an epoch, of each the shard of this process."""
    o = run.options
    if store is not None:
        features = store.load_epoch(epoch, o)
        features.sampler.batches = [list(run.group.shard(batch)) for batch in features.sampler.batches]
        return features
    sampler = EpochSampler(len(run.dataset), o.batch_size, epoch, run.dataset.options.seed, o.crops_per_epoch)
    sampler.batches = [list(run.group.shard(batch)) for batch in sampler.batches]
    return load_epoch(run.dataset, sampler, o.workers)


def take_step(run: Run, state: State, batch: Batch) -> tuple[dict[str, float], dict[str, float]]:
    """One update of the weights and of their average; the losses by name, and the rates."""
    run.network.train()
    network = run.network if run.group.size == 1 else cast("QfmIqm", ShardedNetwork(run.network, run.group))
    with autocast(run.options.precision, run.network):
        losses, rates = state.objective(network, batch)
    state.optimizer.zero_grad(set_to_none=True)
    if not losses:  # a batch without labels, teacher predictions or chains teaches nothing
        return {}, rates
    torch.stack([loss.float() for loss in losses.values()]).sum().backward()  # type: ignore[no-untyped-call]
    run.group.sum_gradients(run.network)
    trained = [p for group in state.optimizer.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(trained, run.options.clip)
    state.optimizer.step()
    state.steps += 1
    decay = min(run.options.averaging, state.steps / (10 + state.steps))  # young averages follow quickly
    with torch.no_grad():
        ours, theirs = ([p.detach() for p in each.parameters()] for each in (state.averaged, run.network))
        torch._foreach_lerp_(ours, theirs, 1 - decay)
    return {name: float(loss.detach()) for name, loss in losses.items()}, rates


def average(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean by name over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: round(float(np.mean([row[name] for row in rows if name in row])), 6) for name in names}


@torch.no_grad()
def predict_crops(network: QfmIqm, crops: Tensor, device: torch.device) -> Tensor:
    """Crops [n, 3, h, w] -> label [n], on the CPU, in single precision."""
    network.eval()
    return network(crops.to(device).contiguous(memory_format=torch.channels_last)).cpu()  # type: ignore[no-any-return]


# ---- between epochs ----


def begin(run: Run, objective: Objective) -> State:
    """The state to go on from: that of the run folder's snapshot, or a new one where there is none."""
    state = State(copy.deepcopy(run.network), objective, build_optimizer(run.network, run.options, head_only=True))
    found = run.folder.read_snapshot()
    if found is None:
        return state
    run.network.load_state_dict(found.part("network"))
    state.averaged.load_state_dict(found.part("averaged"))
    objective.restore(found.part("objective"))
    state.optimizer = build_optimizer(run.network, run.options, head_only=found.epoch <= run.options.head_epochs)
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in found.part("optimizer").items():
        number, name = key.split(".")
        moments.setdefault(int(number), {})[name] = value
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    torch.set_rng_state(found.tensors["random"])
    state.epoch, state.steps = found.epoch, found.steps
    state.rows = [row for row in run.folder.read_stats() if row["epoch"] <= found.epoch]
    return state


def snapshot(run: Run, state: State, epoch: int) -> Snapshot:
    """Everything that the next epoch depends on."""
    tensors = {f"network.{k}": v for k, v in run.network.state_dict().items()}
    tensors |= {f"averaged.{k}": v for k, v in state.averaged.state_dict().items()}
    tensors |= {f"objective.{k}": v for k, v in state.objective.state().items()}
    for number, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{k}": v for k, v in moments.items()}
    tensors["random"] = torch.get_rng_state()
    return Snapshot(epoch, state.steps, tensors)
