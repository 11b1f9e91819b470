"""Native patches with known damage, drawn once into a file that a training maps into memory. No PyTorch here.

A clean photo is reduced first, so that its pixels are truly sharp; what is damaged is where it has fine structure. Behind the
patches their file has a mark of what they were drawn from (`mark_sources`), which NumPy does not read.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path

import numpy as np
import numpy.typing as npt

from iqa_cli.detail.classical import estimate_blur
from iqa_cli.detail.damage import apply_damage, draw_damage
from iqa_cli.detail.native import SIDE, Luma
from iqa_cli.detail.outputs import OFFSETS, encode_truth
from iqa_cli.detail.patches import map_energy, to_luma
from iqa_cli.errors import DataError
from iqa_cli.files.atomic import SealedFile
from iqa_cli.images.crops import Rgb, cut_box
from iqa_cli.images.decode import decode_image
from iqa_cli.models.card import hash_file
from iqa_cli.records import Undecodable

SAMPLE = np.dtype([("patch", np.uint8, (SIDE, SIDE)), ("truth", np.float32, (len(OFFSETS),)), ("photo", np.int32)])
MARGIN = 40  # px around a patch, into which blurs reach and grids of codecs are shifted
LEAST_REDUCTION, MOST_REDUCTION = 1.4, 4.0  # of a photo
LEAST_SIDE = 260  # px of a reduced photo
FULL_SIDE = 900.0  # px of the longer side that a large photo is reduced to at most
A_VIEW = 30  # patches of one reduction of a photo
SHARP = 0.95  # px of blur, by `estimate_blur`, that a sharp place has at most
TRIES = 12
PLAIN = 0.12  # share of the patches that may lie anywhere, as in a sky
BRIGHTNESS = (0.45, 1.1)  # of a view


@dataclass(frozen=True)
class Sources:
    """Photos that are used, and how many patches or views are drawn of each, at least one."""

    paths: tuple[str, ...]
    counts: tuple[int, ...]


def mark_sources(paths: Sequence[str], seed: int) -> bytes:
    """What patches are drawn from, as a digest: the photos, in order, and the seed. Raises OSError."""
    digest = hashlib.sha256(str(seed).encode())
    for path in paths:
        digest.update(hash_file(Path(path)).encode())
    return digest.hexdigest().encode()


def measure_photos(paths: Sequence[str]) -> dict[str, int]:
    """The pixels of each photo that is large enough. Raises DataError where none is."""
    sizes = {path: size for path in paths if (size := measure_photo(path))}
    if not sizes:
        raise DataError(f"none of {len(paths)} photos has sides of {ceil(LEAST_SIDE * LEAST_REDUCTION)} px or more")
    return sizes


def plan_sources(sizes: Mapping[str, int], wanted: int) -> Sources:
    """Share so many patches or views out among photos, by the root of their pixels."""
    roots = [size**0.5 for size in sizes.values()]
    bounds = np.round(np.cumsum([0.0, *roots]) / sum(roots) * wanted).astype(int)
    counts = {path: int(count) for path, count in zip(sizes, np.diff(bounds), strict=True) if count}
    return Sources(tuple(counts), tuple(counts.values()))


def measure_photo(path: str) -> int:
    """The pixels of a photo; 0 where it is too small, or none."""
    try:
        decoded = decode_image(path)
    except Undecodable:
        return 0
    return decoded.width * decoded.height if min(decoded.width, decoded.height) >= LEAST_SIDE * LEAST_REDUCTION else 0


def write_samples(sources: Sources, file: Path, seed: int, mark: bytes = b"") -> Iterator[int]:
    """Write the patches of all photos, in this order, and the mark behind them; yields how many there are so far.

    The file appears once they are all there. Raises WriteError.
    """
    whole, sample = SealedFile(file), np.empty(1, SAMPLE)
    try:
        whole.write(make_header(sum(sources.counts)))
        done = 0
        for number, (path, count) in enumerate(zip(sources.paths, sources.counts, strict=True)):
            rng = np.random.default_rng((seed, number))
            for patch, truth in draw_patches(decode_image(path).rgb, count, rng):
                sample[0] = patch, truth, number
                whole.write(sample.tobytes())
                done += 1
            yield done
        whole.write(mark)
        whole.seal()
    finally:
        whole.finish()


def make_header(count: int) -> bytes:
    """What a NumPy file of so many samples begins with."""
    header = io.BytesIO()
    facts = {"descr": np.lib.format.dtype_to_descr(SAMPLE), "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(header, facts)
    return header.getvalue()


def draw_patches(rgb: Rgb, count: int, rng: np.random.Generator) -> Iterator[tuple[Luma, npt.NDArray[np.float64]]]:
    """So many damaged patches of one photo, uint8 [SIDE, SIDE], and what the network is to say of each, [outputs]."""
    for first in range(0, count, A_VIEW):
        view = reduce_photo(rgb, rng)
        likely = map_energy(to_luma(view), len(view))
        for _ in range(min(A_VIEW, count - first)):
            yield draw_patch(view, likely, rng)


def reduce_photo(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """A photo so reduced that its pixels are sharp, mirrored or turned, and perhaps darker."""
    height, width = rgb.shape[:2]
    most = min(MOST_REDUCTION, min(height, width) / LEAST_SIDE, max(LEAST_REDUCTION + 0.2, max(height, width) / FULL_SIDE))
    factor = rng.uniform(LEAST_REDUCTION, max(LEAST_REDUCTION, most))
    view = cut_box(rgb, (0.0, 0.0, float(width), float(height)), (int(height / factor), int(width / factor)))
    view = np.rot90(view, int(rng.integers(4)))[:, :: rng.choice([-1, 1])]
    if rng.random() < 0.4:
        view = np.clip(view * np.float32(rng.uniform(*BRIGHTNESS)), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(view)


def draw_patch(view: Rgb, likely: npt.NDArray[np.float32], rng: np.random.Generator) -> tuple[Luma, npt.NDArray[np.float64]]:
    """A patch of a sharp view with drawn damage."""
    damage = draw_damage(rng)
    side = ceil((SIDE + MARGIN) / damage.scale) + 2
    sharp, blur = find_sharp(view, side, likely, rng)
    damaged, truth = apply_damage(sharp, damage, rng, blur)
    room = damaged.shape[0] - SIDE, damaged.shape[1] - SIDE
    top, left = (int(rng.integers(slack // 4, slack - slack // 4 + 1)) for slack in room)
    return to_luma(damaged)[top : top + SIDE, left : left + SIDE], encode_truth(asdict(truth))


def find_sharp(view: Rgb, side: int, likely: npt.NDArray[np.float32], rng: np.random.Generator) -> tuple[Rgb, float]:
    """A square of a view: where it is sharp, or, once in a while, anywhere; and what blur in px it has all the same."""
    height, width = view.shape[:2]
    threshold = float(np.quantile(likely, rng.uniform(0.4, 0.85)))
    anywhere = rng.random() < PLAIN
    found: list[tuple[float, int, Rgb]] = []
    for _ in range(TRIES):
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        square = view[top : top + side, left : left + side]
        if anywhere:
            return square, 0.0
        if likely[top + side // 2, left + side // 2] >= threshold:
            found.append((estimate_blur(to_luma(square)), len(found), square))
            if found[-1][0] <= SHARP:
                break
    blur, _, square = min(found, default=(0.0, 0, square))
    return square, max(0.0, blur**2 - SHARP**2) ** 0.5
