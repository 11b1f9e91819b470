"""KernelRegression: what may judge in the panel's place. It remembers crops that people rated, and goes by how alike they are.

Kernel ridge regression (Saunders, Gammerman and Vovk, ICML 1998) with a Gaussian kernel, on statistics of a frozen backbone. It
is fitted in closed form, errs otherwise than a panel does, and so is worth most in a blend with some. Ours, not the paper's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

Grid = tuple[int, int]  # windows down and across


class KernelRegression(nn.Module):
    """Features of a crop -> its quality: a constant, and a weight for each remembered crop times how alike the two are.

    Of a crop it sees the means and deviations of all features, with windows near the middle, where photographers put what
    matters, weighing more. They are standardised by those of the remembered crops, and outliers are cut.
    """

    spread = 0.4  # of the weights of windows: a deviation, in half the height or width
    furthest = 5.0  # deviations from the mean

    def __init__(self, size: int, remembered: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))
        self.register_buffer("remembered", torch.zeros(remembered, size))
        self.register_buffer("weights", torch.zeros(remembered))
        self.register_buffer("reach", torch.ones(()))  # of the kernel exp(-distance^2 / reach)
        self.register_buffer("constant", torch.zeros(()))

    def forward(self, features: Tensor, grid: Grid | None = None) -> Tensor:
        """Features [b, 1 + N, f] of N windows -> quality [b]. grid: of the windows; None: as many down as across."""
        return self.recall(self.describe(features, grid))

    def describe(self, features: Tensor, grid: Grid | None = None) -> Tensor:
        """Features [b, 1 + N, f] -> statistics [b, f] of the whole crop, the middle weighing more."""
        side = round((features.shape[1] - 1) ** 0.5)
        rows, columns = grid or (side, side)
        down, across = (self.weigh(count, features) for count in (rows, columns))
        weights = (down[:, None] * across).flatten()[:, None]  # [N, 1]
        means, deviations = features[:, 1:].chunk(2, dim=2)  # each [b, N, f/2]
        mean = (weights * means).sum(1)  # [b, f/2]
        square = (weights * (means * means + deviations * deviations)).sum(1)
        return torch.cat([mean, (square - mean * mean).clamp_min(0).sqrt()], dim=1)

    def weigh(self, count: int, like: Tensor) -> Tensor:
        """The weights [count] of windows in a row, of sum 1."""
        places = (2 * torch.arange(count, dtype=like.dtype, device=like.device) + 1) / count - 1  # in -1..1
        weights = torch.exp(-(places**2) / (2 * self.spread**2))
        return weights / weights.sum()

    def standardise(self, statistics: Tensor) -> Tensor:
        """Statistics [n, f] in deviations from the mean of those remembered."""
        return ((statistics - self.get_buffer("mean")) / self.get_buffer("deviation")).clamp(-self.furthest, self.furthest)

    def recall(self, statistics: Tensor) -> Tensor:
        """Statistics [n, f] -> quality [n]."""
        distances = square_distances(self.standardise(statistics), self.get_buffer("remembered"))
        kernel = torch.exp(-distances / self.get_buffer("reach"))
        return self.get_buffer("constant") + kernel @ self.get_buffer("weights")

    @torch.no_grad()
    def remember(self, statistics: Tensor, quality: Tensor, ridge: float) -> None:
        """Learn that crops with statistics [n, f] have quality [n]. ridge: what is added to the kernel's diagonal; the larger,
        the less a single crop counts. The kernel reaches as far as the median distance. Crops are remembered in half precision,
        in which they are kept.
        """
        self.get_buffer("mean").copy_(statistics.mean(0))
        self.get_buffer("deviation").copy_(statistics.std(0).clamp_min(1e-6))
        known = self.standardise(statistics).half()
        distances = square_distances(known.double(), known.double())
        reach, constant = distances.flatten().median(), quality.mean()
        kernel = torch.exp(-distances / reach) + ridge * torch.eye(len(known), dtype=torch.float64)
        found = torch.linalg.solve(kernel, (quality - constant).double())
        for name, value in {"remembered": known, "reach": reach, "constant": constant, "weights": found}.items():
            self.get_buffer(name).copy_(value)


def square_distances(left: Tensor, right: Tensor) -> Tensor:
    """Between the rows of [n, f] and [m, f]: [n, m]."""
    squares = (left * left).sum(1)[:, None] + (right * right).sum(1)
    return (squares - 2 * left @ right.T).clamp_min(0)
