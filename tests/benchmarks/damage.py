"""Does a model see known damage? Clean photos that were never trained on, damaged step by step, and how the scores fall.

    python -m tests.benchmarks.damage --photos DIR --model NAME [--model OTHER] [--held-out 0.2] [--limit N] [--json FILE]

A photo is reduced to a short side of 512 px where it is larger, so that the levels of `images.distortions` mean what they say,
and damaged at levels 1 to 5 with each kind and with mixtures. The pattern of the damage hangs on the seed, the photo's name and
the kind, so every model judges the same pictures. For each kind, over the photos:

srcc: the mean rank correlation of level 0 to 5 with minus the score; 1 where every step down is a lower score. Where a photo
    has one score at all levels there is no order, which counts as 0.
above: the share of the pairs (clean, damaged at level 3, 4 or 5) in which the clean photo has the higher score.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image

from iqa_cli.datasets.splits import is_held_out
from iqa_cli.evaluation.metrics import srcc
from iqa_cli.images.crops import Rgb
from iqa_cli.images.decode import decode_image
from iqa_cli.images.distortions import DISTORTIONS, HELD_OUT, LEVELS, distort_mixture

from .scored import (
    Floats,
    Model,
    Score,
    find_photos,
    hash_text,
    make_parser,
    name_file,
    open_models,
    print_table,
    read_count,
    read_seed,
    read_share,
    run_whole,
    show_figure,
    work_through,
    write_json,
)

MIXTURES = (("gaussian_blur", "white_noise", "jpeg"), ("downscale", "jpeg"))
"""As photos meet it: an old camera, then the web; a thumbnail, saved once more. Every part has the level of the whole."""

CHAINS: dict[str, tuple[str, ...]] = {kind: (kind,) for kind in DISTORTIONS} | {"+".join(kinds): kinds for kinds in MIXTURES}
"""What is measured: name -> the kinds of damage, one after the other."""

TECHNICAL = ("blur", "noise", "compression", "scaling")  # families: what any viewer calls damage, whatever the photo
SEVERE = 3  # from this level on the clean photo must win


@dataclass(frozen=True)
class Figures:
    """A line of the table: a chain of damage, or the mean over several.

    held_out: whether the damage was kept out of training; None for a mean of both sorts. chains: how many are in it.
    """

    name: str
    held_out: bool | None
    chains: int
    photos: int
    srcc: float
    above: float


# ---- from a photo to scores ----


def reduce_photo(rgb: Rgb, side: int) -> Rgb:
    """The picture with a short side of at most that many px."""
    height, width = rgb.shape[:2]
    scale = side / min(height, width)
    if scale >= 1:
        return rgb
    size = max(side, round(width * scale)), max(side, round(height * scale))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC))


def damage_photo(rgb: Rgb, photo: str, chain: str, seed: int) -> list[Rgb]:
    """The picture at levels 1 to 5: one pattern, drawn by the seed, the photo's name and the chain, ever stronger."""
    entropy = [seed, hash_text(f"{chain} {photo}")]
    return [
        distort_mixture(rgb, [(kind, level) for kind in CHAINS[chain]], np.random.default_rng(entropy))
        for level in range(1, LEVELS + 1)
    ]


def score_photo(scores: Sequence[Score], rgb: Rgb, photo: str, seed: int) -> Floats:
    """What each model gives a photo at each level of each chain [models, chains, 6], level 0 first."""
    given = np.empty((len(scores), len(CHAINS), LEVELS + 1))
    given[:, :, 0] = [score([rgb]) for score in scores]  # [models, 1]
    for place, chain in enumerate(CHAINS):
        damaged = damage_photo(rgb, photo, chain, seed)
        given[:, place, 1:] = [score(damaged) for score in scores]
    return given


def score_photos(models: Sequence[Model], paths: Sequence[str], options: argparse.Namespace) -> tuple[list[str], Floats]:
    """The photos that could be decoded, and their scores [photos, models, chains, 6]. Progress on stderr."""

    def score(path: str) -> Floats:
        rgb = reduce_photo(decode_image(path).rgb, options.side)
        return score_photo([model.score for model in models], rgb, name_file(path), options.seed)

    done = dict(work_through(score, paths, options.workers))
    return list(done), np.stack(list(done.values()))


# ---- from scores to figures ----


def correlate(given: Floats) -> float:
    """The rank correlation of the levels with minus the scores [6]; 0 where all scores are equal."""
    return float(np.nan_to_num(srcc(range(len(given)), -given)))


def measure(given: Floats) -> list[Figures]:
    """The lines of the table from one model's scores [photos, chains, 6]: every chain, then means over groups of them."""
    correlations = [np.mean([correlate(own) for own in chain]) for chain in given.swapaxes(0, 1)]
    above = np.mean(given[:, :, :1] > given[:, :, SEVERE:], axis=(0, 2))  # [chains]
    figures = [
        Figures(name, any(kind in HELD_OUT for kind in kinds), 1, len(given), float(correlation), float(share))
        for (name, kinds), correlation, share in zip(CHAINS.items(), correlations, above, strict=True)
    ]
    return figures + [average(name, [own for own in figures if own.name in chains]) for name, chains in group_chains().items()]


def group_chains() -> dict[str, list[str]]:
    """The groups over which means are taken: name -> chains."""
    technical = [kind.name for kind in DISTORTIONS.values() if kind.family in TECHNICAL]
    return {
        "blurs, noises, compressions, scaling": technical,
        "others": [kind for kind in DISTORTIONS if kind not in technical],
        "mixtures": [name for name, kinds in CHAINS.items() if len(kinds) > 1],
        "held out of training": list(HELD_OUT),
        "all": list(CHAINS),
    }


def average(name: str, figures: Sequence[Figures]) -> Figures:
    """The mean over some chains; as all have the same photos, that is also the mean over all pairs."""
    sorts = {own.held_out for own in figures}
    return Figures(
        name,
        sorts.pop() if len(sorts) == 1 else None,
        len(figures),
        figures[0].photos,
        float(np.mean([own.srcc for own in figures])),
        float(np.mean([own.above for own in figures])),
    )


# ---- the command ----


def make_rows(names: Sequence[str], measured: Sequence[Sequence[Figures]]) -> list[list[str]]:
    """The table as text, header first; two columns a model. measured: a list of lines a model."""
    header = ["damage", "held out", "photos"]
    rows = [header + [f"{name} {figure}" for name in names for figure in ("srcc", "above")]]
    for line in zip(*measured, strict=True):
        first = line[0]
        title = first.name if first.name in CHAINS else f"mean of {first.chains}: {first.name}"
        held_out = {True: "yes", False: "no", None: ""}[first.held_out]
        figures = [show_figure(figure) for own in line for figure in (own.srcc, own.above)]
        rows.append([title, held_out, str(first.photos), *figures])
    return rows


def run(options: argparse.Namespace) -> None:
    """Measure, print, write. Raises IqaError."""
    paths = find_photos(options.photos, options.prefix, lambda name: is_held_out(name, options.held_out))[: options.limit]
    models = open_models(options.model)
    decoded, given = score_photos(models, paths, options)
    measured = [measure(given[:, place]) for place in range(len(models))]
    print_table(make_rows(options.model, measured))
    if options.json is not None:
        facts = {"seed": options.seed, "side": options.side, "held_out": options.held_out, "photos": decoded}
        lists = {name: [asdict(own) for own in figures] for name, figures in zip(options.model, measured, strict=True)}
        write_json(options.json, facts | {"models": lists})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; its exit code."""
    parser = make_parser("Whether scores fall, step by step, as clean photos are damaged.")
    parser.add_argument("--held-out", type=read_share, default=0.2, metavar="SHARE", help="of the photos, default 0.2; 1: all")
    parser.add_argument("--side", type=read_count, default=512, metavar="PX", help="short side of larger photos, default 512")
    parser.add_argument("--seed", type=read_seed, default=0, help="of what is random in the damage, default 0")
    return run_whole(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
