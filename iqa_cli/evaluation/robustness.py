"""Robustness of models on clean photos: scores fall with distortion, of a part too, and hardly move under harmless changes.

Each photo is reduced to a short side of 512 px where it is larger, so that the levels of `images.distortions` mean what they
say, and distorted at levels 1 to 5 with each kind and with mixtures. What is random in a distortion hangs on the seed, the
photo's file name and the kind, so every model is measured on the same pictures. Harmless changes are made to the photo in its
own size. Scores are on 0..100, whatever the scale of a model's card is.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np

from iqa_cli.datasets.splits import is_held_out
from iqa_cli.errors import DataError
from iqa_cli.evaluation.array_scorer import ArrayScorer, open_scorers, score_pictures
from iqa_cli.evaluation.local_faults import GRAIN, PICTURES, Fall, spoil
from iqa_cli.evaluation.metrics import Floats, srcc
from iqa_cli.evaluation.run import Scored
from iqa_cli.images.crops import Rgb
from iqa_cli.images.decode import decode_image
from iqa_cli.images.distortions import DISTORTIONS, HARMLESS, LEVELS, distort_mixture, limit_short_side
from iqa_cli.images.find import UNSEEN, find_images
from iqa_cli.options import RobustnessOptions
from iqa_cli.records import Undecodable
from iqa_cli.scoring.ordered_map import map_ordered
from iqa_cli.scoring.resources import count_workers
from iqa_cli.scoring.tally import describe_counts

SHORT_SIDE = 512  # px, for which the strengths of distortions are given
SEVERE = 3  # from this level on the clean photo must have the higher score

MIXTURES = (("gaussian_blur", "white_noise", "jpeg"), ("downscale", "jpeg"))
"""As photos meet it: an old camera, then the web; a thumbnail, saved once more. Every part has the level of the whole."""

CHAINS: dict[str, tuple[str, ...]] = {kind: (kind,) for kind in DISTORTIONS} | {"+".join(kinds): kinds for kinds in MIXTURES}
"""What is measured: name -> the kinds of distortion, one after the other."""

TECHNICAL = ("blur", "noise", "compression", "scaling")  # families that lower the quality of any photo
GROUPS = {
    "blurs, noises, compressions, scaling": [kind.name for kind in DISTORTIONS.values() if kind.family in TECHNICAL],
    "others": [kind.name for kind in DISTORTIONS.values() if kind.family not in TECHNICAL],
    "mixtures": ["+".join(kinds) for kinds in MIXTURES],
}
"""Over which means are taken: name -> chains."""


# ---- what comes out ----


@dataclass(frozen=True, slots=True)
class Order:
    """Order of scores by the level of a chain of distortions, or of several in the mean.

    chains: how many are in it. srcc: rank correlation of level 0 to 5 with minus the score, mean over the photos; a photo with
    one score at all levels counts as 0. clean_above: the share of the pairs (clean, distorted at level 3, 4 or 5) in which the
    clean photo has the higher score.
    """

    name: str
    chains: int
    srcc: float
    clean_above: float


@dataclass(frozen=True, slots=True)
class Movement:
    """Movement of scores by a harmless change: median and 95th percentile of the absolute difference, in points of 0..100."""

    change: str
    median: float
    p95: float


@dataclass(frozen=True)
class Robustness:
    """The scores of one model, and the figures that follow from them.

    model: as it was asked for. photos: those that could be decoded; failed: the others, path -> reason, and folders of which
    something could not be looked at.
    distorted: scores [photos, chains, 6], level 0 first. changed: scores [photos, 1 + changes], the photo as it is first.
    local: scores [photos, pictures] of `local_faults.PICTURES`.
    held_out, seed: as in `RobustnessOptions`.
    """

    model: str
    photos: tuple[str, ...]
    failed: dict[str, str]
    distorted: Floats
    changed: Floats
    local: Floats
    held_out: float = 1.0
    seed: int = 0

    @property
    def orders(self) -> list[Order]:
        """The figures of each chain."""
        correlations = [np.mean([correlate_levels(own) for own in chain]) for chain in self.distorted.swapaxes(0, 1)]
        above = np.mean(self.distorted[:, :, :1] > self.distorted[:, :, SEVERE:], axis=(0, 2))  # [chains]
        return [Order(name, 1, float(r), float(share)) for name, r, share in zip(CHAINS, correlations, above, strict=True)]

    @property
    def groups(self) -> list[Order]:
        """The mean figures over each group of chains."""
        orders = {order.name: order for order in self.orders}
        return [average_orders(name, [orders[chain] for chain in chains]) for name, chains in GROUPS.items()]

    @property
    def movements(self) -> list[Movement]:
        """The figures of each harmless change."""
        moved = np.abs(self.changed[:, 1:] - self.changed[:, :1])  # [photos, changes]
        medians, highs = np.percentile(moved, [50, 95], axis=0)
        return [Movement(*row) for row in zip(HARMLESS, medians.tolist(), highs.tolist(), strict=True)]

    @property
    def falls(self) -> list[Fall]:
        """The figures of each local fault; a fault of the photo in its own size is compared with the photo as it is."""
        falls = []
        for name in dict.fromkeys(name for name, _ in PICTURES):
            clean = self.changed[:, 0] if name == GRAIN else self.distorted[:, 0, 0]
            own = self.local[:, [place for place, (fault, _) in enumerate(PICTURES) if fault == name]]
            drop = clean[:, None] - own  # [photos, pictures]
            falls.append(Fall(name, drop.size, float(np.mean(drop > 0)), float(np.median(drop))))
        return falls


def correlate_levels(scores: Floats) -> float:
    """Rank correlation of the levels with minus the scores [6]; 0 where all scores are equal."""
    return float(np.nan_to_num(srcc(range(len(scores)), -scores)))


def average_orders(name: str, orders: Sequence[Order]) -> Order:
    """Average the figures over some chains; as all have the same photos, that is also the mean over all pairs."""
    figures = (float(np.mean([getattr(order, figure) for order in orders])) for figure in ("srcc", "clean_above"))
    return Order(name, len(orders), *figures)


# ---- photos ----


def choose_photos(
    folders: Sequence[Path], held_out: float = 1.0, limit: int | None = None, unseen: dict[str, str] | None = None
) -> list[str]:
    """Choose photos in folders, in an order drawn by their file names, so that the first of them are a fair sample.

    Each file is chosen once, by whatever names it comes. held_out: the share of them that `splits.is_held_out` keeps. unseen:
    gets the folders of which something could not be looked at, with what. Raises DataError where a folder is missing or nothing
    is left.
    """
    files: dict[str, str] = {}
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder of clean photos")
        left_out = Counter[str]()
        for path in find_images([str(folder)], left_out):
            files.setdefault(os.path.realpath(path), path)
        if unseen is not None and (kinds := Counter({kind: left_out[kind] for kind in UNSEEN if left_out[kind]})):
            unseen[str(folder)] = f"{describe_counts(kinds)}: there may be photos that are in no figure"
    found = list(files.values())
    kept = [path for path in found if is_held_out(Path(path).name, held_out)]
    if not kept:
        share = f", and none of {len(found)} images is held out at a share of {held_out:g}" if found else ""
        raise DataError(f"{', '.join(map(str, folders))}: no photos to measure on{share}")
    return sorted(kept, key=lambda path: hash_text(Path(path).name))[:limit]


def hash_text(text: str) -> int:
    """Hash a text to 64 bits, the same on every machine."""
    return int.from_bytes(hashlib.sha1(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()[:8], "big")


# ---- from a photo to scores ----


def distort_photo(rgb: Rgb, name: str, chain: str, seed: int) -> list[Rgb]:
    """Distort a picture at levels 1 to 5: one pattern, drawn by the seed, the photo's name and the chain, ever stronger."""
    entropy = [seed, hash_text(f"{chain} {name}")]
    return [
        distort_mixture(rgb, [(kind, level) for kind in CHAINS[chain]], np.random.default_rng(entropy))
        for level in range(1, LEVELS + 1)
    ]


def score_distorted(scorers: Sequence[ArrayScorer], rgb: Rgb, name: str, seed: int) -> Floats:
    """Scores of a photo at each level of each chain [models, chains, 6], level 0 first."""
    reduced = limit_short_side(rgb, SHORT_SIDE)
    scores = np.empty((len(scorers), len(CHAINS), LEVELS + 1))
    scores[:, :, 0] = score_pictures(scorers, [reduced])
    for place, chain in enumerate(CHAINS):
        scores[:, place, 1:] = score_pictures(scorers, distort_photo(reduced, name, chain, seed))
    return scores


def score_changed(scorers: Sequence[ArrayScorer], rgb: Rgb) -> Floats:
    """Scores of a photo as it is and after each harmless change [models, 1 + changes]."""
    return score_pictures(scorers, (change(rgb) for change in (lambda same: same, *HARMLESS.values())))


def score_local(scorers: Sequence[ArrayScorer], rgb: Rgb, name: str, seed: int) -> Floats:
    """Scores of a photo with each local fault [models, pictures]."""
    return score_pictures(scorers, spoil(limit_short_side(rgb, SHORT_SIDE), rgb, [seed, hash_text(name)]))


def measure_robustness(options: RobustnessOptions) -> Generator[Scored | Robustness]:
    """Measure all models on the same photos: an event a photo, then the outcome of each model.

    A photo that cannot be decoded is in no figure, and is told of, as is a folder that cannot be read. Raises UsageError,
    WeightsError and DataError, also where none can be.
    """
    unseen: dict[str, str] = {}
    paths = choose_photos(options.photos, options.held_out, options.limit, unseen)
    scorers = open_scorers(options.models, options.scoring)

    def score(path: str, _: Event) -> tuple[Floats, Floats, Floats] | Undecodable:
        try:
            rgb = decode_image(path).rgb
        except Undecodable as failure:
            return failure
        name = Path(path).name
        distorted = score_distorted(scorers, rgb, name, options.seed)
        return distorted, score_changed(scorers, rgb), score_local(scorers, rgb, name, options.seed)

    scores: dict[str, tuple[Floats, Floats, Floats]] = {}
    failed: dict[str, str] = {}
    with closing(map_ordered(paths, score, threads=options.scoring.workers or count_workers())) as outcomes:
        for path, outcome in zip(paths, outcomes, strict=True):
            if isinstance(outcome, Undecodable):
                failed[path] = str(outcome)
            else:
                scores[path] = outcome
            yield Scored("robustness", ", ".join(options.models), len(scores) + len(failed), len(paths), len(failed))
    if not scores:
        raise DataError(f"none of {len(paths)} photos could be decoded; the first: {paths[0]}: {failed[paths[0]]}")
    for place, scorer in enumerate(scorers):
        distorted, changed, local = (np.stack([own[part][place] for own in scores.values()]) for part in range(3))
        yield Robustness(scorer.name, tuple(scores), failed | unseen, distorted, changed, local, options.held_out, options.seed)
