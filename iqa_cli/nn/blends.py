"""Blend: several networks as one, which answers with their weighted mean.

Networks on different backbones err differently, and so do networks that see a picture in different sizes: their mean errs
less than the best of them. A blend has one input, the crops of its first member; the others get the same pixels, normalised and
sized as they are used to. It is stored, exported and run as any other network, and is a good teacher for a smaller one. Members
on one backbone share it: what it measures is measured once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  its usual name

from iqa_cli.errors import WeightsError
from iqa_cli.nn.kernels import Grid
from iqa_cli.nn.network import NetworkConfig, QfmIqm, build_network


@dataclass(frozen=True)
class Member:
    """One network of a blend, as its card holds it.

    weight: of its answer; all are divided by their sum. size: the side in px of the squares it needs; 0: any shape will do.
    mean, std: of the pixel values in 0..1 that it is used to. trunk: the number of an earlier member whose backbone it shares.
    reduced: (448, 608): it looks at the picture reduced from 608 px to 448, in multiples of `Blend.multiple`; none: as it is.
    """

    network: NetworkConfig
    weight: float
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    trunk: int | None = None
    reduced: tuple[int, ...] = ()

    @property
    def own_size(self) -> int:
        """In px, of the views that it is used to; 0: the first member's."""
        return self.reduced[0] if self.reduced else self.size


class Blend(nn.Module):
    """Crops [b, 3, h, w], normalised as the first member's, -> quality [b]: the weighted mean of the members'.

    multiple: of which the height and width of views of whole pictures are multiples, as in `CropSpec`.
    """

    def __init__(self, members: Sequence[Member], multiple: int) -> None:
        super().__init__()
        self.multiple = multiple
        self.members = list(members)
        self.networks = nn.ModuleList(build_network(member.network) for member in members)
        for network, member in zip(self.networks, self.members, strict=True):
            if member.trunk is not None:
                share_backbone(cast("QfmIqm", network))
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
        seen = [(network, self.adapt(crops, number)) for number, network in self.list_trunks()]
        return self.judge([network.measure(own) for network, own in seen], [network.lay_out(own) for network, own in seen])

    def judge(self, features: Sequence[Tensor], grids: Sequence[Grid] = ()) -> Tensor:
        """What each backbone measured, [b, n, f] each, in the order of the members that own one -> quality [b].

        grids: of the windows of each; none: all of squares.
        """
        left, answers = iter(zip_longest(features, grids)), []
        measured: list[tuple[Tensor, Grid | None]] = []
        for member, share, network in zip(self.members, self.shares, self.networks, strict=True):
            measured.append(next(left) if member.trunk is None else measured[member.trunk])
            answers.append(share * cast("QfmIqm", network).judge(*measured[-1]))
        return torch.stack(answers).sum(0)

    def list_trunks(self) -> list[tuple[int, QfmIqm]]:
        """The networks that own a backbone, with their numbers."""
        own = enumerate(zip(self.members, self.networks, strict=True))
        return [(number, cast("QfmIqm", network)) for number, (member, network) in own if member.trunk is None]

    def adapt(self, crops: Tensor, number: int) -> Tensor:
        """The crops as a member is used to see them."""
        if number:
            crops = crops * self.get_buffer(f"scale{number}") + self.get_buffer(f"shift{number}")
        member = self.members[number]
        if member.reduced:
            own, first = member.reduced
            rows, columns = (reduce_side(side, own, first, self.multiple) for side in crops.shape[2:])
            return F.interpolate(
                crops, (rows, columns), mode="bicubic", align_corners=False, antialias=True
            )  # as crops are cut
        size = member.size
        return F.interpolate(crops, (size, size), mode="bilinear", align_corners=False) if size else crops


def reduce_side(side: int, own: int, first: int, multiple: int) -> int:
    """About own / first times a side in px, both of them multiples, and twice it at least, as views are: a window of tokens
    spans two cells. In whole numbers and without a condition, since it is exported.
    """
    return (2 + (side // multiple - 2) * own // first) * multiple


def share_backbone(network: QfmIqm) -> None:
    """Take its backbone away: an earlier member's measures for it."""
    network.encoder.backbone = nn.Identity()


def build_blend(members: Sequence[Mapping[str, Any]], multiple: int) -> Blend:
    """The blend that a card describes, with new weights. Raises WeightsError for a backbone that is unknown or not
    there to share, TypeError for a member that is none.
    """
    read = [read_member(member) for member in members]
    for number, trunk in enumerate(member.trunk for member in read):
        if trunk is not None and (trunk not in range(number) or read[trunk].trunk is not None):
            raise WeightsError(f"member {number} of the blend shares the backbone of member {trunk}, which has none to share")
    return Blend(read, multiple)


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
