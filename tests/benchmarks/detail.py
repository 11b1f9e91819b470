"""Detail: is it told what is soft, shaken, noisy or enlarged, and which of several shots is the sharpest, at full size?

Clean photos are damaged at full size, saved as JPEGs of quality 95, and measured as `iqa score --detail` measures files. A
photo is called soft below one fixed detail, and enlarged from one fixed scale on. Frames of a burst are framed anew: shifted by
up to 40 px, and up to 4 % brighter or darker.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from iqa_cli.detail.damage import Damage, blur_picture, draw_noise
from iqa_cli.detail.model import DetailModel, open_detail
from iqa_cli.detail.native import SIDE
from iqa_cli.detail.patches import choose_places, reduce_luma
from iqa_cli.detail.take import take_patches
from iqa_cli.errors import DataError
from iqa_cli.images.crops import CropSpec, Rgb, cut_box, make_region
from iqa_cli.images.decode import decode_image
from iqa_cli.images.find import find_images
from iqa_cli.records import Detail, Undecodable

from .common import make_parser, print_table, read_count, read_seed, run_whole, write_json

QUALITY = 95  # of the JPEGs
SOFT = 35.0  # detail below which a photo is called soft
ENLARGED = 1.4  # scale from which a photo is called enlarged
SHIFT, BRIGHTNESS = 40, 0.04  # px, and share, by which frames differ
SLIGHT = (Damage(blur=1.5), Damage(blur=2), Damage(blur=3), Damage("motion", 5 / 24**0.5), Damage("motion", 9 / 24**0.5))
CLEAR = (Damage(blur=3), Damage(blur=4), Damage("disc", 4), Damage("motion", 12 / 24**0.5), Damage("motion", 20 / 24**0.5))
REDUCED = 3  # by so much a photo is reduced before it is enlarged: at half its sides many a photo is not sharp yet
SCALES = (1.5, 2.0, 3.0)  # by which it is then enlarged
QUARTER = 0.25  # of the truth: how near effective_mp is to be
SURROUNDINGS = Damage("disc", 5)  # around a subject in focus: a disc of 10 px radius
SUBJECT = 0.3  # of the shorter side: the radius of that subject
VIEW = CropSpec(416)  # what a score is made of, for which a decoder reduces JPEGs first
BARS = {  # what is measured, and the share that is wanted of it; of the first two at most so much
    "clean, called soft": 0.05,
    "sharp subject in blurred surroundings, called soft": 0.10,
    "sigma 3 px, called soft": 0.90,
    "sigma 1.5 px, less than clean": 0.98,
    "shake of 7 px, less than clean": 0.98,
    "noise of SD 16, less than clean": 0.95,
    "sharp frame best of six, slight softness": 0.90,
    "sharp frame best of six, clear softness": 0.98,
    "enlarged by 2, called enlarged": 0.95,
    "clean, called enlarged": 0.05,
    "effective_mp within a quarter": 0.80,
    "effective_mp within its interval": 0.90,
}
AT_MOST = ("clean, called soft", "sharp subject in blurred surroundings, called soft", "clean, called enlarged")
Measure = Callable[[Rgb], Detail]


def make_measure(model: DetailModel, folder: Path) -> Measure:
    """What saves a picture and measures its file."""
    path = folder / "photo.jpg"

    def measure(rgb: Rgb) -> Detail:
        Image.fromarray(rgb).save(path, quality=QUALITY)
        return model.judge(take_patches(str(path), decode_image(str(path), crops=VIEW)))

    return measure


def damage_photo(rgb: Rgb, damage: Damage, rng: np.random.Generator) -> Rgb:
    """A photo blurred or noisy at full size."""
    picture = cv2.GaussianBlur(rgb, (0, 0), damage.blur) if damage.kind == "gaussian" and damage.blur else rgb
    if damage.kind != "gaussian":
        picture = np.clip(np.rint(blur_picture(rgb.astype(np.float32), damage)), 0, 255).astype(np.uint8)
    if damage.noise:
        noisy = picture + draw_noise(picture.shape, damage, rng)
        picture = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return np.asarray(picture, np.uint8)


def frame_anew(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """Another frame of the same view."""
    left, top = (int(step) for step in rng.integers(0, SHIFT + 1, 2))
    height, width = rgb.shape[:2]
    part = rgb[top : height - SHIFT + top, left : width - SHIFT + left]
    gain = np.float32(1 + rng.uniform(-BRIGHTNESS, BRIGHTNESS))
    return np.clip(np.rint(part * gain), 0, 255).astype(np.uint8)


def resize(rgb: Rgb, height: int, width: int) -> Rgb:
    """Reduced, antialiased."""
    return cut_box(rgb, (0.0, 0.0, float(rgb.shape[1]), float(rgb.shape[0])), (height, width))


def enlarge(rgb: Rgb, scale: float) -> Rgb:
    """Enlarged, bicubic."""
    return np.asarray(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)


def blur_surroundings(rgb: Rgb) -> Rgb:
    """A photo with a subject in focus, where it has most structure, and all around it out of focus."""
    height, width = rgb.shape[:2]
    left, top = choose_places(reduce_luma(make_region(rgb)), height, width)[0]
    mask = np.zeros((height, width), np.float32)
    cv2.circle(mask, (left + SIDE // 2, top + SIDE // 2), round(SUBJECT * min(height, width)), 1.0, -1)
    mask = cv2.blur(mask, (201, 201))[..., None]
    around = damage_photo(rgb, SURROUNDINGS, np.random.default_rng(0))
    return np.clip(np.rint(rgb * mask + around * (1 - mask)), 0, 255).astype(np.uint8)


def judge_photo(rgb: Rgb, measure: Measure, rng: np.random.Generator) -> Iterator[tuple[str, bool]]:
    """What is measured on one photo, and whether it is so."""
    clean = measure(rgb)
    yield "clean, called soft", clean.detail < SOFT
    yield "clean, called enlarged", clean.scale >= ENLARGED
    yield "sharp subject in blurred surroundings, called soft", measure(blur_surroundings(rgb)).detail < SOFT
    yield "sigma 3 px, called soft", measure(damage_photo(rgb, Damage(blur=3), rng)).detail < SOFT
    others = {
        "sigma 1.5 px": Damage(blur=1.5),
        "shake of 7 px": Damage("motion", 7 / 24**0.5, rng.uniform(0, np.pi)),
        "noise of SD 16": Damage(noise=16),
    }
    for name, damage in others.items():
        yield f"{name}, less than clean", measure(damage_photo(rgb, damage, rng)).detail < clean.detail
    for name, faults in (("slight", SLIGHT), ("clear", CLEAR)):
        sharp = measure(frame_anew(rgb, rng)).detail
        soft = [measure(frame_anew(damage_photo(rgb, fault, rng), rng)).detail for fault in faults]
        yield f"sharp frame best of six, {name} softness", sharp > max(soft)
    yield from judge_enlarged(rgb, measure)


def judge_enlarged(rgb: Rgb, measure: Measure) -> Iterator[tuple[str, bool]]:
    """Whether it is told how large a photo was before it was enlarged."""
    height, width = rgb.shape[:2]
    middle = rgb[height // 4 : height // 4 + height // 2, width // 4 : width // 4 + width // 2]
    yield "enlarged by 2, called enlarged", measure(enlarge(middle, 2)).scale >= ENLARGED
    sharp = resize(rgb, height // REDUCED, width // REDUCED)
    truth = sharp.shape[0] * sharp.shape[1] / 1e6
    for scale in SCALES:
        found = measure(enlarge(sharp, scale))
        yield "effective_mp within a quarter", abs(found.effective_mp / truth - 1) <= QUARTER
        yield "effective_mp within its interval", found.effective_low <= truth <= found.effective_high


def find_photos(folder: Path, least: float) -> Iterator[tuple[str, Rgb]]:
    """The photos of a folder that have so many megapixels, decoded."""
    for path in find_images([str(folder)], {}):  # type: ignore[arg-type]  # nothing is counted
        try:
            decoded = decode_image(path)
        except Undecodable:
            continue
        if decoded.width * decoded.height >= least * 1e6:
            yield path, decoded.rgb


def measure_all(options: argparse.Namespace) -> None:
    """Damage and measure the photos, and print what is told."""
    model = open_detail(options.detail)
    told: dict[str, list[bool]] = {name: [] for name in BARS}
    photos: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="iqa-detail-") as folder:
        measure = make_measure(model, Path(folder))
        for number, (path, rgb) in enumerate(find_photos(options.photos, options.least)):
            if number == options.limit:
                break
            clean = {name: value for name, value in asdict(measure(rgb)).items() if name != "patches"}
            verdicts = list(judge_photo(rgb, measure, np.random.default_rng((options.seed, number))))
            for name, verdict in verdicts:
                told[name].append(verdict)
            missed = sorted({name for name, verdict in verdicts if verdict == (name in AT_MOST)})
            photos.append({"photo": Path(path).name, "clean": clean, "missed": missed})
            sys.stderr.write(f"{Path(path).name}: {clean['detail']:.0f}; missed: {', '.join(missed) or 'nothing'}\n")
    if not photos:
        raise DataError(f"{options.photos}: no photo has {options.least:g} megapixels")
    print_figures(told, len(photos))
    if options.json:
        write_json(options.json, {"photos": photos, "told": {name: [sum(seen), len(seen)] for name, seen in told.items()}})


def print_figures(told: dict[str, list[bool]], photos: int) -> None:
    """A line a bar."""
    sys.stdout.write(f"{photos} photos\n")
    rows = [("", "measured", "of", "wanted")]
    for name, bar in BARS.items():
        seen = told[name]
        share = sum(seen) / max(1, len(seen))
        wanted = f"{'at most' if name in AT_MOST else 'at least'} {bar:.0%}"
        rows.append((name, f"{share:.1%}", f"{len(seen)}", wanted))
    print_table(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; its exit code."""
    parser = make_parser("detail", __doc__)
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR", help="clean photos that no training saw")
    parser.add_argument("--detail", type=Path, metavar="FILE", help="the network, .onnx; default: the one that comes along")
    parser.add_argument("--least", type=float, default=9.0, metavar="MP", help="megapixels of a photo that is taken")
    parser.add_argument("--limit", type=read_count, metavar="N", help="photos at most")
    parser.add_argument("--seed", type=read_seed, default=0)
    return run_whole(measure_all, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
