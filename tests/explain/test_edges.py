"""Blur, shake and halos of edges, of pictures of which they are known."""

import cv2
import numpy as np
import pytest

from iqa_cli.explain.edges import MANY, find_blur, find_edges, find_halo, find_shake
from iqa_cli.explain.measure import measure_edges


def make_discs(side: int = 320) -> np.ndarray:
    """Light discs on a dark ground, drawn fine and reduced: sharp edges in all directions."""
    picture = np.full((4 * side, 4 * side), 60, np.uint8)
    for row in range(4):
        for column in range(4):
            cv2.circle(picture, (side * column + side // 2, side * row + side // 2), side // 3, 190, -1)
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)


DISCS = make_discs()


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
def test_blur_is_the_sigma_of_the_gaussian(sigma: float) -> None:
    blurred = cv2.GaussianBlur(DISCS, (0, 0), sigma)
    assert find_blur(find_edges(blurred)) == pytest.approx(sigma, rel=0.25)


def test_sharp_edges_have_less_than_a_pixel_of_blur() -> None:
    assert find_blur(find_edges(DISCS)) < 0.9


def test_a_shake_blurs_one_direction_only() -> None:
    shaken = cv2.blur(DISCS, (9, 1))
    assert find_shake(find_edges(shaken, MANY)) > 2
    assert find_shake(find_edges(cv2.GaussianBlur(DISCS, (0, 0), 3), MANY)) < 0.9
    assert find_shake(find_edges(DISCS, MANY)) < 0.6


def test_what_is_out_of_focus_is_not_shaken() -> None:
    oval = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (15, 11)).astype(np.float32)  # as lenses blur towards the corners
    soft = cv2.filter2D(DISCS, -1, oval / oval.sum())
    assert find_shake(find_edges(soft, MANY)) > 1.1
    measured = measure_edges(soft.astype(np.uint8))
    assert measured["blur"] > 1
    assert measured["shake"] == 0
    assert measure_edges(cv2.blur(DISCS, (9, 1)).astype(np.uint8))["shake"] > 1.5


def test_an_unsharp_mask_leaves_halos() -> None:
    soft = cv2.GaussianBlur(DISCS, (0, 0), 1.0)
    sharpened = np.clip(soft + 2.5 * (soft - cv2.GaussianBlur(soft, (0, 0), 1.2)), 0, 255)
    assert find_halo(soft, find_edges(soft)) < 0.03
    assert find_halo(sharpened, find_edges(sharpened)) > 0.07


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (12, 12), (64, 64)])
def test_what_has_no_edges_says_nothing(shape: tuple[int, int]) -> None:
    plain = np.full(shape, 77, np.float32)
    edges = find_edges(plain)
    assert (find_blur(edges), find_shake(edges), find_halo(plain, edges)) == (0.0, 0.0, 0.0)
