"""What the measures of light say of real photos, as they are and made wrong."""

from pathlib import Path

import numpy as np
import pytest
from colors import to_light, to_srgb
from PIL import Image

from iqa_cli.explain.light import (
    MAX_WHITE,
    MIN_CONTRAST,
    MIN_HIGHLIGHT,
    Exposure,
    find_lightness,
    measure_exposure,
    measure_preview,
)
from iqa_cli.images.decode import decode_image
from iqa_cli.images.preview import make_preview

FOLDER = Path(__file__).parents[1] / "photos"
CLEAN = [FOLDER / f"{name}.jpg" for name in ("astronaut", "camera", "chelsea", "coffee", "rocket")]


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def expose(rgb: np.ndarray, stops: float) -> np.ndarray:
    """The photo with so many stops more light."""
    return np.asarray((255 * to_srgb(np.clip(to_light(rgb) * 2.0**stops, 0, 1)) + 0.5).astype(np.uint8))


def name_faults(measured: Exposure) -> set[str]:
    faults = {"dark": measured.highlight < MIN_HIGHLIGHT, "bright": measured.white > MAX_WHITE}
    return {name for name, wrong in {**faults, "flat": measured.contrast < MIN_CONTRAST}.items() if wrong}


@pytest.mark.parametrize("path", CLEAN, ids=lambda path: path.stem)
def test_a_photo_has_no_fault_until_it_is_given_one(path: Path) -> None:
    rgb = read(path)
    assert name_faults(measure_exposure(rgb)) == set()
    assert "dark" in name_faults(measure_exposure(expose(rgb, -4)))
    assert "dark" not in name_faults(measure_exposure(expose(rgb, -1)))
    flat = (128 + (rgb.astype(float) - 128) * 0.1).round().astype(np.uint8)
    assert name_faults(measure_exposure(flat)) == {"flat"}


def test_too_much_light_leaves_plain_white() -> None:
    faults = [name_faults(measure_exposure(expose(read(path), 4))) for path in CLEAN]
    assert sum("bright" in each for each in faults) >= 3
    assert all("dark" not in each for each in faults)


def test_measures_move_with_the_light() -> None:
    rgb = read(CLEAN[0])
    measured = [measure_exposure(expose(rgb, stops)) for stops in (-4, -2, 0, 2, 4)]
    assert [each.highlight for each in measured] == sorted(each.highlight for each in measured)
    assert [each.white for each in measured] == sorted(each.white for each in measured)


def test_lightness_is_that_of_cie() -> None:
    greys = np.array([[[0, 0, 0], [119, 119, 119], [255, 255, 255], [0, 255, 0]]], np.uint8)
    assert find_lightness(greys)[0] == pytest.approx([0, 50.03, 100, 87.73], abs=0.05)


def test_plain_pictures_are_what_they_are() -> None:
    black, white = (np.full((9, 9, 3), value, np.uint8) for value in (0, 255))
    assert measure_exposure(black) == Exposure(0.0, 0.0, 0.0)
    assert measure_exposure(white).white == 1.0
    red = np.zeros((9, 9, 3), np.uint8)
    red[..., 0] = 255
    assert measure_exposure(red).white == 0.0, "red is no white, however bright"


def test_a_preview_says_about_what_the_photo_does() -> None:
    path = str(CLEAN[3])
    preview = make_preview(path, decode_image(path), 256)
    whole, small = measure_exposure(read(CLEAN[3])), measure_preview(preview)
    assert small.highlight == pytest.approx(whole.highlight, abs=2)
    assert small.white == pytest.approx(whole.white, abs=0.01)
    assert small.contrast == pytest.approx(whole.contrast, abs=3)
