"""Noise is found as it was added, and not where there is texture or nothing to see."""

import numpy as np
import pytest

from iqa_cli.explain.noise import find_unclipped, measure_noise


def draw_slope(side: int = 256) -> np.ndarray:
    return np.add.outer(np.linspace(60, 120, side), np.linspace(0, 60, side)).astype(np.float32)


@pytest.mark.parametrize("sigma", [3, 8, 14])
def test_noise_is_the_deviation_that_was_added(sigma: int) -> None:
    noisy = draw_slope() + np.random.default_rng(0).normal(0, sigma, (256, 256)).astype(np.float32)
    assert measure_noise(noisy, find_unclipped(noisy)) == pytest.approx(sigma, rel=0.15)


def test_texture_elsewhere_is_no_noise() -> None:
    picture = draw_slope()
    picture[:, :150] += np.random.default_rng(0).normal(0, 20, (256, 150))
    assert measure_noise(picture, find_unclipped(picture)) < 0.1


def test_black_and_white_say_nothing() -> None:
    black = np.zeros((64, 64), np.float32)
    assert measure_noise(black, find_unclipped(black)) == 0.0
