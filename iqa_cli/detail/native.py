"""Patches of native pixels as they go from a decoder to the network. Only NumPy is imported here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]  # [H, W], or [n, SIDE, SIDE]
Place = tuple[int, int]  # left and top in native px

SIDE = 128  # px of a patch
FOCUSED, RANDOM = 6, 2  # patches of a photo: the likeliest in focus, and those at random places


@dataclass(frozen=True)
class NativePatches:
    """What is looked at in native pixels of a photo of height x width px.

    patches: uint8 [n, SIDE, SIDE], their luma. places: where each begins.
    """

    patches: Luma
    places: tuple[Place, ...]
    height: int
    width: int
