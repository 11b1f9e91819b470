"""The picture of an explanation: nothing is cut off, frames lie where their patches do, and names are spelt."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image, ImageFont

from iqa_cli.explain.picture import GROUND, LEAST_SPAN, MARGIN, Page, draw_page, find_shown, mark_patches, spell
from iqa_cli.images.crops import Rgb
from iqa_cli.records import Patch

FRAME = (255, 225, 77)


def make_page(height: int, width: int, patches: Sequence[Patch] = (), title: str = "a.jpg", shown: int | None = None) -> Page:
    """A grey photo of that size, of which the picture shows all, or so many columns in the middle."""
    rgb: Rgb = np.full((height, shown or width, 3), 128, np.uint8)
    return Page(rgb, np.zeros((4, 6), np.float32), title, ["Score 50.0, of a kind", ""], patches, (width, height))


def draw(page: Page) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(draw_page(page))).convert("RGB"))


def find_frames(page: Page) -> tuple[int, int, int, int]:
    """The left, upper, right and lower end of what the frames cover."""
    shaded = Image.fromarray(page.rgb)
    mark_patches(shaded, page)
    rows, columns = np.nonzero((np.asarray(shaded) == FRAME).all(axis=2))
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


@pytest.mark.parametrize("size", [(1920, 1080), (1200, 400), (2000, 40), (400, 1200), (300, 300)])
def test_nothing_is_cut_off_at_the_right(size: tuple[int, int]) -> None:
    sheet = draw(make_page(*size, [Patch(0, 0, 30, 50.0)]))
    assert (sheet[:, -MARGIN:] == tuple(bytes.fromhex(GROUND[1:]))).all()


def test_the_scale_has_room_for_its_words() -> None:
    """Beside and below a photo of a few columns, too: its ends stand apart."""
    sheet = draw(make_page(2000, 40))
    below = sheet[-76:-64]  # the colours themselves
    coloured = np.nonzero((below.max(axis=2).astype(int) - below.min(axis=2) > 60).any(axis=0))[0]
    assert coloured.max() - coloured.min() > 200


def test_frames_lie_where_patches_do() -> None:
    left, top, *_ = find_frames(make_page(300, 400, [Patch(200, 90, 60, 50.0)]))
    assert (left, top) == (200, 90)


def test_frames_are_in_place_where_the_middle_is_shown() -> None:
    """As of a panorama: what is at the right of the photo is at the right of its middle."""
    page = make_page(100, 1000, [Patch(400, 20, 60, 50.0), Patch(0, 0, 60, 50.0), Patch(940, 0, 60, 50.0)], shown=300)
    assert find_shown(page) == (350, 0, 650, 100)
    left, top, right, _ = find_frames(page)
    assert (left, top) == (50, 20)
    assert right < 120, "the others are not shown"
    assert not np.array_equal(draw(page), draw(make_page(100, 300, [Patch(50, 20, 60, 50.0)]))), "it says that it is the middle"


def test_frames_of_pictures_of_a_few_pixels_are_no_error() -> None:
    for height, width in ((1, 1), (3, 700), (700, 2)):
        assert draw(make_page(height, width, [Patch(0, 0, 128, 50.0), Patch(690, 0, 128, 5.0)])).size


def test_letters_that_the_font_lacks_are_spelt() -> None:
    font = ImageFont.load_default(24)
    assert spell("a-b (1) ±.jpg", font) == "a-b (1) ±.jpg"
    assert spell("\u7167a", font) == "\\u7167a"
    titles = [draw(make_page(300, 400, title=title)) for title in ("\u7167.jpg", "\u732b.jpg")]
    assert not np.array_equal(*titles)


def test_where_nothing_is_known_the_photo_is_grey() -> None:
    page = make_page(300, 400)
    page.map[:] = np.nan
    unknown = draw(page)
    page.map[:] = 0
    np.testing.assert_array_equal(unknown, draw(page))
    page.map[:, 3:] = -LEAST_SPAN
    page.map[:, :2] = np.nan
    assert (draw(page) != unknown).any()
