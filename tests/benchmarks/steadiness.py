"""Does a model hold its opinion? Photos changed in ways that nobody would notice, and how far the scores move.

    python -m tests.benchmarks.steadiness --photos DIR --model A [--model B] [--limit N] [--json FILE]

For each change the median and the 95th percentile over the photos of the absolute change of the score, in points of 0 to 100;
for each two models how well their scores of the photos as they are agree.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
from PIL import Image

from iqa_cli.evaluation.metrics import plcc, srcc
from iqa_cli.images.crops import Rgb
from iqa_cli.images.decode import decode_image
from iqa_cli.images.distortion_filters import compress

from .scored import (
    Floats,
    Model,
    Score,
    find_photos,
    known,
    make_parser,
    open_models,
    print_table,
    run_whole,
    show_figure,
    work_through,
    write_json,
)

TRIMMED = 0.01  # of the height or width, off each side


@dataclass(frozen=True)
class Movement:
    """How far one change moves scores: the median and the 95th percentile of the absolute difference, in points."""

    change: str
    median: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """Two models on the same photos: correlations (None: undefined), and the mean difference, second less first, in points."""

    first: str
    second: str
    srcc: float | None
    plcc: float | None
    absolute: float
    signed: float


# ---- changes ----


def save_again(rgb: Rgb) -> Rgb:
    """Through a JPEG of quality 95 with colours at half the resolution, as Pillow saves them unless told otherwise."""
    return compress(rgb, "JPEG", quality=95)


def resize(rgb: Rgb, factor: float) -> Rgb:
    """Another size, bicubic and antialiased."""
    height, width = (max(1, round(side * factor)) for side in rgb.shape[:2])
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BICUBIC))


def mirror(rgb: Rgb) -> Rgb:
    """Left becomes right."""
    return np.ascontiguousarray(rgb[:, ::-1])


def trim(rgb: Rgb) -> Rgb:
    """Without a hundredth at each side, at least a pixel of it, unless nothing would be left."""
    height, width = rgb.shape[:2]
    y, x = (min(max(1, round(side * TRIMMED)), (side - 1) // 2) for side in (height, width))
    return np.ascontiguousarray(rgb[y : height - y, x : width - x])


CHANGES: dict[str, Callable[[Rgb], Rgb]] = {
    "JPEG quality 95": save_again,
    "resized to 90 %": lambda rgb: resize(rgb, 0.9),
    "resized to 110 %": lambda rgb: resize(rgb, 1.1),
    "mirrored": mirror,
    "cropped by 2 %": trim,
}


# ---- from photos to figures ----


def score_photo(scores: Sequence[Score], rgb: Rgb) -> Floats:
    """What each model gives a photo as it is and after each change [models, 1 + changes]."""
    pictures = [rgb, *(change(rgb) for change in CHANGES.values())]
    return np.stack([score(pictures) for score in scores])


def score_photos(models: Sequence[Model], paths: Sequence[str], workers: int) -> tuple[list[str], Floats]:
    """The photos that could be decoded, and their scores [photos, models, 1 + changes]. Progress on stderr."""

    def score(path: str) -> Floats:
        return score_photo([model.score for model in models], decode_image(path).rgb)

    done = dict(work_through(score, paths, workers))
    return list(done), np.stack(list(done.values()))


def measure(given: Floats) -> list[Movement]:
    """How far each change moves one model's scores [photos, 1 + changes], the first being that of the photo as it is."""
    moved = np.abs(given[:, 1:] - given[:, :1])  # [photos, changes]
    medians, highs = np.percentile(moved, [50, 95], axis=0)
    return [Movement(*row) for row in zip(CHANGES, medians.tolist(), highs.tolist(), strict=True)]


def compare(names: tuple[str, str], first: Floats, second: Floats) -> Agreement:
    """Two models' scores of the same photos [photos] each."""
    rank, linear = (known(figure(first, second)) if len(first) > 1 else None for figure in (srcc, plcc))
    difference = second - first
    return Agreement(*names, rank, linear, float(np.abs(difference).mean()), float(difference.mean()))


# ---- the command ----


def make_rows(names: Sequence[str], measured: Sequence[Sequence[Movement]]) -> list[list[str]]:
    """The table of movements as text, header first; two columns a model. measured: a list of lines a model."""
    rows = [["change", *(f"{name} {figure}" for name in names for figure in ("median", "95 %"))]]
    for line in zip(*measured, strict=True):
        figures = [show_figure(figure, 2) for own in line for figure in (own.median, own.high)]
        rows.append([line[0].change, *figures])
    return rows


def make_agreement_rows(agreements: Sequence[Agreement]) -> list[list[str]]:
    """The table of agreements as text, header first."""
    rows = [["two models", "srcc", "plcc", "mean |B - A|", "mean B - A"]]
    for own in agreements:
        correlations = show_figure(own.srcc), show_figure(own.plcc)
        differences = show_figure(own.absolute, 2), show_figure(own.signed, 2, sign=True)
        rows.append([f"A {own.first}, B {own.second}", *correlations, *differences])
    return rows


def run(options: argparse.Namespace) -> None:
    """Measure, print, write. Raises IqaError."""
    paths = find_photos(options.photos, options.prefix)[: options.limit]
    models = open_models(options.model)
    decoded, given = score_photos(models, paths, options.workers)
    measured = [measure(given[:, place]) for place in range(len(models))]
    plain = [(name, given[:, place, 0]) for place, name in enumerate(options.model)]
    agreements = [compare((a, b), first, second) for (a, first), (b, second) in combinations(plain, 2)]
    sys.stdout.write(f"change of the score in points, {len(decoded)} photos\n")
    print_table(make_rows(options.model, measured))
    if agreements:
        sys.stdout.write("\n")
        print_table(make_agreement_rows(agreements))
    if options.json is not None:
        lists = {name: [asdict(own) for own in figures] for name, figures in zip(options.model, measured, strict=True)}
        write_json(options.json, {"photos": decoded, "models": lists, "agreement": [asdict(own) for own in agreements]})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; its exit code."""
    return run_whole(run, make_parser("How far scores move when photos hardly change.").parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
