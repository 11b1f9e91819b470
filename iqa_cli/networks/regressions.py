"""MeansRegression: what may judge in the panel's place, by the means of a frozen backbone's features over the whole crop.

It is fitted at once to statistics that were measured once, see `training.fit_heads`. Where there are a thousand rated photos,
means alone are worth more than tokens and deviations, to which more can be fitted by chance. Ours, not the paper's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class MeansRegression(nn.Module, ABC):
    """Features of a crop -> its quality, by the means of all features. These are standardised by those that were learnt from,
    and outliers are cut.
    """

    furthest = 5.0  # deviations from the mean

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    def forward(self, features: Tensor) -> Tensor:
        """Features [b, 1 + N, f] -> quality [b]."""
        return self.recall(self.describe(features))

    @abstractmethod
    def recall(self, statistics: Tensor) -> Tensor:
        """Statistics [n, s] -> quality [n]."""

    def describe(self, features: Tensor) -> Tensor:
        """Features [b, 1 + N, f] -> statistics [b, f / 2] of the whole crop: the means, without the deviations."""
        return features[:, 0, : features.shape[2] // 2]

    def standardise(self, statistics: Tensor) -> Tensor:
        """Statistics [n, s] in deviations from the mean of those that were learnt from."""
        return ((statistics - self.get_buffer("mean")) / self.get_buffer("deviation")).clamp(-self.furthest, self.furthest)

    def measure_standards(self, statistics: Tensor) -> None:
        """Take the mean and the deviation of these [n, s] to standardise by."""
        self.get_buffer("mean").copy_(statistics.mean(0))
        self.get_buffer("deviation").copy_(statistics.std(0).clamp_min(1e-6))
