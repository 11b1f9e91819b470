"""Estimates of a patch by hand-made formulas: what serves where there is no network for it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from iqa_cli.detail.native import Luma

REBLUR = 1.5  # px: sigma of the second blur
STRONGEST = 0.02  # share of the pixels that are taken for edges
IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def estimate_blur(patch: Luma) -> float:
    """Sigma in px of the blur at the strongest edges: by how much less a second blur changes them (Zhuo and Sim, 2011)."""
    picture = patch.astype(np.float32)
    smooth = np.asarray(cv2.GaussianBlur(picture, (0, 0), REBLUR), np.float32)
    before, after = measure_slope(picture), measure_slope(smooth)
    edges = before >= max(float(np.quantile(before, 1 - STRONGEST)), 1e-3)
    ratio = float(np.median(before[edges] / np.maximum(after[edges], 1e-3))) if edges.any() else 1.0
    return float(REBLUR / max(ratio**2 - 1, 0.02) ** 0.5)


def measure_slope(picture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The magnitude of the gradient at each pixel."""
    across, down = (cv2.Sobel(picture, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    return np.asarray(np.hypot(across, down), np.float32)


def estimate_noise(patch: Luma) -> float:
    """SD of the noise in 0..255, by a filter that is blind to what is linear (Immerkaer, 1996)."""
    residual = cv2.filter2D(patch.astype(np.float32), cv2.CV_32F, IMMERKAER)[1:-1, 1:-1]
    return float(np.abs(residual).mean() * (np.pi / 2) ** 0.5 / 6)
