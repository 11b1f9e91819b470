"""Blocks, steps between tones, and the rhythm of enlarging, in pictures that have them and in those that do not."""

import cv2
import numpy as np
import pytest

from iqa_cli.explain.coding import measure_blocks, measure_rhythm, measure_steps


@pytest.fixture(scope="module")
def grain() -> np.ndarray:
    """Natural-like grain: noise of all sizes, float32 [H, W] around 128."""
    rng = np.random.default_rng(3)
    layers = [
        cv2.resize(rng.normal(0, 12, (320 // size, 400 // size)).astype(np.float32), (400, 320), interpolation=cv2.INTER_CUBIC)
        for size in (40, 16, 8, 4, 2)
    ]
    fine = rng.normal(0, 6, (320, 400)).astype(np.float32)
    return np.clip(128 + sum(layers) + cv2.GaussianBlur(fine, (0, 0), 0.7), 0, 255).astype(np.float32)


def test_blocks_of_eight_are_found_wherever_they_begin(grain: np.ndarray) -> None:
    blocky = grain + 8 * np.kron(np.random.default_rng(0).normal(0, 1, (40, 50)), np.ones((8, 8))).astype(np.float32)
    assert measure_blocks(grain) < 1.5
    assert measure_blocks(blocky) > 1.8
    assert measure_blocks(blocky[3:, 5:]) > 1.8


def test_steps_between_tones_are_told_from_many_tones(grain: np.ndarray) -> None:
    rgb = np.repeat(np.rint(grain).astype(np.uint8)[..., None], 3, axis=2)
    assert measure_steps(rgb) < 0.3
    assert measure_steps(rgb // 24 * 24) > 0.95
    assert measure_steps(np.zeros((9, 9, 3), np.uint8)) == 0


@pytest.mark.parametrize("factor", [1.5, 2.3, 3.0])
def test_enlarging_leaves_a_rhythm(grain: np.ndarray, factor: float) -> None:
    large = cv2.resize(grain, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    assert measure_rhythm(grain) < 6
    assert measure_rhythm(large) > 8


@pytest.mark.parametrize("shape", [(1, 1), (5, 900), (900, 5)])
def test_what_is_too_small_says_nothing(shape: tuple[int, int]) -> None:
    plain = np.full(shape, 9, np.float32)
    assert (measure_blocks(plain), measure_rhythm(plain)) == (1.0, 0.0)
