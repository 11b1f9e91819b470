"""Regions: parts of a picture that a distortion is confined to, as masks [H, W]."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from iqa_cli.images.crops import Rgb

Region = npt.NDArray[np.bool_]  # [H, W]
Shape = tuple[int, int]  # height, width

FRAME = 0.1, 0.2  # share of the sides that a frame takes on each, at random
CENTER = 0.3, 0.6  # share of the sides of a region that holds the subject


def select_quarter(shape: Shape, number: int) -> Region:
    """One of the four quarters, 0 to 3: top left, top right, bottom left, bottom right."""
    (height, width), (row, column) = shape, divmod(number, 2)
    region = np.zeros(shape, bool)
    region[row * (height // 2) : height if row else height // 2, column * (width // 2) : width if column else width // 2] = True
    return region


def select_half(shape: Shape, number: int) -> Region:
    """One of the four halves, 0 to 3: left, right, upper, lower."""
    first, second = ((0, 2), (1, 3), (0, 1), (2, 3))[number]
    return select_quarter(shape, first) | select_quarter(shape, second)


def select_frame(shape: Shape, share: float) -> Region:
    """The frame: that share of the sides, at least a pixel, at all four edges."""
    y, x = (max(1, round(side * share)) for side in shape)
    region = np.ones(shape, bool)
    region[y : shape[0] - y, x : shape[1] - x] = False
    return region


def draw_region(shape: Shape, generator: np.random.Generator) -> Region:
    """A random part: a quarter, a half, the frame, or a part near the center that may hold the subject."""
    kind, number = (int(generator.integers(4)) for _ in range(2))
    if kind == 0:
        return select_quarter(shape, number)
    if kind == 1:
        return select_half(shape, number)
    if kind == 2:
        return select_frame(shape, generator.uniform(*FRAME))
    rows, columns = (int(side * generator.uniform(*CENTER)) for side in shape)
    top, left = (int(room * generator.uniform(0.2, 0.8)) for room in (shape[0] - rows, shape[1] - columns))
    region = np.zeros(shape, bool)
    region[top : top + rows, left : left + columns] = True
    return region


def confine(changed: Rgb, rgb: Rgb, region: Region) -> Rgb:
    """The picture with the changed one's pixels in a region of it."""
    return np.where(region[..., None], changed, rgb)
