"""Blend: an ensemble of networks as one network, whose output is their weighted mean.

Networks on different backbones err differently, and so do networks with inputs of different sizes: their mean errs less
than the best of them. A blend has one input, the crops of its first member; each other member gets the same pixels, normalized
and resized to its own input. It is stored, exported and run as any other network, and is a good teacher for a smaller one.
Members on one backbone share it, and those with the same input to it share its features.
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

    weight: of its output; all are divided by their sum. size: the side in px of the squares it needs; 0: any shape will do.
    mean, std: of the pixel values in 0..1 that its input is normalized by.
    shared_backbone: the number of an earlier member whose backbone it shares.
    reduced: (448, 608): its input is reduced from 608 px to 448, in multiples of `Blend.multiple`; none: as it is.
    """

    network: NetworkConfig
    weight: float
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    shared_backbone: int | None = None
    reduced: tuple[int, ...] = ()

    @property
    def input_size(self) -> int:
        """Of its crops, in px; 0: the first member's."""
        return self.reduced[0] if self.reduced else self.size

    @property
    def input_key(self) -> Member:
        """Key under which members on one backbone share one feature extraction."""
        return replace(self, network=self.network.feature_config, weight=0.0, shared_backbone=None)


class Blend(nn.Module):
    """Crops [b, 3, h, w], normalized as the first member's, -> label [b]: the weighted mean of the members'.

    multiple: of which the height and width of crops of whole images are multiples, as in `CropSpec`.
    """

    def __init__(self, members: Sequence[Member], multiple: int) -> None:
        super().__init__()
        self.multiple = multiple
        self.members = list(members)
        self.networks = nn.ModuleList(build_network(member.network) for member in members)
        for network, member in zip(self.networks, self.members, strict=True):
            if member.shared_backbone is not None:
                owner = cast("QfmIqm", self.networks[member.shared_backbone])
                cast("QfmIqm", network).encoder.share_backbone(owner.encoder.backbone)
        self.inputs = [find_input(self.members, number) for number in range(len(members))]
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
        return self.predict([network.extract(self.adapt(crops, number)) for number, network in self.unique_inputs()])

    def predict(self, features: Sequence[Tensor]) -> Tensor:
        """The features [b, n, f] of each unique input, in the order of `unique_inputs` -> label [b]."""
        extracted = dict(zip((number for number, _ in self.unique_inputs()), features, strict=True))
        members = zip(self.shares, self.networks, self.inputs, strict=True)
        return torch.stack([share * cast("QfmIqm", network).predict(extracted[own]) for share, network, own in members]).sum(0)

    def unique_inputs(self) -> list[tuple[int, QfmIqm]]:
        """The members that extract features of their own, by number; the others use those of one of these."""
        return [(number, cast("QfmIqm", self.networks[number])) for number in dict.fromkeys(self.inputs)]

    def adapt(self, crops: Tensor, number: int) -> Tensor:
        """The crops as a member's input."""
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
    """A side in px times about own / first: a multiple, and twice it at least, since a window of tokens spans two cells.

    In whole numbers and without a condition, since it is exported.
    """
    return (2 + (side // multiple - 2) * own // first) * multiple


def find_input(members: Sequence[Member], number: int) -> int:
    """The first member with the same backbone and the same input to it as this one."""
    owners = [n if member.shared_backbone is None else member.shared_backbone for n, member in enumerate(members)]
    key = members[number].input_key
    same = (n for n in range(number) if owners[n] == owners[number] and members[n].input_key == key)
    return next(same, number)


def build_blend(members: Sequence[Mapping[str, Any]], crops: CropSpec) -> Blend:
    """The blend that a card describes, with new weights.

    Raises WeightsError for a backbone that is unknown or not there to share and for a member whose center crop is larger than
    the crops, TypeError for a member that is none.
    """
    read = [read_member(member) for member in members]
    for number, owner in enumerate(member.shared_backbone for member in read):
        if owner is not None and (owner not in range(number) or read[owner].shared_backbone is not None):
            raise WeightsError(f"member {number} of the blend shares the backbone of member {owner}, which has none to share")
    for number, member in enumerate(read):
        if not fits_crops(member, crops):
            raise WeightsError(f"member {number} of the blend needs a larger center than its crops have")
    return Blend(read, crops.multiple)


def fits_crops(member: Member, crops: CropSpec) -> bool:
    """Whether such crops contain the member's center crop; crops that are centers alone suit members with one only."""
    if crops.center_crop:
        own = member.network.center_crop
        return member.network.fits(crops.center_crop) and own > 0 and not member.size and not member.reduced
    if member.size:
        return member.network.fits(member.size)
    own = member.input_size or crops.size
    return member.network.fits(reduce_side(crops.min_view_side, own, crops.size, crops.multiple))


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
