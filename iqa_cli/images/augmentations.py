"""Augmentations of training crops: changes that must not move a score, and regions that distortions are confined to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from iqa_cli.images.crops import Rgb
from iqa_cli.images.distortion_filters import compress

GREY = np.array((0.299, 0.587, 0.114), np.float32)  # luma of BT.601, as a JPEG has it
QUALITY = 82, 97  # of JPEGs in which nobody sees a difference
FRAME = 0.1, 0.2  # share of the sides that a frame takes on each
CENTER = 0.3, 0.6  # share of the sides of a region that holds the subject

Region = npt.NDArray[np.bool_]  # [H, W]


def change_harmlessly(rgb: Rgb, generator: np.random.Generator) -> Rgb:
    """The picture in grey, or saved again as a JPEG of high quality: uint8 [H, W, 3]."""
    if generator.random() < 0.5:
        grey = np.rint(rgb.astype(np.float32) @ GREY).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return compress(rgb, "JPEG", quality=int(generator.integers(*QUALITY)))


def draw_region(height: int, width: int, generator: np.random.Generator) -> Region:
    """A part of a picture of that size: a quarter, a half, the frame, or a part near the center that may hold the subject."""
    region = np.zeros((height, width), bool)
    kind = generator.integers(4)
    if kind == 0:
        top, left = int(generator.integers(2)) * (height // 2), int(generator.integers(2)) * (width // 2)
        region[top : top + height // 2, left : left + width // 2] = True
    elif kind == 1:
        half = np.rot90(np.arange(4).reshape(2, 2) < 2, int(generator.integers(4)))
        region = half.repeat(-(-height // 2), 0)[:height].repeat(-(-width // 2), 1)[:, :width]
    elif kind == 2:
        share = generator.uniform(*FRAME)
        y, x = max(1, round(height * share)), max(1, round(width * share))
        region[:] = True
        region[y : height - y, x : width - x] = False
    else:
        rows, columns = (int(side * generator.uniform(*CENTER)) for side in (height, width))
        top, left = (int(room * generator.uniform(0.2, 0.8)) for room in (height - rows, width - columns))
        region[top : top + rows, left : left + columns] = True
    return region


def confine(changed: Rgb, rgb: Rgb, region: Region) -> Rgb:
    """The picture with the changed one's pixels in a region of it."""
    return np.where(region[..., None], changed, rgb)
