"""What tells photos from other pictures, and what is lost."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from iqa_cli.explain.content import cut_intact
from iqa_cli.explain.measure import measure_picture, measure_safely
from iqa_cli.explain.reasons import find_reasons

FOLDER = Path(__file__).parents[1] / "photos"
PHOTOS = sorted(FOLDER.glob("*.jpg"))


def name_reasons(rgb: np.ndarray) -> set[str]:
    return {reason.code for reason in find_reasons(measure_picture(rgb, rgb.shape[1]))}


def draw_text() -> np.ndarray:
    sheet = Image.new("RGB", (800, 600), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for row in range(24):
        draw.text((40, 20 + 24 * row), "A line of text as a page has it, one of many. " * 2, fill="#223", font=font)
    return np.asarray(sheet)


def draw_chart() -> np.ndarray:
    sheet = Image.new("RGB", (800, 600), "white")
    draw = ImageDraw.Draw(sheet)
    for bar in range(8):
        draw.rectangle((60 + 90 * bar, 500 - 50 * bar, 120 + 90 * bar, 560), fill=(30 * bar, 90, 200 - 20 * bar))
    return np.asarray(sheet)


def draw_noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (400, 500, 3), np.uint8)


def draw_stripes() -> np.ndarray:
    wave = 128 + 100 * np.sin(np.arange(600) / 5)
    return np.repeat(np.tile(wave, (400, 1))[..., None], 3, axis=2).astype(np.uint8)


def draw_rings() -> np.ndarray:
    """Rings that lie closer the farther out they are: no one frequency stands out of the whole."""
    y, x = np.mgrid[:600, :600] - 300.0
    return np.repeat(np.rint(128 + 90 * np.cos((x * x + y * y) / 5000))[..., None], 3, axis=2).astype(np.uint8)


def draw_slope() -> np.ndarray:
    """An even slope of colours, a little noisy."""
    y, x = np.mgrid[:480, :640]
    slope = (x * 0.2 + y * 0.1)[..., None] + (20, 40, 60) + np.random.default_rng(0).normal(0, 1.5, (480, 640, 3))
    return np.rint(slope).astype(np.uint8)


def draw_terminal() -> np.ndarray:
    """A terminal whose lower half is empty: it is one colour from edge to edge, and so looks lost."""
    sheet = Image.new("RGB", (800, 600), "#300a24")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for row in range(14):
        draw.text((8, 8 + 19 * row), "$ ls -l   total 48   drwxr-xr-x  2 user user", fill="#eeeeee", font=font)
    return np.asarray(sheet)


@pytest.mark.parametrize("draw", [draw_text, draw_chart, draw_noise, draw_stripes, draw_rings, draw_slope, draw_terminal])
def test_pages_charts_patterns_and_noise_are_no_photos(draw: object) -> None:
    assert "not_photo" in name_reasons(draw())


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
def test_photos_are_photos_however_spoilt(path: Path) -> None:
    assert "not_photo" not in name_reasons(np.asarray(Image.open(path).convert("RGB")))


@pytest.mark.parametrize(
    "path", [FOLDER / f"{name}.jpg" for name in ("astronaut", "chelsea", "coffee")], ids=lambda path: path.stem
)
def test_nothing_is_wrong_with_clean_photos(path: Path) -> None:
    assert name_reasons(np.asarray(Image.open(path).convert("RGB"))) == set()


@pytest.mark.parametrize(("kind", "code"), [("blur", "soft"), ("noise", "noisy"), ("jpeg", "blocky"), ("dark", "dark")])
@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_what_was_done_to_photos_is_named(name: str, kind: str, code: str) -> None:
    assert code in name_reasons(np.asarray(Image.open(FOLDER / f"{name}-{kind}.jpg").convert("RGB")))


def test_grey_rows_and_columns_at_an_end_are_lost() -> None:
    photo = np.asarray(Image.open(FOLDER / "coffee.jpg").convert("RGB"))
    assert cut_intact(photo)[1] == 0
    for cut in (np.s_[300:], np.s_[:100], np.s_[:, 450:], np.s_[:, :150]):
        lost = photo.copy()
        lost[cut] = 128
        intact, share = cut_intact(lost)
        assert share == pytest.approx(0.25, abs=0.01)
        assert intact.size == pytest.approx(0.75 * photo.size, rel=0.01)
        assert "partly_lost" in name_reasons(lost)
        assert "not_photo" not in name_reasons(lost)


@pytest.mark.parametrize("tone", [0, 255])
def test_a_black_or_white_frame_is_no_loss(tone: int) -> None:
    framed = np.asarray(Image.open(FOLDER / "coffee.jpg").convert("RGB")).copy()
    framed[320:] = tone
    assert cut_intact(framed)[1] == 0


@pytest.mark.parametrize("turned", [False, True], ids=["rows", "columns"])
def test_a_picture_of_two_plain_colours_is_lost_and_measured(turned: bool) -> None:
    flag = np.full((480, 640, 3), (60, 110, 190), np.uint8)
    flag[200:] = (230, 205, 60)
    picture = np.ascontiguousarray(flag.transpose(1, 0, 2)) if turned else flag
    intact, share = cut_intact(picture)
    assert share == 1
    assert intact.shape == picture.shape
    assert {"not_photo", "partly_lost"} <= name_reasons(picture)


def test_any_picture_is_measured_however_small_and_plain() -> None:
    generator = np.random.default_rng(0)
    for number in range(150):
        height, width = (int(side) for side in generator.integers(1, 9, 2))
        picture = generator.integers(0, 256, (height, width, 3), np.uint8)
        picture[int(generator.integers(height)) :] = generator.integers(0, 256, 3)
        measured = measure_picture(picture.transpose(1, 0, 2) if number % 2 else picture, width)
        assert all(map(np.isfinite, measured.values()))


def test_what_cannot_be_measured_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = np.asarray(Image.open(FOLDER / "coffee.jpg").convert("RGB"))
    assert measure_safely(photo, photo.shape[1], 90.0) == measure_picture(photo, photo.shape[1], 90.0)
    monkeypatch.setattr("iqa_cli.explain.measure.measure_structure", lambda _: float("nan"))
    assert measure_safely(photo, photo.shape[1]).keys() == measure_picture(photo, photo.shape[1]).keys() - {"structure"}
    monkeypatch.setattr("iqa_cli.explain.measure.cut_intact", lambda _: 1 / 0)
    assert measure_safely(photo, photo.shape[1]) == {}
