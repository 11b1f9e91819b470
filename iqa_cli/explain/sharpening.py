"""Sharpening: features of detail at five scales, of overshoot and of what it clips, which tell an unsharp mask.

An unsharp mask multiplies detail up to its radius and nothing coarser, overshoots on both sides of edges, and so drives thin
lines along them, and single pixels, to black and white.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from iqa_cli.explain.edges import Edges, find_blur, find_halo

Bytes = npt.NDArray[np.uint8]

SCALES = (0.6, 1.2, 2.4, 4.8, 9.6)  # px, sigma
CLIPPED = 2, 253  # of 255: what is no lighter, no darker has no more to say
THICK = 5  # px: what is clipped over such a square is no overshoot
FAINT = 0.05  # values: less detail is none


def describe_detail(gray: Bytes, edges: Edges) -> list[float]:
    """21 features of a picture, uint8 [H, W], of a short side of 512 px at most, and of its edges."""
    luma = gray.astype(np.float32)
    return [
        *describe_scales(luma),
        float(np.log2(luma.std() + FAINT)),
        find_blur(edges),
        find_halo(luma, edges),
        *describe_clipped(gray),
    ]


def describe_scales(luma: npt.NDArray[np.float32]) -> list[float]:
    """Of the detail of each scale the mean size, that of the quieter third, and that of the strongest fiftieth: log2."""
    found, finer = [], luma
    for scale in SCALES:
        coarser = np.asarray(cv2.GaussianBlur(luma, (0, 0), scale), np.float32)
        size = np.abs(finer - coarser)
        found += [float(size.mean()), *np.quantile(size[::2, ::2], (0.3, 0.98)).tolist()]
        finer = coarser
    return [float(value) for value in np.log2(np.array(found) + FAINT)]


def describe_clipped(gray: Bytes) -> list[float]:
    """The share that is clipped, and those that are black, and white, in thin lines and specks alone."""
    black, white = (gray <= CLIPPED[0]).astype(np.uint8), (gray >= CLIPPED[1]).astype(np.uint8)
    thick = cv2.morphologyEx(black | white, cv2.MORPH_OPEN, np.ones((THICK, THICK), np.uint8))
    thin = [float(np.log2(float((plane > thick).mean()) + 3e-4)) for plane in (black, white)]
    return [float((black | white).mean()) ** 0.5, *thin]
