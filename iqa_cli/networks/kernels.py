"""KernelRegression: what may judge in the panel's place. It remembers crops that people rated, and goes by how alike they are.

Kernel ridge regression (Saunders, Gammerman and Vovk, ICML 1998) with a Gaussian kernel, fitted in closed form. It errs
otherwise than a panel does, and so is worth most in a blend with some.
"""

from __future__ import annotations

import torch
from torch import Tensor

from iqa_cli.networks.regressions import MeansRegression


class KernelRegression(MeansRegression):
    """Features of a crop -> its quality: a constant, and a weight for each remembered crop times how alike the two are."""

    wide = 1.4  # of the kernel: exp(-distance^2 / reach), in median squared distances

    def __init__(self, size: int, remembered: int) -> None:
        super().__init__(size)
        self.register_buffer("remembered", torch.zeros(remembered, size))
        self.register_buffer("weights", torch.zeros(remembered))
        self.register_buffer("reach", torch.ones(()))
        self.register_buffer("constant", torch.zeros(()))

    def compare(self, statistics: Tensor) -> Tensor:
        """How alike crops with statistics [n, s] and the m remembered ones are: [n, m], 0 to 1."""
        distances = square_distances(self.standardise(statistics), self.get_buffer("remembered"))
        return torch.exp(-distances / self.get_buffer("reach"))

    def recall(self, statistics: Tensor) -> Tensor:
        """Statistics [n, s] -> quality [n]."""
        return self.get_buffer("constant") + self.compare(statistics) @ self.get_buffer("weights")

    @torch.no_grad()
    def remember(self, statistics: Tensor, quality: Tensor, ridge: Tensor) -> None:
        """Learn that crops with statistics [n, s] have quality [n], and remember the first m of them.

        ridge: [n], how little each counts: with m = n, what is added to the kernel's diagonal. Where there are more crops than
        are remembered, the weights of these fit all as well as they can (the subset of regressors, Smola and Schoelkopf, ICML
        2000). Crops are remembered in half precision, in which they are kept.
        """
        count = len(self.get_buffer("weights"))
        first = statistics[:count]
        self.measure_standards(first)
        known = self.standardise(first).half()
        self.get_buffer("remembered").copy_(known)
        self.get_buffer("reach").copy_(self.wide * square_distances(known.double(), known.double()).flatten().median())
        constant = (quality[:count] / ridge[:count]).sum() / (1 / ridge[:count]).sum()
        alike = self.compare(statistics).double()  # [n, m]
        pull = alike.T / ridge.double()  # [m, n]
        own = alike[:count] + 1e-6 * torch.eye(count, dtype=torch.float64)
        found = torch.linalg.solve(pull @ alike + own, pull @ (quality - constant).double())
        for name, value in {"constant": constant, "weights": found}.items():
            self.get_buffer(name).copy_(value)


def square_distances(left: Tensor, right: Tensor) -> Tensor:
    """Between the rows of [n, f] and [m, f]: [n, m]."""
    squares = (left * left).sum(1)[:, None] + (right * right).sum(1)
    return (squares - 2 * left @ right.T).clamp_min(0)
