"""Edges: how sharp they are in each direction, and whether they overshoot.

Blur: at an edge the gradient of a picture falls by sqrt(1 + s^2 / b^2) where it is blurred once more by s, so that ratio gives
the blur b that was there before (Zhuo and Sim, *Defocus map estimation from a single image*, Pattern Recognition 44, 2011).
Taken by direction it tells a shake, which leaves edges along it sharp, from a missed focus, which leaves none. Halos: what the
two sides of an edge have beyond their plateaus, as unsharp masks leave it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

REBLUR = 1.0  # px, sigma
MAX_BLUR = 8.0  # px: beyond it the ratio says nothing
EDGES = 4000  # at most
DIRECTIONS = 8
FEWEST = 40  # edges in a direction that say something
REACH = 4  # px to each side of an edge that its profile goes
STRONGEST, MANY = 0.04, 0.12  # the share of pixels that are edges for blur and halos, and for directions
LEAST = 6.0  # values a px: less is no edge


@dataclass(frozen=True)
class Edges:
    """The strongest edges of a picture, each of n.

    y, x: px. direction: of the gradient, radians 0 to pi. strength: of it, in values a px. blur: sigma in px.
    """

    y: npt.NDArray[np.intp]
    x: npt.NDArray[np.intp]
    direction: Floats
    strength: Floats
    blur: Floats


def find_edges(luma: Floats, share: float = STRONGEST) -> Edges:
    """Edges: the pixels of the strongest gradients, thinned to their ridges. luma: float32 [H, W], 0 to 255."""
    across, down = find_gradient(luma)
    strength = np.hypot(across, down)
    y, x = find_ridges(across, down, strength, share)
    smooth = np.hypot(*find_gradient(np.asarray(cv2.GaussianBlur(luma, (0, 0), REBLUR), np.float32)))
    ratio = strength[y, x] / np.maximum(smooth[y, x], 1e-3)
    blur = REBLUR / np.sqrt(np.maximum(ratio * ratio - 1, (REBLUR / MAX_BLUR) ** 2))
    direction = np.mod(np.arctan2(down[y, x], across[y, x]), np.pi)
    return Edges(y, x, direction.astype(np.float32), strength[y, x], blur.astype(np.float32))


def find_ridges(across: Floats, down: Floats, strength: Floats, share: float) -> tuple[npt.NDArray[np.intp], ...]:
    """Where a gradient is among the strongest, and no weaker than those before and behind it: y and x, in px."""
    inner = strength[REACH:-REACH, REACH:-REACH]
    if inner.size == 0:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    limit = max(LEAST, float(np.quantile(inner[::2, ::2], 1 - share)))
    y, x = (places + REACH for places in np.nonzero(inner > limit))
    own = strength[y, x]
    step_x, step_y = (np.rint(way[y, x] / own).astype(np.intp) for way in (across, down))
    ridge = (own >= strength[y + step_y, x + step_x]) & (own > strength[y - step_y, x - step_x])
    y, x = y[ridge], x[ridge]
    kept = np.linspace(0, len(y) - 1, min(len(y), EDGES)).astype(np.intp)
    return y[kept], x[kept]


def find_gradient(luma: Floats) -> tuple[Floats, Floats]:
    """Central differences across and down, float32 [H, W]."""
    kernel = np.array([[-0.5, 0, 0.5]], np.float32)
    return np.asarray(cv2.filter2D(luma, -1, kernel), np.float32), np.asarray(cv2.filter2D(luma, -1, kernel.T), np.float32)


def find_blur(edges: Edges) -> float:
    """The blur of the sharper edges: sigma in px, that a quarter of them is below; 0 where there are too few to tell."""
    return float(np.quantile(edges.blur, 0.25)) if len(edges.blur) >= FEWEST else 0.0


def find_shake(edges: Edges) -> float:
    """The blur that edges have in one direction beyond that in the one across it: sigma in px; 0 where that cannot be told.

    The logarithm of the blur by direction, of the stronger edges in each, is fitted by a cosine of twice the angle, and
    variances are subtracted: edges of a sharp photo differ by times, too, but by little.
    """
    place = (edges.direction * (DIRECTIONS / np.pi)).astype(int) % DIRECTIONS
    groups = {each: np.flatnonzero(place == each) for each in range(DIRECTIONS)}
    blurs = {each: find_strong_blur(edges, own) for each, own in groups.items() if len(own) >= FEWEST}
    if len(blurs) <= DIRECTIONS // 2:
        return 0.0
    angles = (np.array(list(blurs)) + 0.5) * (2 * np.pi / DIRECTIONS)
    waves = np.stack([np.ones(len(angles)), np.cos(angles), np.sin(angles)], axis=1)
    fitted = np.linalg.lstsq(waves, np.log(list(blurs.values())), rcond=None)[0]
    spread = float(np.hypot(fitted[1], fitted[2]))
    return float(np.exp(fitted[0]) * np.sqrt(np.exp(2 * spread) - np.exp(-2 * spread)))


def find_strong_blur(edges: Edges, own: npt.NDArray[np.intp]) -> float:
    """The median blur of the strongest three in ten of some edges."""
    strong = own[edges.strength[own] >= np.quantile(edges.strength[own], 0.7)]
    return float(np.median(edges.blur[strong]))


def find_halo(luma: Floats, edges: Edges) -> float:
    """The median overshoot of edges between plateaus, as a share of their contrast; 0 where there are none."""
    if len(edges.x) < FEWEST:
        return 0.0
    steps = np.arange(-REACH, REACH + 1, dtype=np.float32)
    x = edges.x[:, None].astype(np.float32) + np.cos(edges.direction)[:, None] * steps
    y = edges.y[:, None].astype(np.float32) + np.sin(edges.direction)[:, None] * steps
    lines = cv2.remap(luma, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # [edges, 13]
    low, high = lines[:, :2].mean(axis=1), lines[:, -2:].mean(axis=1)
    flip = low > high
    lines[flip] = lines[flip, ::-1]
    low, high = np.minimum(low, high), np.maximum(low, high)
    contrast = high - low
    plain = (
        (contrast > 20)
        & (np.abs(lines[:, 0] - lines[:, 2]) < 0.15 * contrast)
        & (np.abs(lines[:, -1] - lines[:, -3]) < 0.15 * contrast)
    )
    if plain.sum() < FEWEST:
        return 0.0
    lines, low, high, contrast = lines[plain], low[plain], high[plain], contrast[plain]
    over = lines[:, REACH + 1 :].max(axis=1) - high + low - lines[:, :REACH].min(axis=1)
    return float(np.median(over / (2 * contrast)))
