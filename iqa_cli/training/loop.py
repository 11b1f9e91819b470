"""fit: the only training loop. Objectives say what is trained for, datasets on what, options how; a run folder keeps it all.

A run has two phases. While the backbone is frozen its features are extracted once, and the head is trained on them, which costs
next to nothing; then the network is fine-tuned whole (or from some layer on) on fresh crops.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import asdict, dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch

from iqa_cli.errors import UsageError
from iqa_cli.networks.encoders import StageEncoder
from iqa_cli.networks.network import QfmIqm
from iqa_cli.qfm_iqm.batch import Batch
from iqa_cli.qfm_iqm.objective import Objective
from iqa_cli.training.data.batches import draw_epoch, load_epoch, watch_loaders
from iqa_cli.training.data.feature_cache import FeatureStore
from iqa_cli.training.data.sides import MIN_VALIDATION
from iqa_cli.training.distributed import ShardedNetwork
from iqa_cli.training.events import HEAD_TRAINING, EpochDone, FeaturesExtracted, Noted, PhaseStopped, StepDone
from iqa_cli.training.optim import autocast, set_rates
from iqa_cli.training.options import LoopOptions
from iqa_cli.training.state import Run, State, begin, choose_optimizer, snapshot

STANDARD = 1000  # images on which features are standardized: enough for a mean and a deviation


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
            return cls(HEAD_TRAINING, 0, options.head_epochs, head_only=True)
        return cls("fine-tuning", options.head_epochs, options.epochs, head_only=False)


class Batches(Sized, Iterable[Batch], Protocol):
    """The batches of an epoch."""


def fit(run: Run, objective: Objective) -> Iterator[Noted | FeaturesExtracted | StepDone | EpochDone | PhaseStopped]:
    """Train, yielding each step and epoch; the best and the last weights and the state to resume from lie in the run folder.

    Goes on where the run folder's state ends. A caller that stops iterating loses no more than the current epoch.
    Raises DataError for images that cannot be decoded, UsageError for fewer images a batch than processes, and where training
    diverges.
    """
    prepare(run)
    yield from note_idle(run, objective)
    objective.to(run.device)
    state = begin(run, objective)
    store: FeatureStore | None = None
    for epoch in range(state.epoch, run.options.head_epochs + run.options.epochs):
        phase = Phase.of(epoch, run.options)
        if epoch == run.options.head_epochs:
            state.optimizer = choose_optimizer(run, objective, head_only=False)
        if find_stall(state.rows, phase.name, run.options.patience) is not None:
            continue
        standardizes = epoch == 0 and not run.is_started and isinstance(run.network.encoder, StageEncoder)
        if standardizes or (phase.head_only and store is None):
            store = yield from extract_features(run)
        if standardizes and store is not None:
            fit_standards(run, state, store)
        if not phase.head_only:
            drop_features(run)
        stats = yield from train_epoch(run, state, epoch, store)
        state.rows.append(asdict(stats))
        run.folder.keep_epoch(stats, state.averaged, snapshot(run, state, epoch + 1))
        yield stats
        best = find_stall(state.rows, phase.name, run.options.patience)
        if best is not None:
            yield PhaseStopped(epoch + 1, phase.name, best)
    drop_features(run)


def prepare(run: Run) -> None:
    """Settle threads, seed and device. Raises UsageError for fewer images a batch than processes."""
    smallest = min(run.options.batch_size, len(run.dataset))
    if smallest < run.group.size:
        raise UsageError(f"{run.group.size} processes cannot share batches of {smallest} images")
    if run.options.threads:
        torch.set_num_threads(run.options.threads)
    torch.manual_seed(run.dataset.options.seed)
    run.network.drop_out(run.options.feature_dropout, run.options.hidden_dropout)
    run.network.to(run.device).to(memory_format=torch.channels_last)


def note_idle(run: Run, objective: Objective) -> Iterator[Noted]:
    """What of the options will do nothing on so few images, or on such labels."""
    o = run.options
    if len(run.validation) >= MIN_VALIDATION and not run.validated:
        yield Noted("no set has enough different labels to validate on, so the last epoch is kept")
    labeled = [image.is_labeled for image in run.dataset.images]
    shown = [sum(labeled[index] for batch in draw_epoch(run.dataset, o, 0, crops) for _, index in batch) for crops in (1, None)]
    versions = 1 + bool(run.dataset.options.harmless)
    idle = objective.describe_idle(versions * (o.head_epochs * shown[0] + o.epochs * shown[1]))
    if idle:
        yield Noted(idle)


def find_stall(rows: Sequence[Mapping[str, Any]], phase: str, patience: int) -> int | None:
    """The best epoch of a phase where it is long enough ago that the phase is to end; None where it goes on."""
    known = [row for row in rows if row["phase"] == phase]
    if not patience or not known or any(row["srcc"] is None for row in known):
        return None
    figures = [-2.0 if math.isnan(row["srcc"]) else float(row["srcc"]) for row in known]
    best = int(np.argmax(figures))
    return int(known[best]["epoch"]) if len(known) - 1 - best >= patience else None


# ---- features ----


def drop_features(run: Run) -> None:
    """Delete those that no other training has a use for."""
    if run.features is None:
        run.folder.drop_features()


def extract_features(run: Run) -> Generator[FeaturesExtracted, None, FeatureStore]:
    """The features of each view by the frozen backbone, extracted once, by each process for its shard of the images."""
    store = FeatureStore(run.features or run.folder.features, run.network, run.dataset, run.options)
    own = run.group.shard(range(len(run.dataset)))
    for view in range(store.views if run.options.head_epochs else 1):  # one will do for the standards
        yield from store.fill(run.network, view, own)
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
    with watch_loaders():
        for step, own in enumerate(batches):
            batch = run.group.gather_batch(own.to(run.device))
            set_rates(state.optimizer, step + steps * (epoch - phase.first), steps * phase.epochs, run.options.schedule)
            outcome = take_step(run, state, batch, epoch)
            losses.append(outcome[0])
            rates.append(outcome[1])
            images += len(batch)
            yield StepDone(epoch, step + 1, steps, sum(outcome[0].values()))
    seconds = time.perf_counter() - began
    check_weights(run, state, epoch)
    correlations = run.validate(state.averaged)
    epochs = run.options.head_epochs + run.options.epochs
    speed = round(images / seconds, 2)
    return EpochDone(epoch + 1, epochs, phase.name, average(losses), average(rates), *correlations, speed, round(seconds, 1))


def load_batches(run: Run, epoch: int, store: FeatureStore | None) -> Batches:
    """The batches of an epoch, of each the shard of this process."""
    o = run.options
    if store is not None:
        features = store.load_epoch(epoch)
        features.sampler.batches = [list(run.group.shard(batch)) for batch in features.sampler.batches]
        return features
    sampler = draw_epoch(run.dataset, o, epoch)
    sampler.batches = [list(run.group.shard(batch)) for batch in sampler.batches]
    return load_epoch(run.dataset, sampler, o.workers)


def take_step(run: Run, state: State, batch: Batch, epoch: int) -> tuple[dict[str, float], dict[str, float]]:
    """One update of the weights and of their average; the losses by name, and the rates. Raises UsageError as it diverges."""
    run.network.train()
    network = run.network if run.group.size == 1 else cast("QfmIqm", ShardedNetwork(run.network, run.group))
    with autocast(run.options.precision, run.network):
        losses, rates = state.objective(network, batch)
    state.optimizer.zero_grad(set_to_none=True)
    if not losses:  # a batch without labels, teacher predictions or chains teaches nothing
        return {}, rates
    total = torch.stack([loss.float() for loss in losses.values()]).sum()
    if not total.isfinite():
        raise diverge(run, state, epoch, f"whose loss is {float(total.detach())}")
    total.backward()  # type: ignore[no-untyped-call]
    run.group.sum_gradients(run.network, state.objective.parameters())
    trained = [p for group in state.optimizer.param_groups for p in group["params"]]
    norm = torch.nn.utils.clip_grad_norm_(trained, run.options.clip)
    if not norm.isfinite():
        raise diverge(run, state, epoch, f"whose gradient has the norm {float(norm)}")
    state.optimizer.step()
    state.steps += 1
    decay = min(run.options.averaging, state.steps / (10 + state.steps))  # young averages follow quickly
    with torch.no_grad():
        ours, theirs = ([p.detach() for p in each.parameters()] for each in (state.averaged, run.network))
        torch._foreach_lerp_(ours, theirs, 1 - decay)
    return {name: float(loss.detach()) for name, loss in losses.items()}, rates


def check_weights(run: Run, state: State, epoch: int) -> None:
    """Raises UsageError where the steps of an epoch leave weights that are not finite, or that predict no number.

    No loss tells of the last step: without this, such weights would be kept.
    """
    kept = (run.network, state.averaged)
    weights = [*state.objective.parameters(), *(parameter for each in kept for parameter in each.parameters())]
    if not all(bool(each.isfinite().all()) for each in weights):
        raise diverge(run, state, epoch, "whose last weights are not finite")
    one = run.validation[:1] or run.dataset.images[:1]
    if not all(np.isfinite(run.predict_anything(each, one, run.dataset.pixels)).all() for each in kept):
        raise diverge(run, state, epoch, "whose last weights predict no number")


def diverge(run: Run, state: State, epoch: int, sign: str) -> UsageError:
    """The error of a training whose weights are lost. sign: by what of the epoch, numbered from 0, it is seen."""
    kept = "the weights of the epoch before it are kept there; " if state.rows else ""
    return UsageError(f"{run.folder.path}: training diverged in epoch {epoch + 1}, {sign}; {kept}train anew with lower rates")


def average(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean by name over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: round(float(np.mean([row[name] for row in rows if name in row])), 6) for name in names}
