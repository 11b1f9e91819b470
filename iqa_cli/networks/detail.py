"""DetailNetwork: a small convolutional network from native patches to how soft, enlarged, shaken, noisy and coded they are."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn


class Separable(nn.Module):
    """A residual block of a depthwise and a pointwise convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features [n, c, h, w] -> the same shape."""
        changed: torch.Tensor = self.pointwise(torch.relu(self.norm(self.depthwise(features))))
        return features + changed


class DetailNetwork(nn.Module):
    """Patches [n, 1, h, w] in 0..255 -> [n, 2 x outputs]: the mean of each output, then the logarithm of its variance.

    widths: channels at a half, a quarter, ... of the size.
    """

    def __init__(self, outputs: int, widths: tuple[int, ...] = (24, 40, 64, 192)) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, widths[0], 5, stride=2, padding=2)
        steps: list[nn.Module] = []
        for depth, (narrow, wide) in enumerate(pairwise(widths)):
            steps += [nn.Conv2d(narrow, wide, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
            steps += [Separable(wide) for _ in range(depth)]
        self.body = nn.Sequential(*steps)
        self.head = nn.Sequential(nn.Linear(2 * widths[-1], 128), nn.ReLU(), nn.Linear(128, 2 * outputs))

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """As the class says. A patch is seen twice: as it is but for its mean, and at equal contrast."""
        centered = (patches - patches.mean(dim=(2, 3), keepdim=True)) / 64
        deviation = centered.square().mean(dim=(2, 3), keepdim=True).sqrt()
        seen = torch.cat([centered, centered / (deviation + 0.05)], dim=1)
        features = self.body(torch.relu(self.stem(seen)))
        pooled = torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)
        outputs: torch.Tensor = self.head(pooled)
        return outputs
