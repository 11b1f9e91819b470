"""Blend: several networks as one, which answers with their weighted mean.

Networks on different backbones err differently, and so do networks that see a picture in different sizes: their mean errs
less than the best of them. A blend has one input, the crops of its first member; the others get the same pixels, normalised and
sized as they are used to. It is stored, exported and run as any other network, and is a good teacher for a smaller one. Members
on one backbone share it, and those that see the same with it measure it once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  its usual name

from iqa_cli.errors import WeightsError
from iqa_cli.images.crops import CropSpec
from iqa_cli.networks.network import NetworkConfig, QfmIqm, build_network


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

    @property
    def look(self) -> Member:
        """What its features depend on, but for whose backbone it is."""
        return replace(self, network=self.network.trunk, weight=0.0, trunk=None)


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
                owner = cast("QfmIqm", self.networks[member.trunk])
                cast("QfmIqm", network).encoder.borrow(owner.encoder.backbone)
        self.looks = [find_look(self.members, number) for number in range(len(members))]
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
        return self.judge([network.measure(self.adapt(crops, number)) for number, network in self.list_looks()])

    def judge(self, features: Sequence[Tensor]) -> Tensor:
        """What was measured in each look, [b, n, f] each, in the order of `list_looks` -> quality [b]."""
        measured = dict(zip((number for number, _ in self.list_looks()), features, strict=True))
        judged = zip(self.shares, self.networks, self.looks, strict=True)
        return torch.stack([share * cast("QfmIqm", network).judge(measured[look]) for share, network, look in judged]).sum(0)

    def list_looks(self) -> list[tuple[int, QfmIqm]]:
        """The networks that look for themselves, with their numbers; the others go by what one of these measured."""
        return [(number, cast("QfmIqm", self.networks[number])) for number in dict.fromkeys(self.looks)]

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


def find_look(members: Sequence[Member], number: int) -> int:
    """The first member that sees with the same backbone what this one sees."""
    owners = [place if member.trunk is None else member.trunk for place, member in enumerate(members)]
    same = (place for place in range(number) if owners[place] == owners[number] and members[place].look == members[number].look)
    return next(same, number)


def build_blend(members: Sequence[Mapping[str, Any]], crops: CropSpec) -> Blend:
    """The blend that a card describes, with new weights. Raises WeightsError for a backbone that is unknown or not
    there to share and for a member that looks where crops have nothing, TypeError for a member that is none.
    """
    read = [read_member(member) for member in members]
    for number, trunk in enumerate(member.trunk for member in read):
        if trunk is not None and (trunk not in range(number) or read[trunk].trunk is not None):
            raise WeightsError(f"member {number} of the blend shares the backbone of member {trunk}, which has none to share")
    for number, member in enumerate(read):
        if not sees(member, crops):
            raise WeightsError(f"member {number} of the blend looks at more than its crops show")
    return Blend(read, crops.multiple)


def sees(member: Member, crops: CropSpec) -> bool:
    """Whether such crops have the middle that a member looks at, and only members that look at one see middles alone."""
    if crops.middle:
        return member.network.fits(crops.middle) and member.network.middle > 0 and not member.size and not member.reduced
    if member.size:
        return member.network.fits(member.size)
    own = member.own_size or crops.size
    return member.network.fits(reduce_side(crops.narrowest, own, crops.size, crops.multiple))


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
