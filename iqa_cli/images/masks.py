"""Masks: parts of a picture that a distortion is confined to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from iqa_cli.images.crops import Rgb

Mask = npt.NDArray[np.bool_]  # [H, W]
Shape = tuple[int, int]  # height, width

FRAME = 0.1, 0.2  # share of the sides that a frame takes on each, at random
CENTER = 0.3, 0.6  # share of the sides of a part that holds the subject


def select_quarter(shape: Shape, number: int) -> Mask:
    """One of the four quarters, 0 to 3: top left, top right, bottom left, bottom right."""
    (height, width), (row, column) = shape, divmod(number, 2)
    mask = np.zeros(shape, bool)
    mask[row * (height // 2) : height if row else height // 2, column * (width // 2) : width if column else width // 2] = True
    return mask


def select_half(shape: Shape, number: int) -> Mask:
    """One of the four halves, 0 to 3: left, right, upper, lower."""
    first, second = ((0, 2), (1, 3), (0, 1), (2, 3))[number]
    return select_quarter(shape, first) | select_quarter(shape, second)


def select_frame(shape: Shape, share: float) -> Mask:
    """The frame: that share of the sides, at least a pixel, at all four edges."""
    y, x = (max(1, round(side * share)) for side in shape)
    mask = np.ones(shape, bool)
    mask[y : shape[0] - y, x : shape[1] - x] = False
    return mask


def draw_mask(shape: Shape, generator: np.random.Generator) -> Mask:
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
    mask = np.zeros(shape, bool)
    mask[top : top + rows, left : left + columns] = True
    return mask


def confine(changed: Rgb, rgb: Rgb, mask: Mask) -> Rgb:
    """The picture with the changed one's pixels where the mask is set."""
    return np.where(mask[..., None], changed, rgb)
