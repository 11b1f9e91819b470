"""Augmentations: what must not move a score, and the regions that distortions are confined to."""

from __future__ import annotations

import numpy as np
import pytest

from iqa_cli.images.augmentations import change_harmlessly, confine, draw_region


def test_a_harmless_change_is_grey_or_a_jpeg_of_high_quality() -> None:
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    rgb = np.stack(np.broadcast_arrays(ramp, ramp[:, None], np.uint8(90)), axis=2)
    kinds = set()
    for seed in range(20):
        changed = change_harmlessly(rgb, np.random.default_rng(seed))
        if np.ptp(changed, axis=2).max() == 0:
            kinds.add("grey")
            luma = rgb.astype(float) @ (0.299, 0.587, 0.114)
            assert np.abs(changed[..., 0] - luma).max() <= 0.51
        else:
            kinds.add("jpeg")
            error = np.abs(changed.astype(float) - rgb).mean()
            assert 0 < error < 4
    assert kinds == {"grey", "jpeg"}


@pytest.mark.parametrize("shape", [(64, 64), (50, 91)])
def test_regions_are_quarters_halves_frames_and_centers(shape: tuple[int, int]) -> None:
    shares, corners, centers = [], [], []
    for seed in range(300):
        region = draw_region(*shape, np.random.default_rng(seed))
        assert region.shape == shape
        shares.append(float(region.mean()))
        corners.append(int(region[[0, 0, -1, -1], [0, -1, 0, -1]].sum()))
        centers.append(bool(region[shape[0] // 2, shape[1] // 2]))
    assert min(shares) > 0.05
    assert max(shares) < 0.75
    assert set(corners) == {0, 1, 2, 4}  # the center, a quarter, a half, the frame
    frames = [center for corner, center in zip(corners, centers, strict=True) if corner == 4]
    assert not any(frames)
    halves = [share for corner, share in zip(corners, shares, strict=True) if corner == 2]
    assert np.allclose(halves, 0.5, atol=0.03)


def test_a_confined_change_leaves_the_rest_as_it_was() -> None:
    rgb = np.zeros((8, 8, 3), np.uint8)
    region = np.zeros((8, 8), bool)
    region[:4] = True
    assert confine(np.full_like(rgb, 9), rgb, region).tolist() == np.where(region[..., None], 9, rgb).tolist()
