"""What `damage` promises: the truth that it tells is what was done."""

import numpy as np
import pytest

from iqa_cli.detail.classical import estimate_blur, estimate_noise
from iqa_cli.detail.damage import Damage, apply_damage, draw_damage, find_truth, make_disc, make_line
from iqa_cli.detail.patches import to_luma
from iqa_cli.images.crops import Rgb


def draw_bars(side: int = 240) -> Rgb:
    """Sharp edges in all directions."""
    rng = np.random.default_rng(1)
    rgb = np.full((side, side, 3), 128, np.uint8)
    for _ in range(60):
        top, left, height, width = rng.integers(0, side - 20, 2).tolist() + rng.integers(6, 40, 2).tolist()
        rgb[top : top + height, left : left + width] = rng.integers(20, 235)
    return rgb


def test_nothing_done_is_nothing_lost() -> None:
    rgb = draw_bars()
    same, truth = apply_damage(rgb, Damage(), np.random.default_rng(0))
    np.testing.assert_array_equal(same, rgb)
    assert (truth.reduction, truth.blur, truth.scale, truth.shake, truth.noise, truth.compression) == (1, 0, 1, 0, 0, 0)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 4.0])
def test_a_blur_is_as_wide_as_it_says(sigma: float) -> None:
    blurred, truth = apply_damage(draw_bars(), Damage(blur=sigma), np.random.default_rng(0))
    assert truth.blur == sigma
    assert estimate_blur(to_luma(blurred)) == pytest.approx(sigma, rel=0.25)


def test_an_enlargement_widens_the_blur_before_it() -> None:
    enlarged, truth = apply_damage(draw_bars(), Damage(blur=1, scale=2.5), np.random.default_rng(0))
    assert enlarged.shape == (600, 600, 3)
    assert (truth.scale, truth.blur) == (2.5, 2.5)
    assert truth.reduction > find_truth(Damage(blur=2.5)).reduction > find_truth(Damage(scale=2.5)).reduction == 2.5


@pytest.mark.parametrize(("kernel", "sigma"), [(make_disc(6.0), 3.0), (make_line(12.0, 0.7), 12 / 24**0.5)])
def test_kernels_have_the_variance_that_is_said(kernel: np.ndarray, sigma: float) -> None:
    kernel = kernel / kernel.sum()
    cells = np.arange(len(kernel)) - len(kernel) // 2
    variance = float((kernel * (cells[:, None] ** 2 + cells**2)).sum()) / 2
    assert variance**0.5 == pytest.approx(sigma, rel=0.08)


def test_noise_is_as_strong_as_it_says_until_it_is_denoised() -> None:
    rgb = np.full((240, 240, 3), 128, np.uint8)
    noisy, truth = apply_damage(rgb, Damage(noise=12), np.random.default_rng(0))
    assert truth.noise == pytest.approx(to_luma(noisy).std(), rel=0.05)
    assert estimate_noise(to_luma(noisy)) == pytest.approx(truth.noise, rel=0.05)
    clean, left = apply_damage(rgb, Damage(noise=12, denoise=20), np.random.default_rng(0))
    assert left.noise == pytest.approx(to_luma(clean).std(), rel=0.1)
    assert left.noise < truth.noise / 2


def test_a_denoiser_costs_detail_only_where_there_is_some() -> None:
    texture = np.repeat(np.random.default_rng(2).integers(110, 146, (240, 240, 1), np.uint8), 3, axis=2)
    assert apply_damage(texture, Damage(denoise=20), np.random.default_rng(0))[1].blur > 0.5
    assert apply_damage(draw_bars(), Damage(denoise=4), np.random.default_rng(0))[1].blur < 0.3


def test_the_error_of_coding_grows_as_quality_falls() -> None:
    errors = [
        apply_damage(draw_bars(), Damage(codec="JPEG", quality=q), np.random.default_rng(0))[1].compression
        for q in (95, 60, 20)
    ]
    assert 0 < errors[0] < errors[1] < errors[2]


def test_drawn_damage_is_of_all_kinds_and_told_by_the_seed() -> None:
    rng = np.random.default_rng(3)
    drawn = [draw_damage(rng) for _ in range(300)]
    assert {damage.kind for damage in drawn} == {"gaussian", "disc", "motion"}
    for name in ("blur", "noise", "denoise", "sharpen", "codec", "early"):
        assert sum(bool(getattr(damage, name)) for damage in drawn) > 10
    assert {damage.codec for damage in drawn} == {"", "JPEG", "WEBP"}
    assert 1 <= min(damage.scale for damage in drawn) < max(damage.scale for damage in drawn) <= 4
    assert drawn[:3] == [draw_damage(again) for again in [np.random.default_rng(3)] for _ in range(3)]
