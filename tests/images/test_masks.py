"""Masks: the parts of a picture that a distortion is confined to."""

from __future__ import annotations

import numpy as np
import pytest

from iqa_cli.images.masks import confine, draw_mask, select_frame, select_half, select_quarter


@pytest.mark.parametrize("shape", [(64, 64), (50, 91)])
def test_regions_are_quarters_halves_frames_and_centers(shape: tuple[int, int]) -> None:
    shares, corners, centers = [], [], []
    for seed in range(300):
        region = draw_mask(shape, np.random.default_rng(seed))
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


def test_quarters_and_halves_are_numbered() -> None:
    quarters = np.stack([select_quarter((5, 7), number) for number in range(4)])
    assert quarters.sum(0).tolist() == np.ones((5, 7)).tolist()
    assert np.argmax(quarters, 0)[[0, 0, 4, 4], [0, 6, 0, 6]].tolist() == [0, 1, 2, 3]
    left, right, upper, lower = (select_half((5, 7), number) for number in range(4))
    assert (left ^ right).all()
    assert (upper ^ lower).all()
    assert left[:, 0].all()
    assert upper[0].all()


def test_a_frame_has_its_share_at_each_edge() -> None:
    assert select_frame((10, 20), 0.1).sum() == 200 - 8 * 16
    assert select_frame((3, 3), 0.01).sum() == 8
