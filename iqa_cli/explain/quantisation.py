"""Quantisation: the quality at which a JPEG was saved, found in its pixels, however they were saved again.

The coefficients of a JPEG's blocks are multiples of the steps of its table, and stay near them when it is decoded (Fan and de
Queiroz, *Identification of bitmap compression history: JPEG detection and quantizer estimation*, IEEE TIP 12, 2003). The tables
looked for are those of libjpeg, of qualities at which blocks are seen.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

BLOCK = 8  # px
BLOCKS = 2500  # that are looked at, about
QUALITIES = range(3, 41)
GRID_SAMPLE = 150_000  # pixels that the grid is found in, about
FOUND = 0.6  # how near coefficients lie to multiples on average, 0 to 1, from which they were quantised; 0 without
FEWEST = 40  # coefficients that say something
SIZES = 1024  # of coefficients, in whole numbers: 8 px of 255 make 1020 at most
UNKNOWN = 100.0  # where nothing of the kind is found

WAVES = ((0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (0, 3), (1, 2), (2, 1), (3, 0))  # down and across
STEPS = np.array((11, 12, 14, 12, 10, 16, 14, 13, 14))  # of these at quality 50: ITU-T T.81, table K.1


def make_transform() -> Floats:
    """The orthonormal cosine transform of blocks: the waves of WAVES, [waves, 64]."""
    places = (2 * np.arange(BLOCK) + 1) * (np.pi / (2 * BLOCK))
    rows = [np.cos(wave * places) * (0.5 if wave else 8**-0.5) for wave in range(4)]
    return np.stack([np.outer(rows[down], rows[across]).ravel() for down, across in WAVES]).astype(np.float32)


TRANSFORM = make_transform()


def find_quality(luma: Floats) -> float:
    """The quality of 3 to 40 at which a picture, float32 [H, W], was once saved as a JPEG; 100 where it was not so low."""
    blocks = cut_blocks(luma, find_grid(luma), find_grid(np.ascontiguousarray(luma.T)))
    sizes = np.minimum(np.rint(np.abs(blocks @ TRANSFORM.T)), SIZES - 1).astype(np.intp)  # [blocks, waves]
    counts = np.concatenate([np.bincount(column, minlength=SIZES) for column in sizes.T]).astype(np.float32)
    near, some = make_waves()
    nearnesses = near @ counts / np.maximum(some @ counts, FEWEST)
    found, best = UNKNOWN, FOUND
    for quality, nearness in zip(QUALITIES, nearnesses, strict=True):  # the lowest first: multiples of a step are of half of it
        if found < UNKNOWN and nearness <= best:
            break
        if nearness > best:
            found, best = float(quality), nearness
    return found


@cache
def make_waves() -> tuple[Floats, Floats]:
    """Of each quality, for each size of each coefficient, how near that is to a multiple of the step, 1 to -1; and 1 for each.

    Both [qualities, waves * SIZES], and 0 where the nearest multiple is 0, which says nothing.
    """
    scales = np.array([5000 // quality for quality in QUALITIES])[:, None]  # of libjpeg, below 50
    steps = np.clip((STEPS * scales + 50) // 100, 1, 255)[..., None]
    turns = (np.arange(SIZES) / steps).reshape(len(QUALITIES), -1)
    some = (turns > 0.5).astype(np.float32)
    return (np.cos(2 * np.pi * turns) * some).astype(np.float32), some


def find_grid(luma: Floats) -> int:
    """Where blocks begin across a picture, in px: where values jump most."""
    if luma.shape[1] < 4 * BLOCK:
        return 0
    rows = luma[:: max(1, luma.size // GRID_SAMPLE)]
    second = np.abs(rows[:, 3:] - 3 * rows[:, 2:-1] + 3 * rows[:, 1:-2] - rows[:, :-3]).clip(max=60).mean(axis=0)
    sums = np.bincount((np.arange(len(second)) + 2) % BLOCK, second, BLOCK)
    return int((sums / np.bincount((np.arange(len(second)) + 2) % BLOCK, minlength=BLOCK)).argmax())


def cut_blocks(luma: Floats, left: int, top: int) -> Floats:
    """Evenly drawn blocks of the grid that begins there, [blocks, 64]."""
    height, width = (side // BLOCK * BLOCK for side in luma[top:, left:].shape)
    rows = luma[top : top + height, left : left + width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    blocks = rows.transpose(0, 2, 1, 3).reshape(-1, BLOCK * BLOCK)
    return blocks[:: max(1, len(blocks) // BLOCKS)]
