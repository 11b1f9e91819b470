"""Signatures: what is kept of a photo's view to compare it with others, less than 2 kB."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iqa_cli.options import GROUP_PREVIEW

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

AREA = 1536  # cells of the grid of brightness
COLOURS = (6, 8)  # rows and columns of the grid of colours
REGIONS = (6, 8)  # rows and columns of the grid of sharpness
LONGEST = 96  # cells a row or a column: of panoramas the shape is not kept


@dataclass(frozen=True, slots=True)
class Signature:
    """A view in small.

    luma: uint8 [rows, columns], cells of equal sides. chroma: uint8 [6, 8, 2], Cb and Cr. sharpness: float32 [6, 8], the
    logarithm to base 2 of how strong the finest structures of the preview are in each region.
    """

    luma: Bytes
    chroma: Bytes
    sharpness: Floats


def make_signature(preview: bytes) -> Signature | None:
    """The signature of a photo from its preview, a JPEG; None where that cannot be read."""
    from PIL import Image

    with suppress(Exception), Image.open(io.BytesIO(preview), formats=("JPEG",)) as picture:  # what reads foreign bytes sent it
        return measure_view(np.asarray(picture.convert("YCbCr")))
    return None


def measure_view(ycc: Bytes) -> Signature:
    """The signature of a small picture in YCbCr, uint8 [H, W, 3]."""
    import cv2

    scale = GROUP_PREVIEW / max(ycc.shape)
    if scale < 1:
        ycc = np.asarray(cv2.resize(ycc, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    luma = np.ascontiguousarray(ycc[..., 0])
    rows, columns = find_grid(*luma.shape)
    chroma = cv2.resize(ycc[..., 1:], COLOURS[::-1], interpolation=cv2.INTER_AREA)
    fine = luma.astype(np.float32)
    fine -= cv2.GaussianBlur(fine, (0, 0), 1.0)
    energy = cv2.resize(fine * fine, REGIONS[::-1], interpolation=cv2.INTER_AREA)
    sharpness = 0.5 * np.log2(np.maximum(energy, 0.0) + 0.25)
    grid = cv2.resize(luma, (columns, rows), interpolation=cv2.INTER_AREA)
    return Signature(np.asarray(grid, np.uint8), np.asarray(chroma, np.uint8), sharpness.astype(np.float32))


def find_grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of a grid of about AREA equal cells."""
    scale = (AREA / (height * width)) ** 0.5
    return min(LONGEST, max(8, round(height * scale))), min(LONGEST, max(8, round(width * scale)))
