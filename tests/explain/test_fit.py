"""Regressions: their arithmetic, and what they say of photos to which known amounts were done."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from iqa_cli.explain.fit import Fit, read_fits
from iqa_cli.explain.measure import measure_picture
from iqa_cli.explain.reasons import find_reasons
from iqa_cli.images.crops import Rgb
from iqa_cli.images.distortion_filters import LINEAR, change_exposure, encode_srgb, map_tones, oversharpen

FOLDER = Path(__file__).parents[1] / "photos"
CLEAN = [FOLDER / f"{name}.jpg" for name in ("astronaut", "chelsea", "coffee")]
CHANCE = np.random.default_rng(0)


def read(path: Path) -> Rgb:
    return np.asarray(Image.open(path).convert("RGB"))


def measure(rgb: Rgb) -> dict[str, float]:
    return measure_picture(rgb, rgb.shape[1])


def name_reasons(rgb: Rgb) -> set[str]:
    return {reason.code for reason in find_reasons(measure(rgb))}


def enlarge(rgb: Rgb, kernel: int) -> Rgb:
    height, width = rgb.shape[:2]
    small = cv2.resize(rgb, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=kernel), np.uint8)


def tint(rgb: Rgb, gains: tuple[float, float, float]) -> Rgb:
    return map_tones(rgb, encode_srgb(LINEAR[:, None] * np.array(gains)))


def test_a_fit_is_linear_with_squares_and_bounded() -> None:
    linear = Fit((1.0, 2.0), (2.0, 4.0), ((0.5, 1.0, -1.0), (0.0, 0.0, 2.0)))
    assert linear.predict((3.0, 6.0)).tolist() == [0.5, 2.0]
    assert linear.predict((1000.0, 2.0)).tolist() == [4.5, 0.0], "no feature counts beyond four deviations"
    squares = Fit((1.0,), (2.0,), ((0.0, 1.0, 10.0),))
    assert squares.predict((5.0,)).tolist() == [2 + 10 * (4 - 1)]
    with pytest.raises(ValueError, match="3 features where 2 were fitted"):
        linear.predict((1.0, 2.0, 3.0))


def test_the_fits_of_this_version_are_whole() -> None:
    fits = read_fits()
    for fit, outputs in ((fits.exposure, 1), (fits.cast, 2), (fits.sharpening, 1), (fits.enlarging, 1)):
        assert len(fit.weights) == outputs
        assert len(fit.center) == len(fit.scale)
        assert {len(row) for row in fit.weights} <= {1 + len(fit.center), 1 + 2 * len(fit.center)}
        assert min(fit.scale) > 0


@pytest.mark.parametrize("path", CLEAN, ids=lambda path: path.stem)
def test_stops_of_light_are_found_and_named(path: Path) -> None:
    rgb = read(path)
    found = [measure(change_exposure(rgb, stops, CHANCE))["stops_too_light"] for stops in (-3, -1.5, 0, 1.5, 3)]
    assert found == sorted(found)
    assert abs(found[2]) < 1
    assert "dark" in name_reasons(change_exposure(rgb, -3, CHANCE))
    assert "bright" in name_reasons(change_exposure(rgb, 3, CHANCE))


@pytest.mark.parametrize("path", CLEAN, ids=lambda path: path.stem)
def test_a_strong_cast_is_named_and_a_gray_picture_has_none(path: Path) -> None:
    rgb = read(path)
    assert "cast" in name_reasons(tint(rgb, (0.6, 1.3, 0.5)))  # green
    gray = np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    assert measure(gray)["cast"] == 0


@pytest.mark.parametrize("path", CLEAN, ids=lambda path: path.stem)
def test_an_unsharp_mask_far_too_strong_is_named(path: Path) -> None:
    rgb = read(path)
    found = [measure(oversharpen(rgb, amount, CHANCE))["sharpening"] for amount in (0, 1.3, 2.5)]
    assert found == sorted(found)
    assert "oversharp" in name_reasons(oversharpen(rgb, 5, CHANCE))
    assert "oversharp" not in name_reasons(rgb)


@pytest.mark.parametrize("kernel", [cv2.INTER_CUBIC, cv2.INTER_LANCZOS4, cv2.INTER_LINEAR])
@pytest.mark.parametrize("path", CLEAN, ids=lambda path: path.stem)
def test_what_was_enlarged_by_two_is_named(path: Path, kernel: int) -> None:
    assert "upscaled" in name_reasons(enlarge(read(path), kernel))


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 2), (40, 40), (7, 9)])
@pytest.mark.parametrize("tone", [0, 90, 255])
def test_the_smallest_and_the_plainest_pictures_are_measured_too(shape: tuple[int, int], tone: int) -> None:
    plain = np.full((*shape, 3), tone, np.uint8)
    noisy = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    assert all(np.isfinite(value) for rgb in (plain, noisy) for value in measure(rgb).values())
