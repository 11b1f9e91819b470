"""What `patches` promises: patches lie where something is in focus, spread out, and always in the same places."""

import cv2
import numpy as np
import pytest

from iqa_cli.detail.native import FOCUSED, RANDOM, SIDE
from iqa_cli.detail.patches import choose_places, cut_patches, read_luma, reduce_luma, to_luma
from iqa_cli.images.crops import Rgb, make_region

HEIGHT, WIDTH = 1500, 2000


def draw_texture(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Rgb:
    """Structure at all scales, as in photos."""
    rng = np.random.default_rng(seed)
    layers = [cv2.resize(rng.normal(0, 1, (height // k, width // k)).astype(np.float32), (width, height)) for k in (2, 5, 20)]
    return np.clip(sum(layers)[..., None] * 25 + np.full(3, 120.0), 0, 255).astype(np.uint8)


def choose(rgb: Rgb) -> list[tuple[int, int]]:
    return choose_places(reduce_luma(make_region(rgb)), *rgb.shape[:2])


def test_patches_lie_in_what_is_in_focus() -> None:
    picture = cv2.GaussianBlur(draw_texture(), (0, 0), 12)
    picture[300:1200, 1100:1900] = draw_texture()[300:1200, 1100:1900]
    for x, y in choose(picture)[:FOCUSED]:
        assert 1050 <= x <= 1900 - SIDE // 2
        assert 250 <= y <= 1200 - SIDE // 2


def test_they_are_whole_and_apart_and_some_are_fixed_by_the_size() -> None:
    places = choose(draw_texture())
    assert len(places) == FOCUSED + RANDOM
    assert all(0 <= x <= WIDTH - SIDE and 0 <= y <= HEIGHT - SIDE for x, y in places)
    focused = np.array(places[:FOCUSED])
    distances = np.abs(focused[:, None] - focused).max(axis=2) + np.eye(FOCUSED) * 9999
    assert distances.min() >= SIDE
    assert choose(draw_texture(seed=5))[FOCUSED:] == places[FOCUSED:]


@pytest.mark.parametrize("change", ["brighter", "darker", "softer"])
def test_a_slight_change_moves_hardly_any(change: str) -> None:
    rgb = draw_texture()
    gains = {"brighter": 1.04, "darker": 0.96, "softer": 1.0}
    changed = np.clip(rgb * gains[change], 0, 255).astype(np.uint8)
    if change == "softer":
        changed = cv2.GaussianBlur(rgb, (0, 0), 1.5)
    moved = [min(max(abs(x - u), abs(y - v)) for u, v in choose(changed)) for x, y in choose(rgb)[:3]]
    assert max(moved) <= SIDE // 2


def test_the_same_picture_framed_anew_has_the_same_patches() -> None:
    whole = draw_texture(height=HEIGHT + 60, width=WIDTH + 60)
    first, second = choose(whole[:HEIGHT, :WIDTH]), choose(whole[30 : HEIGHT + 30, 30 : WIDTH + 30])
    alike = sum(min(max(abs(x - u - 30), abs(y - v - 30)) for u, v in second) <= SIDE // 2 for x, y in first[:FOCUSED])
    assert alike >= FOCUSED - 2


def test_a_patch_is_what_lies_at_its_place() -> None:
    luma = to_luma(draw_texture())
    (patch,) = cut_patches(luma, [(7, 11)])
    np.testing.assert_array_equal(patch, luma[11 : 11 + SIDE, 7 : 7 + SIDE])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (40, 300), (127, 128), (200, 180)])
def test_small_pictures_have_what_they_have(height: int, width: int) -> None:
    rgb = draw_texture()[:height, :width]
    places = choose(rgb)
    patches = cut_patches(read_luma(make_region(rgb)), places)
    assert 1 <= len(places) <= FOCUSED
    assert patches.shape == (len(places), SIDE, SIDE)
    x, y = places[0]
    np.testing.assert_array_equal(patches[0][: height - y, : width - x], to_luma(rgb)[y : y + SIDE, x : x + SIDE])
