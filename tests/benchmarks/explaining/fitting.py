"""Fitting: the coefficients of `iqa_cli/explain/fits.json`, by ridge regression on photos to which known amounts were done.

Only photos whose names' hash is even are used, those that thresholds are chosen on. The rates printed are those of predictions
for photos that each regression had not seen (five parts, by photo), at thresholds that a given share of clean ones is beyond:
what a threshold can reach, and what it costs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from iqa_cli.errors import DataError
from iqa_cli.explain.color import describe_color
from iqa_cli.explain.edges import find_edges
from iqa_cli.explain.fit import Fit, expand
from iqa_cli.explain.light import describe_light
from iqa_cli.explain.measure import cut_center, describe_enlarging, find_gray, measure_traces, view, view_edges, view_tones
from iqa_cli.explain.sharpening import describe_detail
from iqa_cli.images.crops import Rgb
from iqa_cli.images.distortion_filters import LINEAR, LUMINANCE, change_exposure, encode_srgb, map_tones, oversharpen
from iqa_cli.images.distortions import distort
from tests.benchmarks.common import make_parser, print_table, read_count, run_whole, write_json
from tests.benchmarks.explaining.reasons import LEVEL, enlarge, find_photos, hash_name, read_photo

Doubles = npt.NDArray[np.float64]
Made = tuple[str, tuple[float, ...], Rgb]  # what was done, amounts, the picture

CLEAN = "clean"
FOLDS = 5
SHARES = (0.005, 0.01, 0.02, 0.05)  # of clean photos beyond a threshold
WANTED = 0.9  # of what was done: the last column says which share of clean photos naming so much costs
SOME = 0.97  # of clean photos, by which usual deviations are found: the others are strange


# ---- what is done to photos, by known amounts ----


def vary_light(rgb: Rgb, generator: np.random.Generator) -> Iterator[Made]:
    """Exposed otherwise, by stops."""
    yield CLEAN, (0.0,), rgb
    for stops in (-3.0, -1.9, -1.0, 1.0, 1.3, 1.9, 2.5):
        yield f"{stops:+g} stops", (stops,), change_exposure(rgb, stops, generator)
    for stops in generator.uniform(-4, 4, 3).tolist():
        yield "any", (stops,), change_exposure(rgb, stops, generator)


def vary_color(rgb: Rgb, generator: np.random.Generator) -> Iterator[Made]:
    """In light of another colour, by the stops of red and of blue beside green; as `distortion_filters.cast_colour` does it."""
    yield CLEAN, (0.0, 0.0), rgb
    for stops in (0.45, 0.8, 0.8, 1.3, 1.7, 1.7, *generator.uniform(0, 2.3, 2).tolist()):
        angle = generator.uniform(0, 2 * np.pi)
        tint = stops / 3**0.5 * np.cos(angle + np.array([0, 2, 4]) * np.pi / 3)
        tones = encode_srgb(LINEAR[:, None] * 2**tint / (LUMINANCE @ 2**tint))
        amounts = float(tint[0] - tint[1]), float(tint[2] - tint[1])
        yield f"{stops:g} stops" if stops in (0.45, 0.8, 1.3, 1.7) else "any", amounts, map_tones(rgb, tones)


def vary_sharpness(rgb: Rgb, generator: np.random.Generator) -> Iterator[Made]:
    """Sharpened, by the doublings of one more than the amount; or spoilt in another way, by nothing."""
    yield CLEAN, (0.0,), rgb
    for amount in (0.6, 1.3, 2.5, *generator.uniform(0, 6, 2).tolist()):
        name = f"amount {amount:g}" if amount in (0.6, 1.3, 2.5) else "any"
        yield name, (float(np.log2(1 + amount)),), oversharpen(rgb, amount, generator)
    for kind in ("gaussian_blur", "lens_blur", "white_noise", "jpeg"):
        yield kind, (0.0,), distort(rgb, kind, float(generator.uniform(1, 4)), generator)


KERNELS = {"bicubic": cv2.INTER_CUBIC, "Lanczos": cv2.INTER_LANCZOS4, "linear": cv2.INTER_LINEAR}
OTHERWISE = (
    *("gaussian_blur", "gaussian_blur", "lens_blur", "lens_blur", "motion_blur", "denoise"),
    *("white_noise", "impulse_noise", "jpeg", "webp", "low_contrast"),
)


def vary_size(rgb: Rgb, generator: np.random.Generator) -> Iterator[Made]:
    """Reduced and enlarged again, by 1; or spoilt in another way, by 0."""
    yield CLEAN, (0.0,), rgb
    for name, kernel in KERNELS.items():
        yield f"by 2, {name}", (1.0,), enlarge(2, kernel)(rgb, generator)
    yield "by 3, linear", (1.0,), enlarge(3, cv2.INTER_LINEAR)(rgb, generator)
    yield "level 3", (1.0,), distort(rgb, "downscale", LEVEL, generator)
    kernel = list(KERNELS.values())[int(generator.integers(len(KERNELS)))]
    yield "any", (1.0,), enlarge(float(generator.uniform(1.5, 3)), kernel)(rgb, generator)
    for kind in OTHERWISE:
        yield kind, (0.0,), distort(rgb, kind, float(generator.uniform(1, 3)), generator)


def describe_edges(seen: Rgb) -> list[float]:
    """What sharpening is told by."""
    gray = view_edges(find_gray(seen))
    return describe_detail(gray, find_edges(gray.astype(np.float32)))


def describe_pixels(seen: Rgb) -> list[float]:
    """What enlarging is told by."""
    rgb = cut_center(seen)
    luma = find_gray(rgb).astype(np.float32)
    return describe_enlarging(luma, measure_traces(luma))


@dataclass(frozen=True)
class Study:
    """What is regressed on what.

    describe: a picture as `measure` sees it -> its features. weight: of a clean photo beside one that something was done to.
    size: combine the amounts as a size beside usual deviations; else there is one.
    """

    vary: Callable[[Rgb, np.random.Generator], Iterator[Made]]
    describe: Callable[[Rgb], list[float]]
    squares: bool
    penalty: float
    weight: float
    size: bool = False


STUDIES: Mapping[str, Study] = {
    "exposure": Study(vary_light, lambda seen: describe_light(view_tones(seen)), True, 10, 3),
    "cast": Study(vary_color, lambda seen: describe_color(view_tones(seen)), False, 10, 3, size=True),
    "sharpening": Study(vary_sharpness, describe_edges, True, 3, 3),
    "enlarging": Study(vary_size, describe_pixels, True, 3, 4),
}


# ---- regression ----


@dataclass(frozen=True)
class Samples:
    """What was done, [n]; features [n, f]; amounts [n, m]; the part that each photo is in, [n]."""

    done: npt.NDArray[np.str_]
    features: Doubles
    amounts: Doubles
    part: npt.NDArray[np.intp]


def draw_samples(study: Study, photos: Sequence[Path]) -> Samples:
    """All that is done to photos, described."""
    rows = [
        (name, study.describe(view(made)), amounts, place % FOLDS)
        for place, path in enumerate(photos)
        for name, amounts, made in study.vary(read_photo(path), np.random.default_rng((hash_name(path), 1)))
    ]
    done, features, amounts, part = zip(*rows, strict=True)
    return Samples(np.array(done), np.array(features), np.array(amounts), np.array(part))


def regress(terms: Doubles, amounts: Doubles, weights: Doubles, penalty: float) -> Doubles:
    """Ridge regression: [n, t], [n, m] -> [m, t]. The first term is constant, and not held down."""
    held = np.diag([0.0, *[penalty] * (terms.shape[1] - 1)])
    weighted = terms * weights[:, None]
    return np.asarray(np.linalg.solve(weighted.T @ terms + held, weighted.T @ amounts).T)


def predict_unseen(study: Study, samples: Samples, terms: Doubles) -> Doubles:
    """The amounts that are predicted for each part by the others, [n, m]."""
    weights = weigh(study, samples)
    predicted = np.zeros_like(samples.amounts)
    for part in range(FOLDS):
        own = samples.part == part
        found = regress(terms[~own], samples.amounts[~own], weights[~own], study.penalty)
        predicted[own] = terms[own] @ found.T
    return predicted


def weigh(study: Study, samples: Samples) -> Doubles:
    """The weight of each sample."""
    return np.where(samples.done == CLEAN, study.weight, 1.0)


def fit(study: Study, samples: Samples) -> tuple[Fit, Doubles]:
    """The regression on all of them, and what is predicted for those unseen, [n, m].

    Where the size of amounts counts, both are in usual deviations of clean photos, in all directions alike.
    """
    center, scale = samples.features.mean(axis=0), samples.features.std(axis=0) + 1e-6
    terms = expand(samples.features, center, scale, study.squares)
    unseen = predict_unseen(study, samples, terms)
    found = regress(terms, samples.amounts, weigh(study, samples), study.penalty)
    if study.size:
        whiten = find_whitening(unseen[samples.done == CLEAN])
        unseen, found = unseen @ whiten.T, whiten @ found
    rounded = [[float(f"{value:.4g}") for value in row] for row in (center, scale, *found)]
    return Fit(tuple(rounded[0]), tuple(rounded[1]), tuple(map(tuple, rounded[2:]))), unseen


def find_whitening(amounts: Doubles) -> Doubles:
    """What makes amounts [n, m] of deviation 1 in all directions, the strangest left out: [m, m]."""
    inverse = np.linalg.inv(np.cov(amounts.T))
    distance = np.einsum("ij,jk,ik->i", amounts, inverse, amounts)
    kept = amounts[distance < np.quantile(distance, SOME)]
    return np.asarray(np.linalg.cholesky(np.linalg.inv(np.cov(kept.T))).T)


# ---- what is printed and written ----


def list_rates(name: str, study: Study, samples: Samples, unseen: Doubles) -> Iterator[tuple[str, ...]]:
    """Rows: of each thing done, how much of it is beyond thresholds, and what WANTED of it costs."""
    clean = samples.done == CLEAN
    signs = (1.0, -1.0) if samples.amounts.min() < 0 and not study.size else (1.0,)
    for sign in signs:
        score = np.linalg.norm(unseen, axis=1) if study.size else sign * unseen[:, 0]
        limits = [float(np.quantile(score[clean], 1 - share, method="higher")) for share in SHARES]
        yield name + (" below" if sign < 0 else ""), "threshold", *(f"{limit:.3f}" for limit in limits), ""
        for done in dict.fromkeys(samples.done):
            own = score[samples.done == done]
            cost = (score[clean] > np.quantile(own, 1 - WANTED)).mean()
            yield "", str(done), *(f"{100 * share:.1f} %" for share in (*((own > limit).mean() for limit in limits), cost))


def write_fits(path: Path, fits: Mapping[str, Fit]) -> None:
    """The file of coefficients, a line each."""
    lines = [
        f'"{name}": {{\n  "center": {list(found.center)},\n  "scale": {list(found.scale)},\n  "weights": [\n    '
        + ",\n    ".join(str(list(row)) for row in found.weights)
        + "\n  ]\n}"
        for name, found in fits.items()
    ]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def run(options: argparse.Namespace) -> None:
    """Fit all, print the rates, write the coefficients. Raises DataError where there are no photos."""
    photos = [path for path in find_photos(options.photos) if hash_name(path) % 2 == 0][: options.count]
    if len(photos) < FOLDS:
        raise DataError(f"{options.photos}: fewer than {FOLDS} photos to fit there")
    fits, rows = {}, []
    for name, study in STUDIES.items():
        samples = draw_samples(study, photos)
        fits[name], unseen = fit(study, samples)
        rows.append(list(list_rates(name, study, samples, unseen)))
    heads = (*(f"at {100 * share:g} %" for share in SHARES), f"for {100 * WANTED:g} %")
    print_table([("fit", "what was done", *heads), *chain.from_iterable(rows)])
    if options.json:
        write_json(options.json, {name: [list(row) for row in table] for name, table in zip(fits, rows, strict=True)})
    if options.output:
        write_fits(options.output, fits)


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; its exit code."""
    parser = make_parser("explaining.fitting", __doc__)
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR", help="clean photos")
    parser.add_argument("--count", type=read_count, metavar="N", help="photos at most; else all")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the coefficients there")
    return run_whole(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
