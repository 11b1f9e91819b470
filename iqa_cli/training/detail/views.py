"""Views of photos with known damage, as sets of native patches: what the spectrum of a whole photo is learnt from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from iqa_cli.detail.damage import KERNELS, BlurKind, Damage, apply_damage, log_uniform
from iqa_cli.detail.native import SIDE, Luma, Place
from iqa_cli.detail.patches import choose_places, reduce_luma, to_luma
from iqa_cli.images.crops import Rgb, make_region
from iqa_cli.images.decode import decode_image
from iqa_cli.training.detail.samples import MARGIN, Sources, reduce_photo

A_REDUCTION = 6  # views of one reduction of a photo
BLURS: tuple[BlurKind, ...] = ("gaussian", "disc", "motion")
FAINT, FAINTEST, LEVEL = 0.1, 0.02, 110.0  # share of the views that have little contrast, of which how little, around a gray


@dataclass(frozen=True)
class View:
    """A damaged view. patches: uint8 [n, SIDE, SIDE]. reduction: log2 of the factor. photo: the number of its photo."""

    patches: Luma
    reduction: float
    photo: int


def draw_views(sources: Sources, seed: int) -> Iterator[View]:
    """The views of all photos, in this order."""
    for number, (path, count) in enumerate(zip(sources.paths, sources.counts, strict=True)):
        rng = np.random.default_rng((seed, number, 1))
        rgb = decode_image(path).rgb
        for first in range(0, count, A_REDUCTION):
            sharp = reduce_photo(rgb, rng)
            for _ in range(min(A_REDUCTION, count - first)):
                view = fade(sharp, log_uniform(rng, FAINTEST, 0.5)) if rng.random() < FAINT else sharp
                yield View(*damage_view(view, draw_enlargement(rng), rng), number)


def fade(rgb: Rgb, contrast: float) -> Rgb:
    """As in fog: with that share of its contrast."""
    return np.asarray(np.rint((rgb - LEVEL) * contrast + LEVEL), np.uint8)


def draw_enlargement(rng: np.random.Generator) -> Damage:
    """Mostly an enlargement, and otherwise rather little: the damage whose extent a spectrum shows."""
    damage = Damage()
    if rng.random() < 0.2:
        kind = BLURS[rng.integers(len(BLURS))]
        damage = replace(damage, kind=kind, blur=log_uniform(rng, 0.4, 5.0), angle=rng.uniform(0, np.pi))
    if rng.random() < 0.75:
        damage = replace(damage, scale=log_uniform(rng, 1.08, 4.0), kernel=KERNELS[rng.integers(len(KERNELS))])
    if rng.random() < 0.3:
        damage = replace(damage, noise=log_uniform(rng, 1.0, 12.0), early=bool(rng.random() < 0.5))
    if rng.random() < 0.2:
        damage = replace(damage, sharpen=rng.uniform(0.2, 1.2), radius=rng.uniform(0.6, 1.6))
    fate = rng.random()
    quality = int(rng.integers(90, 99)) if fate < 0.5 else int(rng.integers(70, 98))
    return replace(damage, codec="JPEG", quality=quality) if fate < 0.75 else damage


def damage_view(sharp: Rgb, damage: Damage, rng: np.random.Generator) -> tuple[Luma, float]:
    """The patches that are looked at of a damaged view, uint8 [n, SIDE, SIDE], and log2 of its reduction."""
    height, width = (round(side * damage.scale) for side in sharp.shape[:2])
    found = [
        damage_patch(cut_square(sharp, place, damage.scale), damage, rng)
        for place in choose_places(reduce_luma(make_region(sharp)), height, width)
    ]
    return np.stack([patch for patch, _ in found]), float(np.mean([np.log2(reduction) for _, reduction in found]))


def cut_square(sharp: Rgb, place: Place, scale: float) -> Rgb:
    """What becomes a patch and its margin by an enlargement. place: in px after it."""
    side = ceil((SIDE + MARGIN) / scale) + 2
    left, top = (
        max(0, min(round((begin - MARGIN / 2) / scale), length - side))
        for begin, length in zip(place, sharp.shape[1::-1], strict=True)
    )
    return sharp[top : top + side, left : left + side]


def damage_patch(square: Rgb, damage: Damage, rng: np.random.Generator) -> tuple[Luma, float]:
    """A damaged patch, uint8 [SIDE, SIDE], at any place of the grid of its codec, and its reduction."""
    damaged, truth = apply_damage(square, damage, rng)
    room = damaged.shape[0] - SIDE, damaged.shape[1] - SIDE
    top, left = (int(rng.integers(slack // 4, slack - slack // 4 + 1)) for slack in room)
    return to_luma(damaged)[top : top + SIDE, left : left + SIDE], truth.reduction
