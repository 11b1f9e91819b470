"""What every chain of distortions promises, on painted pictures with the spectrum, the edges and the colours of photos."""

from itertools import pairwise
from typing import get_args

import cv2
import numpy as np
import pytest

from iqa_cli.images.crops import Rgb
from iqa_cli.images.distortions import DISTORTIONS, HELD_OUT, LEVELS, change_harmlessly, distort, distort_mixture
from iqa_cli.training.options import DistortionName

KINDS = list(DISTORTIONS)


def paint(seed: int, height: int = 256, width: int = 320) -> Rgb:
    """Clouds of all sizes in muted colours, with sharp-edged things in front of them."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 120.0, np.float32)
    for octave in range(8):
        grid = (2 + 2**octave, 2 + 2**octave)
        coarse = rng.standard_normal((*grid, 1)) + 0.4 * rng.standard_normal((*grid, 3))
        picture += 40 * 0.65**octave * cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(12):
        centre, size = rng.integers(0, width, 2).tolist(), rng.integers(3, 40, 2).tolist()
        cv2.ellipse(picture, centre, size, float(rng.uniform(0, 180)), 0, 360, rng.integers(10, 240, 3).tolist(), -1)
    return np.clip(picture, 0, 255).astype(np.uint8)


PICTURES = [paint(seed) for seed in range(3)]


def apply(rgb: Rgb, kind: str, level: float, seed: int = 11) -> Rgb:
    return distort(rgb, kind, level, np.random.default_rng(seed))


def error(rgb: Rgb, clean: Rgb) -> float:
    return float(np.mean((rgb.astype(np.float32) - clean) ** 2))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("picture", range(len(PICTURES)))
def test_every_level_is_further_from_the_clean_picture(kind: str, picture: int) -> None:
    clean = PICTURES[picture]
    errors = [error(apply(clean, kind, level), clean) for level in (0, 1, 1.5, 2, 3, 4, 4.5, 5)]
    assert errors[0] == 0
    assert all(lower < higher for lower, higher in pairwise(errors)), errors


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_picture_and_leaves_the_original_alone(kind: str) -> None:
    clean = PICTURES[0].copy()
    clean.flags.writeable = False  # as arrays from Pillow are
    once, again = apply(clean, kind, 3), apply(clean, kind, 3)
    assert np.array_equal(once, again)
    assert (once.dtype, once.shape, once.flags.writeable) == (np.uint8, clean.shape, True)
    assert not np.shares_memory(once, clean)
    assert np.array_equal(clean, PICTURES[0])


@pytest.mark.parametrize("kind", KINDS)
def test_level_zero_is_an_unchanged_copy(kind: str) -> None:
    copy = apply(PICTURES[1], kind, 0)
    assert np.array_equal(copy, PICTURES[1])
    assert not np.shares_memory(copy, PICTURES[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (33, 47), (200, 9)])
@pytest.mark.parametrize("colourful", [True, False])
def test_any_size_and_grey_pictures_too(kind: str, shape: tuple[int, int], colourful: bool) -> None:
    clean = paint(4)[: shape[0], : shape[1]]
    if not colourful:
        clean = np.repeat(clean[..., :1], 3, axis=2)
    for level in (1e-3, 1, 5):
        distorted = apply(clean, kind, level)
        assert (distorted.shape, distorted.dtype) == (clean.shape, np.uint8)


@pytest.mark.parametrize("kind", [name for name, kind in DISTORTIONS.items() if kind.family in ("blur", "scaling")])
def test_nothing_moves(kind: str) -> None:
    y, x = np.mgrid[:256, :256] - 127.5
    blob = np.repeat((240 * np.exp(-(x**2 + y**2) / (2 * 20**2)))[..., None], 3, axis=2).astype(np.uint8)
    light = apply(blob, kind, 5).astype(np.float64).sum(axis=2)
    assert (light * x).sum() / light.sum() == pytest.approx(0, abs=0.3)
    assert (light * y).sum() / light.sum() == pytest.approx(0, abs=0.3)


@pytest.mark.parametrize("kind", ["motion_blur", "white_noise", "colour_noise", "impulse_noise", "sensor_noise", "colour_cast"])
def test_a_higher_level_is_the_same_pattern_only_stronger(kind: str) -> None:
    clean = PICTURES[2].astype(np.float64)
    weak, strong, other = (apply(PICTURES[2], kind, *drawn) - clean for drawn in ((2, 1), (3, 1), (3, 2)))
    alike, unlike = (np.corrcoef(weak.ravel(), change.ravel())[0, 1] for change in (strong, other))
    assert alike > 0.6  # impulses: of those at level 3 (1.2 %) those at level 2 (0.5 %) are a part
    assert unlike < alike - 0.1


def test_white_noise_is_as_strong_as_its_table_says() -> None:
    flat = np.full((128, 128, 3), 128, np.uint8)
    for level in range(1, LEVELS):
        sigma = DISTORTIONS["white_noise"].strengths[level]
        assert apply(flat, "white_noise", level).std() == pytest.approx(sigma, rel=0.02)


def test_colour_noise_leaves_luma_alone() -> None:
    noisy = apply(np.full((128, 128, 3), 128, np.uint8), "colour_noise", 3).astype(np.float64)
    assert noisy.std() > 10
    assert (noisy @ [0.299, 0.587, 0.114]).std() < 0.5


def test_sensor_noise_is_strongest_in_the_shadows() -> None:
    dark, bright = (apply(np.full((128, 128, 3), tone, np.uint8), "sensor_noise", 2).std() for tone in (40, 200))
    assert dark > 1.5 * bright


@pytest.mark.parametrize("kind", ["gaussian_blur", "motion_blur", "lens_blur", "downscale", "denoise"])
def test_extents_grow_with_the_picture(kind: str) -> None:
    clean = PICTURES[0]
    large = cv2.resize(clean, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    distorted = cv2.resize(apply(large, kind, 4), clean.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert error(distorted, apply(clean, kind, 4)) < 0.2 * error(distorted, clean)


def test_an_unknown_kind_is_told_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no distortion is called 'smear'; there are gaussian_blur, motion_blur"):
        apply(PICTURES[0], "smear", 1)


@pytest.mark.parametrize("level", [-0.1, 5.1, float("nan")])
def test_an_impossible_level_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="the level of jpeg is 0 to 5"):
        apply(PICTURES[0], "jpeg", level)


@pytest.mark.parametrize("array", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3), np.float32)])
def test_an_array_that_is_no_picture_is_refused(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"uint8 \[H, W, 3\], not"):
        apply(array, "jpeg", 1)


def test_a_mixture_is_one_distortion_after_the_other() -> None:
    def mix(*steps: tuple[str, float]) -> Rgb:
        return distort_mixture(PICTURES[0], steps, np.random.default_rng(3))

    assert np.array_equal(mix(), PICTURES[0])
    assert np.array_equal(mix(("lens_blur", 2), ("jpeg", 3)), apply(apply(PICTURES[0], "lens_blur", 2), "jpeg", 3))
    assert not np.array_equal(mix(("lens_blur", 2), ("white_noise", 3)), mix(("white_noise", 3), ("lens_blur", 2)))
    assert np.array_equal(mix(("white_noise", 0), ("motion_blur", 3)), mix(("jpeg", 0), ("motion_blur", 3)))


def test_what_is_held_out_exists_and_is_of_two_families_that_are_trained_otherwise() -> None:
    families = {DISTORTIONS[kind].family for kind in HELD_OUT}
    trained = {kind.family for kind in DISTORTIONS.values() if kind.name not in HELD_OUT}
    assert set(get_args(DistortionName)) == DISTORTIONS.keys() - set(HELD_OUT)  # what recipes may name
    assert len(families) == len(HELD_OUT) >= 2
    assert families <= trained


def test_a_harmless_change_is_grey_or_another_size_or_a_jpeg_of_high_quality() -> None:
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    rgb = np.stack(np.broadcast_arrays(ramp, ramp[:, None], np.uint8(90)), axis=2)
    kinds = set()
    for seed in range(20):
        changed = change_harmlessly(rgb, np.random.default_rng(seed))
        if np.ptp(changed, axis=2).max() == 0:
            kinds.add("grey")
            luma = rgb.astype(float) @ (0.299, 0.587, 0.114)
            assert np.abs(changed[..., 0] - luma).max() <= 0.51
        elif changed.shape != rgb.shape:
            kinds.add("resized")
            factors = np.divide(changed.shape[:2], rgb.shape[:2])
            assert 0.84 < factors.min() <= factors.max() < 1.16
            assert np.ptp(factors) < 0.01
        else:
            kinds.add("jpeg")
            error = np.abs(changed.astype(float) - rgb).mean()
            assert 0 < error < 4
    assert kinds == {"grey", "jpeg", "resized"}
