"""Local faults: photos that are sharp all over, spoilt in a part that a network must see to score them lower.

Faults are made in photos reduced as in `robustness`, but for the grain, which is made at full size, where it is finest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from iqa_cli.images.crops import Rgb
from iqa_cli.images.distortions import distort
from iqa_cli.images.masks import Mask, Shape, confine, select_frame, select_half, select_quarter

LEVEL = 4  # of the distortion, of 1 to 5
FRAME = 0.15  # of the sides: half of the area
GRAIN = "grain at full size"

KINDS = {"blocks": "jpeg", "noise": "white_noise", "blur": "gaussian_blur"}


@dataclass(frozen=True)
class LocalFault:
    """A distortion in some parts of a picture, each of which makes a picture of its own."""

    name: str
    distortion: str
    place: str

    def masks(self, shape: Shape) -> list[Mask]:
        """Its parts of a picture of that height and width."""
        if self.place == "frame":
            return [select_frame(shape, FRAME)]
        return [(select_quarter if self.place == "quarter" else select_half)(shape, number) for number in range(4)]


LOCAL_FAULTS = tuple(
    LocalFault(f"{kind} in {'the frame' if place == 'frame' else f'a {place}'}", distortion, place)
    for place, kinds in (("quarter", ("blocks", "noise")), ("frame", ("blocks", "noise", "blur")), ("half", ("blur",)))
    for kind, distortion in KINDS.items()
    if kind in kinds
)

PICTURES = [(fault.name, number) for fault in LOCAL_FAULTS for number in range(1 if fault.place == "frame" else 4)] + [
    (GRAIN, 0)
]
"""What a photo becomes: the name of a fault, and which of its parts has it."""


@dataclass(frozen=True, slots=True)
class Fall:
    """Fall of scores by a local fault. lower: the share of pictures with a lower score than the clean photo; median: points."""

    fault: str
    pictures: int
    lower: float
    median: float


def spoil(reduced: Rgb, rgb: Rgb, seed: list[int]) -> Iterator[Rgb]:
    """The pictures of PICTURES in order. reduced: of the photo in its own size, rgb."""
    for fault in LOCAL_FAULTS:
        changed = distort(reduced, fault.distortion, LEVEL, np.random.default_rng(seed))
        for mask in fault.masks((reduced.shape[0], reduced.shape[1])):
            yield confine(changed, reduced, mask)
    yield distort(rgb, "sensor_noise", LEVEL - 1, np.random.default_rng(seed))
