"""Fit the network that judges a whole photo by the spectrum of its patches."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

import numpy as np
import torch

from iqa_cli.detail.native import FOCUSED, RANDOM
from iqa_cli.detail.outputs import LOG_VARIANCE
from iqa_cli.errors import DataError
from iqa_cli.networks.spectrum import FLOOR, PowerSpectrum, SpectrumNetwork
from iqa_cli.training.detail.fit import Stepped
from iqa_cli.training.detail.views import View

REPORT = 1_000  # steps between reports
BATCH, RATE, WEIGHT_DECAY = 128, 3e-3, 1e-2
PASSES = 200  # how often a view is seen
KEPT = 0.75  # share of a view's patches that a step sees
PATCHES = FOCUSED + RANDOM  # of a view at most


class Spectra:
    """Spectra of views whose damage is known, room for so many; `power` measures them.

    powers: [views, PATCHES, features], zero where a view has fewer patches. there: which it has, 0 or 1. reductions: log2.
    photos: of which photo each view is. Raises DataError where there is no memory for so many.
    """

    def __init__(self, room: int, power: PowerSpectrum) -> None:
        self.power, self.count = power, 0
        try:
            self.powers, self.there = torch.zeros(room, PATCHES, power.features), torch.zeros(room, PATCHES)
            self.reductions, self.photos = torch.zeros(room), np.zeros(room, np.int64)
        except (RuntimeError, MemoryError) as error:  # as PyTorch and NumPy say it
            raise DataError(f"there is no memory for the spectra of {room:,} views: draw fewer") from error

    @torch.no_grad()
    def add(self, view: View) -> None:
        """Measure one more."""
        row, patches = self.count, len(view.patches)
        self.powers[row, :patches] = self.power(torch.from_numpy(view.patches[:, None].astype(np.float32)))
        self.there[row, :patches] = 1.0
        self.reductions[row], self.photos[row] = view.reduction, view.photo
        self.count += 1

    def take(self, places: np.ndarray) -> Spectra:
        """Some of them."""
        taken, rows = Spectra(0, self.power), torch.from_numpy(places)
        taken.powers, taken.there, taken.reductions = self.powers[rows], self.there[rows], self.reductions[rows]
        taken.photos, taken.count = self.photos[places], len(places)
        return taken


def fit_spectrum(network: SpectrumNetwork, spectra: Spectra, seed: int) -> Iterator[Stepped]:
    """Train the network in place."""
    inputs = (average_patches(spectra.powers, spectra.there) + FLOOR).log2()
    network.center.copy_(inputs.mean(dim=0))
    network.spread.copy_(inputs.std(dim=0, correction=0) + 1e-3)
    steps, total = ceil(PASSES * spectra.count / BATCH), 0.0
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps + 1)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network.train()
        for step in range(1, steps + 1):
            chosen = torch.randint(spectra.count, (BATCH,))
            there = spectra.there[chosen] * (torch.rand(BATCH, PATCHES) < KEPT)
            there[there.sum(dim=1) == 0, 0] = 1.0
            outputs = network.judge(average_patches(spectra.powers[chosen], there))
            loss = measure_loss(outputs, spectra.reductions[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
            if step % REPORT == 0 or step == steps:
                yield Stepped(step, total / ((step - 1) % REPORT + 1))
                total = 0.0
        network.eval()


def average_patches(powers: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """Mean powers [views, features] of the patches that are there."""
    return (powers * there[..., None]).sum(dim=1) / there.sum(dim=1, keepdim=True)


def measure_loss(outputs: torch.Tensor, reductions: torch.Tensor) -> torch.Tensor:
    """The negative log-likelihood of the reductions, less a constant. outputs: [members, views, 2]."""
    means, logs = outputs.unbind(dim=-1)
    logs = logs.clamp(*LOG_VARIANCE)
    return (((means - reductions).square() * (-logs).exp() + logs) / 2).mean()


@torch.no_grad()
def measure_error(network: SpectrumNetwork, spectra: Spectra) -> float:
    """RMS error of the logarithm to base 2."""
    means = network.judge(average_patches(spectra.powers, spectra.there))[..., 0].mean(dim=0)
    return float((means - spectra.reductions).square().mean().sqrt())
