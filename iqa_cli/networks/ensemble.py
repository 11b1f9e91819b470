"""Blend: an ensemble of networks as one network, whose output is their weighted mean.

Networks on different backbones err differently, and so do networks with inputs of different sizes: their mean errs less
than the best of them. A blend has one input, the crops of its first member; each other member gets the same pixels, normalized
and resized to its own input. It is stored, exported and run as any other network, and is a good teacher for a smaller one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  its usual name

from iqa_cli.errors import WeightsError
from iqa_cli.networks.network import NetworkConfig, QfmIqm, build_network


@dataclass(frozen=True)
class Member:
    """One network of a blend, as its card holds it.

    weight: of its output; all are divided by their sum. size: the side in px of the squares it needs; 0: any shape will do.
    mean, std: of the pixel values in 0..1 that its input is normalized by.
    reduced: (448, 608): its input is reduced from 608 px to 448, in multiples of `Blend.multiple`; none: as it is.
    """

    network: NetworkConfig
    weight: float
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    reduced: tuple[int, ...] = ()


class Blend(nn.Module):
    """Crops [b, 3, h, w], normalized as the first member's, -> label [b]: the weighted mean of the members'.

    multiple: of which the height and width of crops of whole images are multiples, as in `CropSpec`.
    """

    def __init__(self, members: Sequence[Member], multiple: int) -> None:
        super().__init__()
        self.multiple = multiple
        self.members = list(members)
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
        return self.predict([network.extract(self.adapt(crops, number)) for number, network in enumerate(self.list_networks())])

    def predict(self, features: Sequence[Tensor]) -> Tensor:
        """The features [b, n, f] of each member -> label [b]."""
        members = zip(self.shares, self.list_networks(), features, strict=True)
        return torch.stack([share * network.predict(own) for share, network, own in members]).sum(0)

    def list_networks(self) -> list[QfmIqm]:
        """The members' networks, in order."""
        return [cast("QfmIqm", network) for network in self.networks]

    def adapt(self, crops: Tensor, number: int) -> Tensor:
        """The crops as a member's input."""
        if number:
            crops = crops * self.get_buffer(f"scale{number}") + self.get_buffer(f"shift{number}")
        member = self.members[number]
        rows, columns = (self.own_side(number, side) for side in crops.shape[2:])
        if member.reduced:
            return F.interpolate(
                crops, (rows, columns), mode="bicubic", align_corners=False, antialias=True
            )  # as crops are cut
        return F.interpolate(crops, (rows, columns), mode="bilinear", align_corners=False) if member.size else crops

    def own_side(self, number: int, side: int) -> int:
        """A side in px of a member's input, where the first member's has this one."""
        member = self.members[number]
        if not member.reduced:
            return member.size or side
        own, first = member.reduced
        return reduce_side(side, own, first, self.multiple)


def reduce_side(side: int, own: int, first: int, multiple: int) -> int:
    """A side in px times about own / first: a multiple, and twice it at least, since a window of tokens spans two cells.

    In whole numbers and without a condition, since it is exported.
    """
    return (2 + (side // multiple - 2) * own // first) * multiple


def build_blend(members: Sequence[Mapping[str, Any]], multiple: int) -> Blend:
    """The blend that a card describes, with new weights. Raises WeightsError, or TypeError for a member that is none."""
    return Blend([read_member(member) for member in members], multiple)


def read_member(data: Mapping[str, Any]) -> Member:
    """A member as its card holds it. Raises TypeError for one that is none, WeightsError for sizes that are none.

    To less than a quarter nothing is reduced: `reduce_side` would be far off.
    """
    member = Member(**{**data, "network": NetworkConfig(**data["network"]), "reduced": tuple(data.get("reduced", ()))})
    sizes = member.reduced
    if sizes and (
        len(sizes) != 2 or not all(type(size) is int for size in sizes) or not 0 < sizes[0] <= sizes[1] <= 4 * sizes[0]
    ):
        raise WeightsError(
            f"a member of the blend is reduced to a quarter at least: to one size from another, not {list(sizes)}"
        )
    return member
