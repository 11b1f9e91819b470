"""The quality of an earlier JPEG is found in pixels, and nothing where there was none of low quality."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from iqa_cli.explain.quantisation import UNKNOWN, find_quality
from iqa_cli.images.distortion_filters import compress

PHOTO = np.asarray(Image.open(Path(__file__).parents[1] / "photos" / "coffee.jpg").convert("RGB"))


def find(rgb: np.ndarray) -> float:
    return find_quality(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32))


@pytest.mark.parametrize("quality", [8, 17, 24, 30])
@pytest.mark.parametrize("cut", [0, 3])
def test_the_quality_of_an_earlier_jpeg_is_found_wherever_its_blocks_begin(quality: int, cut: int) -> None:
    assert find(compress(PHOTO, "JPEG", quality=quality)[cut:, 2 * cut :]) == pytest.approx(quality, abs=1)


@pytest.mark.parametrize("quality", [45, 75, 95])
def test_a_jpeg_of_better_quality_is_none(quality: int) -> None:
    assert find(compress(PHOTO, "JPEG", quality=quality)) == UNKNOWN


def test_a_reduced_jpeg_has_lost_its_quantisation() -> None:
    reduced = Image.fromarray(compress(PHOTO, "JPEG", quality=17)).resize((450, 300))
    assert find(np.asarray(reduced)) == UNKNOWN


@pytest.mark.parametrize("shape", [(1, 1), (5, 900), (900, 5), (64, 64)])
def test_what_is_plain_or_too_small_says_nothing(shape: tuple[int, int]) -> None:
    assert find_quality(np.full(shape, 9, np.float32)) == UNKNOWN
