"""Fit the network to native patches of known damage: one loop, a gaussian likelihood a output."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from iqa_cli.detail.outputs import LOG_VARIANCE, OFFSETS
from iqa_cli.errors import UsageError
from iqa_cli.networks.detail import DetailNetwork
from iqa_cli.training.detail.options import DetailTraining
from iqa_cli.training.detail.samples import SAMPLE

WINDOW = 104  # px of a patch that a step sees, at a random place
REPORT = 100  # steps between reports
WEIGHTS = {"reduction": 2.0, "scale": 1.5, "shake": 0.5, "compression": 0.5}  # of outputs in the loss; 1 for others


@dataclass(frozen=True)
class Stepped:
    """How far a training is. loss: mean over the last steps."""

    step: int
    loss: float


@dataclass(frozen=True)
class Fitted:
    """A training is done. errors: of each output on photos held out, RMS of its logarithm to base 2."""

    step: int
    errors: dict[str, float]


def open_samples(file: Path) -> np.memmap[tuple[int], np.dtype[np.void]]:
    """The samples of a file as `samples.write_samples` writes them. Raises ValueError for another kind of file, OSError."""
    if file.exists() and not file.is_file():  # reading a pipe may never end
        raise ValueError("no regular file")
    try:
        samples: Any = np.lib.format.open_memmap(file, "r")  # nothing but this format; np.load also takes what can run code
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError("no file of patches, or one that was cut off") from error
    if samples.dtype != SAMPLE or samples.ndim != 1:
        raise ValueError("no patches of this version")
    return samples  # type: ignore[no-any-return]


def split_samples(photos: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Places of the samples to learn from, and of those of every so many-th photo, to measure on; one photo has none."""
    every = max(2, min(round(1 / share), int(photos.max()) + 1)) if share else 0
    held = photos % every == every - 1 if every else np.zeros(len(photos), bool)
    return np.flatnonzero(~held), np.flatnonzero(held)


def fit(network: DetailNetwork, file: Path, options: DetailTraining) -> Iterator[Stepped | Fitted]:
    """Train the network in place. Raises UsageError where its loss is no number any more."""
    samples = open_samples(file)
    learnt, held = split_samples(np.asarray(samples["photo"]), options.validation)
    rng = np.random.default_rng(options.seed)
    optimizer = torch.optim.AdamW(network.parameters(), options.rate, weight_decay=options.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: find_rate(step, options.steps))
    total, order = 0.0, np.empty(0, np.int64)
    network.to(memory_format=torch.channels_last)  # twice as fast on a CPU
    network.train()
    for step in range(1, options.steps + 1):
        if len(order) < options.batch_size:
            order = np.concatenate([order, rng.permutation(learnt)])
        batch, order = order[: options.batch_size], order[options.batch_size :]
        chosen = samples[np.sort(batch)]
        loss = measure_loss(network(augment(chosen["patch"], rng)), torch.from_numpy(np.array(chosen["truth"])))
        if not loss.isfinite():
            raise UsageError(f"training diverged in step {step}, whose loss is {float(loss.detach())}: train with a lower rate")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimizer.step()
        schedule.step()
        total += float(loss.detach())
        if step % REPORT == 0 or step == options.steps:
            yield Stepped(step, total / ((step - 1) % REPORT + 1))
            total = 0.0
    network.eval()
    if len(held):
        yield Fitted(options.steps, measure_errors(network, samples, held))


def find_rate(step: int, steps: int) -> float:
    """The share of the rate at a step: a tenth of the steps upwards, then along a cosine to nearly nothing."""
    begin = max(1, steps // 10)
    return (step + 1) / begin if step < begin else 0.005 + 0.4975 * (1 + cos(pi * (step - begin) / max(1, steps - begin)))


def augment(patches: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Patches uint8 [n, SIDE, SIDE] -> [n, 1, WINDOW, WINDOW], from one random place, mirrored or turned."""
    top, left = rng.integers(patches.shape[1] - WINDOW + 1, size=2)
    seen = patches[:, top : top + WINDOW, left : left + WINDOW]
    seen = np.rot90(seen, int(rng.integers(4)), (1, 2))[:, :, :: rng.choice([-1, 1])]
    shown = torch.from_numpy(np.ascontiguousarray(seen[:, None]).astype(np.float32))
    return shown.contiguous(memory_format=torch.channels_last)


def measure_loss(outputs: torch.Tensor, truths: torch.Tensor) -> torch.Tensor:
    """The negative log-likelihood of the truths, less a constant: the mean over a batch of the weighted mean over outputs."""
    means, logs = outputs.chunk(2, dim=1)
    logs = logs.clamp(*LOG_VARIANCE)
    weights = torch.tensor([WEIGHTS.get(name, 1.0) for name in OFFSETS])
    losses = ((truths - means).square() * (-logs).exp() + logs) / 2
    return (losses * (weights / weights.sum())).sum(dim=1).mean()


@torch.no_grad()
def measure_errors(network: DetailNetwork, samples: np.ndarray, held: np.ndarray) -> dict[str, float]:
    """Of each output the RMS error in its logarithm."""
    squares = []
    for batch in np.array_split(held, max(1, len(held) // 64)):
        chosen = samples[batch]
        means = network(torch.from_numpy(chosen["patch"][:, None].astype(np.float32))).chunk(2, dim=1)[0].numpy()
        squares.append(np.square(means - chosen["truth"]))
    errors = np.sqrt(np.concatenate(squares).mean(axis=0))
    return dict(zip(OFFSETS, map(float, errors), strict=True))
