"""Reasons: is what is wrong with photos named, is nothing named where nothing is, and are pictures that are no photos told?

Clean photos are damaged in known ways of middle strength (level 3 of `images.distortions`, or as said), and what is measured is
judged by `explain.reasons`. Photos whose names' hash is even are those that the thresholds were chosen on; the others count.
Hard cases are made of clean photos: a night, fog, a silhouette, a sharp subject before blurred surroundings.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from iqa_cli.errors import DataError
from iqa_cli.explain.measure import measure_picture
from iqa_cli.explain.reasons import KINDS, find_reasons
from iqa_cli.images.crops import Rgb
from iqa_cli.images.distortion_filters import LINEAR, change_exposure, encode_light
from iqa_cli.images.distortions import distort
from tests.benchmarks.common import make_parser, print_table, read_count, run_whole, write_json
from tests.benchmarks.explaining.graphics import draw_documents, find_icons, make_graphics

LEVEL = 3
SUFFIXES = (".avif", ".jpg", ".jpeg", ".png", ".webp")


# ---- photos ----


def hash_name(path: Path) -> int:
    """A number drawn by a photo's name."""
    return int.from_bytes(hashlib.blake2b(path.stem.encode(), digest_size=4).digest(), "big")


def find_photos(folder: Path) -> list[Path]:
    """The photos of a folder, in an order drawn by their names."""
    return sorted((path for path in folder.iterdir() if path.suffix in SUFFIXES), key=hash_name)


def read_photo(path: Path) -> Rgb:
    """The pixels of a photo."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


# ---- what is made wrong ----

Make = Callable[[Rgb, np.random.Generator], Rgb]


def by_level(kind: str, level: float = LEVEL) -> Make:
    """A distortion of the house."""
    return lambda rgb, generator: distort(rgb, kind, level, generator)


def expose(stops: float) -> Make:
    """More or less light."""
    return lambda rgb, generator: change_exposure(rgb, stops, generator)


def enlarge(factor: float, kernel: int) -> Make:
    """The photo reduced by a factor and enlarged again, as the whole of it is then, without any noise of its own."""

    def make(rgb: Rgb, _: np.random.Generator) -> Rgb:
        size = rgb.shape[1], rgb.shape[0]
        small = cv2.resize(rgb, (round(size[0] / factor), round(size[1] / factor)), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, size, interpolation=kernel), np.uint8)

    return make


def lose(rgb: Rgb, generator: np.random.Generator) -> Rgb:
    """Some of the rows at the lower end are grey, as a JPEG that is cut short leaves them."""
    lost = rgb.copy()
    lost[int(len(rgb) * generator.uniform(0.3, 0.85)) :] = 128
    return lost


def shrink(rgb: Rgb, _: np.random.Generator) -> Rgb:
    """A thumbnail of 240 px."""
    scale = 240 / max(rgb.shape)
    return np.asarray(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


SAVED = "JPEG, quality 17"
DAMAGE: Mapping[str, tuple[str, Make]] = {
    "gaussian blur": ("soft", by_level("gaussian_blur")),
    "lens blur": ("soft", by_level("lens_blur")),
    "motion blur": ("shaken", by_level("motion_blur")),
    "white noise": ("noisy", by_level("white_noise")),
    "colour noise": ("noisy", by_level("colour_noise")),
    "sensor noise": ("noisy", by_level("sensor_noise")),
    "impulse noise": ("noisy", by_level("impulse_noise")),
    "underexposure, 1.9 stops": ("dark", by_level("underexposure")),
    "underexposure, 3 stops": ("dark", expose(-3)),
    "overexposure, 1.3 stops": ("bright", by_level("overexposure")),
    "overexposure, 2.5 stops": ("bright", expose(2.5)),
    "contrast x 0.47": ("flat", by_level("low_contrast")),
    "contrast x 0.25": ("flat", by_level("low_contrast", 4.5)),
    SAVED: ("blocky", by_level("jpeg")),
    "the same, saved again as PNG": ("blocky", by_level("jpeg")),
    "every 24th value": ("banded", by_level("banding")),
    "colour cast, 0.8 stops": ("cast", by_level("colour_cast")),
    "colour cast, 1.7 stops": ("cast", by_level("colour_cast", 4.5)),
    "oversharpening": ("oversharp", by_level("oversharpening")),
    "enlarged, level 3": ("upscaled", by_level("downscale")),
    "enlarged by 2, bicubic": ("upscaled", enlarge(2, cv2.INTER_CUBIC)),
    "enlarged by 2, Lanczos": ("upscaled", enlarge(2, cv2.INTER_LANCZOS4)),
    "enlarged by 3, linear": ("upscaled", enlarge(3, cv2.INTER_LINEAR)),
    "enlarged, pixels seen": ("upscaled", by_level("pixelation")),
    "thumbnail of 240 px": ("lowres", shrink),
    "lower end grey": ("partly_lost", lose),
}
"""What is done to a photo -> the reason that it gives, and how it is done."""


def make_night(rgb: Rgb, generator: np.random.Generator) -> Rgb:
    """Three stops too little light, with lamps in it."""
    dark = LINEAR[rgb] / 8
    height, width = rgb.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for _ in range(6):
        place, radius = generator.uniform(0, 1, 2) * (height, width), min(height, width) * generator.uniform(0.01, 0.04)
        dark += np.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / (2 * radius**2))[..., None] * (1.0, 0.85, 0.6)
    return encode_light(dark)


def make_fog(rgb: Rgb, _: np.random.Generator) -> Rgb:
    """Light grey over all of it, thicker at the top."""
    share = np.linspace(0.75, 0.35, len(rgb))[:, None, None]
    return np.asarray(np.rint(rgb * (1 - share) + 205 * share), np.uint8)


def make_silhouette(rgb: Rgb, _: np.random.Generator) -> Rgb:
    """What is dark becomes black, the rest is an evening sky."""
    luma = cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (0, 0), 1).astype(np.float32)
    light = 1 / (1 + np.exp(-(luma - np.median(luma)) / 6))
    sky = np.linspace((60, 80, 140), (250, 170, 90), len(rgb))[:, None] * np.ones((1, rgb.shape[1], 1))
    return np.asarray(np.rint(6 + light[..., None] * (sky - 6)), np.uint8)


def make_shallow(rgb: Rgb, _: np.random.Generator) -> Rgb:
    """Sharp in an ellipse in the middle, of a tenth of the photo, and far out of focus around it."""
    height, width = rgb.shape[:2]
    y, x = np.mgrid[:height, :width]
    inside = ((y / height - 0.5) / 0.2) ** 2 + ((x / width - 0.5) / 0.16) ** 2
    share = cv2.GaussianBlur((inside < 1).astype(np.float32), (0, 0), min(height, width) / 60)[..., None]
    blurred = cv2.GaussianBlur(rgb, (0, 0), min(height, width) / 60)
    return np.asarray(np.rint(rgb * share + blurred * (1 - share)), np.uint8)


HARD: Mapping[str, Make] = {
    "night, lamps": make_night,
    "fog": make_fog,
    "silhouette": make_silhouette,
    "shallow depth of field": make_shallow,
}


# ---- counting ----


def name_reasons(rgb: Rgb, quality: float | None = None) -> set[str]:
    """The reasons of a picture."""
    return {reason.code for reason in find_reasons(measure_picture(rgb, rgb.shape[1], quality))}


def judge_damage(photos: Sequence[Path]) -> Iterator[tuple[str, str, int, int, Counter[str]]]:
    """Of each damage its name, its reason, how often that was named, of how many, and what else was named."""
    for name, (code, make) in DAMAGE.items():
        hits, others = 0, Counter[str]()
        for path in photos:
            quality = 17.0 if name == SAVED else None  # as its file says it
            found = name_reasons(make(read_photo(path), np.random.default_rng(hash_name(path))), quality)
            hits += code in found
            others.update(found - {code})
        yield name, code, hits, len(photos), others


def count_flags(pictures: Iterator[Rgb]) -> tuple[int, int, Counter[str]]:
    """How many have any reason, of how many, and which."""
    flagged, total, codes = 0, 0, Counter[str]()
    for rgb in pictures:
        found = name_reasons(rgb)
        flagged, total = flagged + bool(found), total + 1
        codes.update(found)
    return flagged, total, codes


def count_graphics(count: int) -> dict[str, tuple[int, int]]:
    """Kind of picture -> how many were told to be no photos, of how many."""
    hits, totals = Counter[str](), Counter[str]()
    for kind, rgb in chain(make_graphics(count), find_icons(count), draw_documents(count)):
        totals[kind] += 1
        hits[kind] += "not_photo" in name_reasons(rgb)
    return {kind: (hits[kind], totals[kind]) for kind in totals}


def show_share(hits: int, total: int) -> str:
    """A share in per cent."""
    return f"{100 * hits / total:.1f} %" if total else "-"


def show_counts(codes: Counter[str], total: int) -> str:
    """The commonest codes and their shares."""
    return ", ".join(f"{code} {show_share(number, total)}" for code, number in codes.most_common(4))


def measure(options: argparse.Namespace) -> None:
    """Print all rates. Raises DataError where there are no photos."""
    photos = [path for path in find_photos(options.photos) if hash_name(path) % 2 or options.all]
    if not photos:
        raise DataError(f"{options.photos}: no photos there")
    photos = spread_sources(photos, len(photos))
    figures: dict[str, object] = {"photos": len(photos)}
    clean = photos[: options.clean]
    flagged, total, codes = count_flags(map(read_photo, clean))
    rows = [("clean photos", "any reason", str(flagged), str(total), show_share(flagged, total), show_counts(codes, total))]
    figures["clean"] = {"flagged": flagged, "of": total, "codes": dict(codes)}
    damaged = spread_sources(photos, options.count)
    results = list(judge_damage(damaged)) if options.count else []
    rows += [
        (name, code, str(hits), str(n), show_share(hits, n), show_counts(others, n)) for name, code, hits, n, others in results
    ]
    figures["damage"] = {name: {"reason": code, "hits": hits, "of": n} for name, code, hits, n, _ in results}
    for name, make in HARD.items() if options.count else ():
        made = (make(read_photo(path), np.random.default_rng(hash_name(path))) for path in damaged)
        flagged, total, codes = count_flags(made)
        rows.append(
            (f"hard: {name}", "any reason", str(flagged), str(total), show_share(flagged, total), show_counts(codes, total))
        )
        figures[name] = {"flagged": flagged, "of": total, "codes": dict(codes)}
    graphics = count_graphics(options.graphics) if options.graphics else {}
    rows += [
        (f"no photo: {kind}", "not_photo", str(hits), str(n), show_share(hits, n), "") for kind, (hits, n) in graphics.items()
    ]
    hits, total = (sum(pair[place] for pair in graphics.values()) for place in (0, 1))
    rows.append(("no photo: all", "not_photo", str(hits), str(total), show_share(hits, total), ""))
    figures["not_photo"] = {kind: {"hits": hits, "of": n} for kind, (hits, n) in graphics.items()}
    print_table([("what", "reason", "named", "of", "share", "other reasons"), *rows])
    show_cost(clean[0])
    if options.json:
        write_json(options.json, figures)


def spread_sources(photos: Sequence[Path], count: int) -> list[Path]:
    """So many of them, of all sources alike, which the names begin with."""
    turns: Counter[str] = Counter()
    keys = []
    for path in photos:
        source = path.stem.split("_")[0]
        keys.append((turns[source], path))
        turns[source] += 1
    return [path for _, path in sorted(keys, key=lambda key: key[0])[:count]]


def show_cost(path: Path) -> None:
    """What measuring one photo costs."""
    rgb = read_photo(path)
    began = time.process_time()
    for _ in range(5):
        measure_picture(rgb, rgb.shape[1])
    taken = (time.process_time() - began) / 5
    sys.stdout.write(f"measuring {rgb.shape[1]} x {rgb.shape[0]} px: {1000 * taken:.0f} ms of CPU; {len(KINDS)} reasons\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; its exit code."""
    parser = make_parser("explaining.reasons", __doc__)
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR", help="clean photos")
    parser.add_argument(
        "--count", type=lambda text: read_count(text, 0), default=40, metavar="N", help="photos that are damaged"
    )
    parser.add_argument("--clean", type=read_count, default=1000, metavar="N", help="clean photos at most")
    parser.add_argument(
        "--graphics", type=lambda text: read_count(text, 0), default=10, metavar="N", help="of each kind of no photo"
    )
    parser.add_argument("--all", action="store_true", help="also those photos that the thresholds were chosen on")
    return run_whole(measure, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
