"""Which patches of a photo are looked at in native pixels: the likeliest in focus, spread out, and some at fixed places.

They are chosen on a reduced picture, so that a slight blur at full size moves none of them, and neither does a brighter one.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from iqa_cli.detail.native import FOCUSED, RANDOM, SIDE, Luma, Place
from iqa_cli.images.crops import Region, Rgb

Floats = npt.NDArray[np.float32]

LONGEST = 800  # px that the longer side of the reduced picture has at most
APART = 0.12  # of the longer side: as far apart are the centers of patches, where there is room for it
FINE, COARSE = 1.0, 13  # px: sigma of what is not fine, and side of a mean of what is not even coarse, of the reduced picture


def to_luma(rgb: Rgb) -> Luma:
    """The luma of a picture, uint8 [H, W, 3] -> [H, W], by Rec. 601 as in JPEGs."""
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def read_luma(region: Region) -> Luma:
    """The luma of a region, uint8 [h, w]."""
    pixels = np.asarray(region.picture)
    return pixels if pixels.ndim == 2 else to_luma(pixels)


def reduce_luma(region: Region) -> Luma:
    """The reduced picture that patches are chosen on, uint8 [h, w]; all there is where that is no larger."""
    factor = -(-max(region.picture.size) // LONGEST)
    picture = region.picture.reduce(factor) if factor > 1 else region.picture
    return np.asarray(picture.convert("L"))


def choose_places(reduced: Luma, height: int, width: int) -> list[Place]:
    """The patches of a photo of height x width px, shown reduced: those in focus first, then those at random places.

    A photo that is smaller than that many patches has fewer, at least one.
    """
    count = max(1, min(FOCUSED, (height * width) // (2 * SIDE * SIDE)))
    focused = find_peaks(map_energy(reduced, height), count, height, width)
    generator = np.random.default_rng((height, width))
    room = max(0, width - SIDE), max(0, height - SIDE)
    drawn = [(int(generator.integers(room[0] + 1)), int(generator.integers(room[1] + 1))) for _ in range(RANDOM)]
    return focused + (drawn if count == FOCUSED else [])


def map_energy(reduced: Luma, height: int) -> Floats:
    """How likely something in focus is in a patch around each pixel of the reduced picture: fine structure, beside coarse."""
    picture = reduced.astype(np.float32)
    fine = picture - cv2.GaussianBlur(picture, (0, 0), FINE)
    coarse = picture - cv2.blur(picture, (COARSE, COARSE))
    side = max(3, round(SIDE * len(reduced) / height) | 1)
    means = [cv2.blur(band * band, (side, side), borderType=cv2.BORDER_REFLECT) for band in (fine, coarse)]
    return np.asarray(means[0] / np.sqrt(means[1] + 4.0), np.float32)


def find_peaks(energy: Floats, count: int, height: int, width: int) -> list[Place]:
    """The places of the highest energy, one after the other, each away from those before; at the border without room for it."""
    energy = energy.copy()
    rows, columns = energy.shape
    down, across = height / rows, width / columns
    apart = max(SIDE, round(APART * max(height, width)))
    margin_y, margin_x = (min(int(SIDE / 2 / step), (side - 1) // 2) for step, side in ((down, rows), (across, columns)))
    inside = np.zeros(energy.shape, bool)
    inside[margin_y : rows - margin_y, margin_x : columns - margin_x] = True
    energy[~inside] = -1.0  # at the border, where a patch would not lie whole
    places: list[Place] = []
    for _ in range(count):
        row, column = np.unravel_index(int(energy.argmax()), energy.shape)
        y, x = (float(row) + 0.5) * down, (float(column) + 0.5) * across
        places.append((clip_place(x, width), clip_place(y, height)))
        reach_y, reach_x = apart / down, apart / across
        top, left = max(0, int(row - reach_y)), max(0, int(column - reach_x))
        energy[top : int(row + reach_y) + 1, left : int(column + reach_x) + 1] -= np.float32(1e6)
    return places


def clip_place(center: float, side: int) -> int:
    """Where a patch begins that is centered there, as far as it lies within the photo."""
    return max(0, min(round(center - SIDE / 2), side - SIDE))


def cut_patches(luma: Luma, places: Sequence[Place]) -> Luma:
    """The patches at these places, uint8 [n, SIDE, SIDE]; what a smaller picture lacks is mirrored."""
    short = [max(0, SIDE - side) for side in luma.shape]
    if any(short):
        luma = np.pad(luma, [(0, lack) for lack in short], mode="symmetric")
    return np.stack([luma[top : top + SIDE, left : left + SIDE] for left, top in places])
