"""SpectrumNetwork: from the power spectrum of a photo's native patches to the factor by which its sides could be reduced."""

from __future__ import annotations

import math

import torch
from torch import nn

LOWEST = 3  # cycles a patch: what is coarser says nothing of the resolution
AXIS = 6  # cycles a patch along one side, up to which a wave runs along the other
FLOOR = 0.05  # power that is added before a logarithm is taken; white noise of SD s has s^2
HIDDEN, MEMBERS = 96, 4  # width of a perceptron, and how many are averaged
DROPPED, JITTER = 0.1, 0.1  # in training: share of the inputs without value, and SD of what is added to them


class PowerSpectrum(nn.Module):
    """Patches [n, 1, side, side] in 0..255 -> power [n, features] by frequency: on squares around zero, then along the sides.

    An enlargement leaves a square of frequencies, and weaker images of it outside. As products of matrices, which ONNX has.
    """

    cosine: torch.Tensor
    sine: torch.Tensor
    at: torch.Tensor
    upto: torch.Tensor
    below: torch.Tensor
    axis: torch.Tensor

    def __init__(self, side: int) -> None:
        super().__init__()
        places = torch.arange(side, dtype=torch.float64)
        window = torch.hann_window(side + 1, periodic=True, dtype=torch.float64)[1:]
        angles = 2 * math.pi * places[:, None] * places[None, :] / side
        taper = window / window.square().sum().sqrt()
        frequencies = torch.minimum(places, side - places)
        steps = torch.arange(LOWEST + 1, side // 2 + 1, dtype=torch.float64)[:, None]
        at, below = (frequencies == steps).double(), (frequencies < steps).double()
        cells = (at.sum(1) * (2 * below.sum(1) + at.sum(1)))[:, None]
        low = (frequencies <= AXIS).double()
        constants = {
            "cosine": taper[:, None] * angles.cos(),
            "sine": taper[:, None] * angles.sin(),
            "at": at / cells,
            "below": below,
            "upto": at + below,
            "axis": (low / low.sum())[None, :],
        }
        for name, values in constants.items():
            self.register_buffer(name, values.float())
        self.first, self.last = LOWEST + 1, side // 2 + 1
        self.features = 2 * len(steps)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """As the class says."""
        picture = (patches - patches.mean(dim=(2, 3), keepdim=True))[:, 0]
        real, imaginary = picture @ self.cosine, picture @ self.sine
        across, down = self.cosine.T, self.sine.T
        power = (across @ real - down @ imaginary).square() + (across @ imaginary + down @ real).square()
        turned = power.transpose(1, 2)
        squares = ((self.at @ power) * self.upto).sum(2) + ((self.at @ turned) * self.below).sum(2)
        along = ((self.axis @ power) + (self.axis @ turned))[:, 0, self.first : self.last] / 2
        return torch.cat([squares, along], dim=1)


class SpectrumNetwork(nn.Module):
    """Patches of one photo [n, 1, side, side] in 0..255 -> [1, 2]: log2 of its reduction, and the log of the variance of that.

    The mean of the powers counts, so patches that are out of focus hardly do.
    """

    center: torch.Tensor
    spread: torch.Tensor

    def __init__(self, side: int) -> None:
        super().__init__()
        self.power = PowerSpectrum(side)
        for name in ("center", "spread"):  # of the inputs, from the training
            self.register_buffer(name, torch.ones(self.power.features))
        self.members = nn.ModuleList(make_perceptron(self.power.features) for _ in range(MEMBERS))

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """As the class says."""
        return self.judge(self.power(patches).mean(dim=0, keepdim=True)).mean(dim=0)

    def judge(self, powers: torch.Tensor) -> torch.Tensor:
        """Mean powers of photos [b, features] -> [members, b, 2]."""
        inputs = ((powers + FLOOR).log2() - self.center) / self.spread
        if self.training:
            inputs = inputs + JITTER * torch.randn_like(inputs)
        return torch.stack([member(inputs) for member in self.members])


def make_perceptron(features: int) -> nn.Sequential:
    """One member."""
    return nn.Sequential(
        nn.Dropout(DROPPED),
        nn.Linear(features, HIDDEN),
        nn.GELU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.GELU(),
        nn.Linear(HIDDEN, 2),
    )
