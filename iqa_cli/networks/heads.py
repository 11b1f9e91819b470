"""Perceptrons: several networks of one hidden layer that judge by means of features, each trained from other first weights.

Heavy dropout, few epochs and their mean keep them from learning a thousand photos by heart.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  its usual name

from iqa_cli.networks.regressions import MeansRegression
from iqa_cli.training.options import PerceptronOptions


class Perceptrons(MeansRegression):
    """Features of a crop -> its quality. The mean of several perceptrons is one whose hidden units are those of all."""

    middle, unit = 0.5, 0.1  # as in `AttentionPanel`

    def __init__(self, size: int, units: int) -> None:
        super().__init__(size)
        self.hidden = nn.Linear(size, units)
        self.out = nn.Linear(units, 1)

    def recall(self, statistics: Tensor) -> Tensor:
        """Statistics [n, s] -> quality [n]."""
        verdict: Tensor = self.out(F.gelu(self.hidden(self.standardise(statistics)))).squeeze(1)
        return self.middle + self.unit * verdict

    def learn(self, statistics: Tensor, quality: Tensor, counts: Tensor, options: PerceptronOptions, seed: int) -> None:
        """Train `options.count` perceptrons side by side: crops with statistics [n, s] have quality [n].

        counts: [n], how much each crop does.
        """
        self.measure_standards(statistics)
        known = self.standardise(statistics)
        chance = torch.Generator().manual_seed(seed)
        layers = draw_layers(options.count, len(self.out.weight[0]) // options.count, statistics.shape[1], chance)
        with torch.enable_grad():
            train_layers(layers, known, (quality - self.middle) / self.unit, counts, options, chance)
        into, bias, out, constant = (layer.detach() for layer in layers)
        with torch.no_grad():
            self.hidden.weight.copy_(into.transpose(1, 2).flatten(0, 1))
            self.hidden.bias.copy_(bias.flatten())
            self.out.weight.copy_(out.flatten()[None] / options.count)
            self.out.bias.copy_(constant.mean())


def draw_layers(count: int, units: int, size: int, chance: torch.Generator) -> list[Tensor]:
    """First weights: of the hidden layers [count, s, units] and [count, 1, units], of the outputs [count, units, 1] and
    [count, 1, 1].
    """

    def draw(inputs: int, *shape: int) -> Tensor:
        return ((2 * torch.rand(shape, generator=chance) - 1) / math.sqrt(inputs)).requires_grad_()

    return [draw(size, count, size, units), draw(size, count, 1, units), draw(units, count, units, 1), draw(units, count, 1, 1)]


def train_layers(
    layers: list[Tensor], known: Tensor, wanted: Tensor, counts: Tensor, options: PerceptronOptions, chance: torch.Generator
) -> None:
    """AdamW, each perceptron with batches and dropout of its own; the rates fall as a cosine."""
    into, bias, out, constant = layers
    decayed = [{"params": [into, out], "weight_decay": options.weight_decay}, {"params": [bias, constant], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(decayed, lr=options.rate)
    size = min(options.batch_size, len(known))
    steps = options.epochs * (len(known) // size)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    beta = options.beta / Perceptrons.unit
    for _ in range(options.epochs):
        orders = torch.stack([torch.randperm(len(known), generator=chance) for _ in range(options.count)])
        for start in range(0, len(known) - size + 1, size):
            batch = orders[:, start : start + size]  # [count, size]
            hidden = F.gelu(torch.baddbmm(bias, drop(known[batch], options.dropout, chance), into))
            said = torch.baddbmm(constant, drop(hidden, options.hidden_dropout, chance), out).squeeze(2)
            missed = F.smooth_l1_loss(said, wanted[batch], beta=beta, reduction="none") * counts[batch]
            optimizer.zero_grad()
            missed.mean(1).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            falling.step()


def drop(values: Tensor, share: float, chance: torch.Generator) -> Tensor:
    """Dropout with a generator of its own."""
    return values * (torch.rand(values.shape, generator=chance) >= share) / (1 - share)
