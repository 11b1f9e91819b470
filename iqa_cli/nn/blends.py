"""Blend: several networks as one, which answers with their weighted mean.

Networks on different backbones err differently, so their mean errs less than the best of them. A blend has one input, the crops
of its first member; the others get the same pixels, normalised and sized as they are used to. It is stored, exported and run as
any other network, and is a good teacher for a smaller one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  its usual name

from iqa_cli.nn.network import NetworkConfig, build_network


@dataclass(frozen=True)
class Member:
    """One network of a blend, as its card holds it.

    weight: of its answer; all are divided by their sum. size: the side in px of the squares it needs; 0: any shape will do.
    mean, std: of the pixel values in 0..1 that it is used to.
    """

    network: NetworkConfig
    weight: float
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Blend(nn.Module):
    """Crops [b, 3, h, w], normalised as the first member's, -> quality [b]: the weighted mean of the members'."""

    def __init__(self, members: Sequence[Member]) -> None:
        super().__init__()
        self.sizes = [member.size for member in members]
        self.networks = nn.ModuleList(build_network(member.network) for member in members)
        total = sum(member.weight for member in members)
        self.shares = [member.weight / total for member in members]
        first = members[0]
        for number, member in enumerate(members):  # x = (pixel - mean) / std, from the first member's to this one's
            old_mean, old_std, mean, std = (
                torch.tensor(v).view(3, 1, 1) for v in (first.mean, first.std, member.mean, member.std)
            )
            self.register_buffer(f"scale{number}", old_std / std, persistent=False)
            self.register_buffer(f"shift{number}", (old_mean - mean) / std, persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        answers = [
            share * network(self.adapt(crops, number))
            for number, (share, network) in enumerate(zip(self.shares, self.networks, strict=True))
        ]
        return torch.stack(answers).sum(0)

    def adapt(self, crops: Tensor, number: int) -> Tensor:
        """The crops as a member is used to see them."""
        if number:
            crops = crops * self.get_buffer(f"scale{number}") + self.get_buffer(f"shift{number}")
        size = self.sizes[number]
        return F.interpolate(crops, (size, size), mode="bilinear", align_corners=False) if size else crops


def build_blend(members: Sequence[Mapping[str, Any]]) -> Blend:
    """The blend that a card describes, with new weights. Raises WeightsError for a backbone that is unknown, TypeError for a
    member that is none.
    """
    return Blend([Member(**{**member, "network": NetworkConfig(**member["network"])}) for member in members])
