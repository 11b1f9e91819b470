"""Enlarging: features of the spectrum and of what neighbours say of a pixel, which tell pictures that were enlarged.

An enlarged picture has nothing at the highest frequencies, which begins more steeply than any lens makes it, and each pixel is
a sum of its neighbours (Popescu and Farid, *Exposing digital forgeries by detecting traces of resampling*, IEEE TSP 53, 2005).
"""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

TILE, TILES = 64, 8  # px of a tile whose spectrum is taken; of them across and down
BANDS = np.arange(0.05, 0.51, 0.05)  # cycles a px, where bands of the spectrum begin and end
FAINT = 0.02  # of the power of a band: rounding to whole values leaves 1 / 12
NEIGHBOURS = (-3, -2, -1, 1, 2, 3)  # px, of which a pixel is taken to be a sum
SAMPLE = 100_000  # pixels that are predicted, about
HELD = 0.05  # variance that is added to neighbours: less says nothing


def describe_spectrum(luma: Floats) -> list[float]:
    """61 features of a picture, float32 [H, W], in its own pixels: 45 of its spectrum, 16 of what neighbours say of a pixel."""
    return [*describe_bands(luma), *describe_sums(luma), *describe_sums(np.ascontiguousarray(luma.T))]


def describe_bands(luma: Floats) -> list[float]:
    """Of nine bands the power, in doublings, and between them its fall, over tiles; and the steepest fall of each tile."""
    powers = measure_bands(luma)  # [tiles, bands]
    falls, steepest = powers[:, :-1] - powers[:, 1:], (powers[:, :-2] - powers[:, 2:]).max(axis=1)
    return [
        *np.quantile(powers, (0.5, 0.9), axis=0).ravel().tolist(),
        *np.quantile(falls, (0.2, 0.5, 0.8), axis=0).ravel().tolist(),
        *np.quantile(steepest, (0.2, 0.5, 0.8)).tolist(),
    ]


def measure_bands(luma: Floats) -> Floats:
    """The mean power, log2, of bands of the spectra of tiles, [tiles, bands]. What is smaller than a tile is repeated."""
    height, width = luma.shape
    if min(height, width) < TILE:
        luma = np.pad(luma, ((0, max(0, TILE - height)), (0, max(0, TILE - width))), mode="symmetric")
    window = np.outer(np.hanning(TILE), np.hanning(TILE)).astype(np.float32)
    radius = np.maximum(np.abs(np.fft.fftfreq(TILE))[:, None], np.fft.rfftfreq(TILE)[None])
    band = np.digitize(radius, BANDS).ravel()
    share = np.eye(len(BANDS) + 1)[band][:, 1:-1] / np.bincount(band, minlength=len(BANDS) + 1)[1:-1]  # [waves, bands]
    tops, lefts = (np.unique(np.linspace(0, side - TILE, TILES).astype(int)) for side in luma.shape)
    tiles = np.stack([luma[top : top + TILE, left : left + TILE] for top, left in product(tops, lefts)])
    waves = np.fft.rfft2((tiles - tiles.mean(axis=(1, 2), keepdims=True)) * window)
    power = (waves.real**2 + waves.imag**2).reshape(len(tiles), -1) / float((window**2).sum())
    return np.asarray(np.log2(power @ share + FAINT), np.float32)


def describe_sums(luma: Floats) -> list[float]:
    """How well a pixel of a row is a sum of its neighbours: what is left, beside what a mean of two leaves, and the sum."""
    reach, width = NEIGHBOURS[-1], luma.shape[1]
    if width < 8 * reach:
        return [0.0] * 8
    rows = luma[:: max(1, luma.size // SAMPLE)]
    pixels = rows[:, reach:-reach].ravel()
    around = np.stack([rows[:, reach + step : width - reach + step].ravel() for step in NEIGHBOURS], axis=1) - pixels.mean()
    pixels = pixels - pixels.mean()
    products, goal = around.T @ around / len(pixels), around.T @ pixels / len(pixels)
    weights = np.linalg.solve(products + HELD * np.eye(len(NEIGHBOURS), dtype=np.float32), goal)
    rest = np.abs(pixels - around @ weights)
    left, simple = float((rest * rest).mean()), float(((around[:, 2] + around[:, 3]) / 2 - pixels).var())
    return [
        float(np.log2(left + 0.05)),
        float(np.log2((left + 0.08) / (simple + 0.1))),
        *weights[:3].tolist(),
        *np.log2(np.quantile(rest[::2], (0.5, 0.9, 0.99)) + 0.1).tolist(),
    ]
