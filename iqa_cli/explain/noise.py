"""Noise: its standard deviation in the quietest parts of a picture, of luma and of colour.

Immerkaer's filter, which no straight edge and no even slope passes (*Fast noise variance estimation*, Computer Vision and Image
Understanding 64, 1996), block by block, so that texture elsewhere says nothing.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from iqa_cli.images.crops import Rgb

Floats = npt.NDArray[np.float32]

FILTER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
TO_SIGMA = float(np.sqrt(np.pi / 2) / 6)  # from the mean size of what passes
BLOCK = 16  # px
SPECK = 30  # of 255, by which a speck stands out
CLIPPED = 4, 251  # of 255: what is darker or lighter shows no noise


def measure_noise(plane: Floats, valid: npt.NDArray[np.bool_], q: float = 0.1) -> float:
    """The standard deviation in values of 255, as a quantile over blocks. plane: float32 [H, W]; valid: not clipped."""
    passed = np.abs(cv2.filter2D(plane, -1, FILTER))
    size = max(1, plane.shape[1] // BLOCK), max(1, plane.shape[0] // BLOCK)
    blocks = cv2.resize(passed, size, interpolation=cv2.INTER_AREA)
    share = cv2.resize(valid.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    usable = blocks[share > 0.9]
    return TO_SIGMA * float(np.quantile(usable, q)) if usable.size >= 8 else 0.0


def find_unclipped(luma: Floats) -> npt.NDArray[np.bool_]:
    """Where a picture is neither black nor white."""
    return np.asarray((luma > CLIPPED[0]) & (luma < CLIPPED[1]))


def measure_color_noise(rgb: Rgb, q: float = 0.25) -> float:
    """The same of Cb or Cr, whichever has more, in cells of two by two px: raw converters leave coarse blotches."""
    size = max(1, round(rgb.shape[1] / 2)), max(1, round(rgb.shape[0] / 2))
    half = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    planes = cv2.cvtColor(half, cv2.COLOR_RGB2YCrCb).astype(np.float32)
    valid = find_unclipped(planes[..., 0])
    return max(measure_noise(np.ascontiguousarray(planes[..., channel]), valid, q) for channel in (1, 2))


def measure_specks(plane: npt.NDArray[np.uint8]) -> float:
    """The share of pixels that stand out from all eight around them: dead pixels, salt and pepper."""
    around = np.ones((3, 3), np.uint8)
    around[1, 1] = 0
    high = cv2.subtract(plane, cv2.dilate(plane, around))
    low = cv2.subtract(cv2.erode(plane, around), plane)
    return float((np.maximum(high, low) > SPECK).mean())
