"""Hashes of views, by which copies are found among many photos without comparing all with all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from iqa_cli.culling.grouping.signatures import Signature

ROWS, COLUMNS = 8, 9  # of the grid whose neighbours a hash of 64 bits compares
BANDS = 4  # of 16 bits; of two hashes that differ in fewer bits, one band is equal
FAR = 8  # bits in which hashes of copies differ at most
CROWD = 16  # shots in a band from which each is compared with the next ones only
PLAIN = 4.0  # standard deviation of luma below which a view is too plain to be found again

Hashes = npt.NDArray[np.uint8]  # [n, 8]


def hash_view(signature: Signature) -> Hashes:
    """Whether each cell of a coarse grid is brighter than its neighbour, uint8 [8]."""
    import cv2

    grid = cv2.resize(signature.luma.astype(np.float32), (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)
    return np.packbits(grid[:, 1:] > grid[:, :-1])


def count_differences(one: Hashes, other: Hashes) -> int:
    """The bits in which two hashes differ, 0 to 64."""
    return int(np.unpackbits(one ^ other).sum())


def find_near(signatures: Sequence[Signature | None]) -> Iterator[tuple[int, int]]:
    """Pairs of views whose hashes are near each other, the first number below the second; each pair once."""
    places = [place for place, view in enumerate(signatures) if view is not None and view.luma.std() >= PLAIN]
    if not places:
        return
    hashes = np.stack([hash_view(view) for place in places if (view := signatures[place]) is not None])
    bits = np.unpackbits(hashes, axis=1).astype(np.int16)
    seen: set[tuple[int, int]] = set()
    for band in range(BANDS):
        keys = hashes[:, 2 * band].astype(np.int32) << 8 | hashes[:, 2 * band + 1]
        order = np.argsort(keys, kind="stable")
        for crowd in np.split(order, np.flatnonzero(np.diff(keys[order])) + 1):
            for at, first in enumerate(crowd[:-1]):
                others = crowd[at + 1 :] if len(crowd) <= CROWD else crowd[at + 1 : at + 1 + CROWD]
                near = others[np.abs(bits[others] - bits[first]).sum(axis=1) <= FAR]
                seen.update((places[first], places[second]) for second in near)
    yield from sorted(seen)
