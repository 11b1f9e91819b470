"""What `combine` promises: a photo is as good as its sharpest parts, and never has more pixels than it has."""

from dataclasses import replace

import numpy as np
import pytest

from iqa_cli.detail.combine import Estimates, Whole, combine, weigh_sharpest
from iqa_cli.detail.native import SIDE, NativePatches
from iqa_cli.detail.outputs import OFFSETS
from iqa_cli.records import Detail

NATIVE = NativePatches(np.zeros((4, SIDE, SIDE), np.uint8), ((0, 0), (200, 0), (0, 200), (200, 200)), 3000, 4000)


def estimate(reduction: list[float], spread: float = 0.2, **values: float) -> Estimates:
    known = {"blur": 1.0, "scale": 1.0, "shake": 0.0, "noise": 0.0, "compression": 0.0} | values
    values = {name: np.full(4, value) for name, value in known.items()}
    return Estimates(np.array(reduction), **values, spreads=dict.fromkeys(OFFSETS, np.full(4, spread)))


def judge(estimates: Estimates, reduction: float = 0.0, spread: float = 0.2) -> Detail:
    return combine(estimates, Whole(reduction, spread), NATIVE)


def test_a_sharp_photo_has_all_its_pixels() -> None:
    detail = judge(estimate([0.0] * 4))
    assert (detail.detail, detail.effective_mp, detail.effective_high) == (100, 12, 12)
    assert detail.effective_low < 12


def test_half_the_side_is_a_quarter_of_the_pixels() -> None:
    detail = judge(estimate([1.0] * 4), 1.0)
    assert detail.detail == pytest.approx(50)
    assert detail.effective_mp == pytest.approx(3)
    assert detail.effective_low < 3 < detail.effective_high <= 12


def test_blurred_surroundings_do_not_count() -> None:
    assert judge(estimate([0.2, 3, 0.2, 3])).detail > judge(estimate([0.8] * 4)).detail


def test_nothing_is_more_than_sharp() -> None:
    detail = judge(estimate([-0.4] * 4), -0.4)
    assert (detail.detail, detail.effective_mp, detail.effective_high) == (100, 12, 12)
    assert {patch.value for patch in detail.patches} == {100}


def test_noise_costs_detail_and_no_pixels() -> None:
    clean, slight, bad = (judge(estimate([0.5] * 4, noise=noise), 0.5) for noise in (0.0, 4.0, 10.0))
    assert clean.detail > slight.detail > bad.detail == pytest.approx(clean.detail / 2)
    assert clean.effective_mp == slight.effective_mp == bad.effective_mp


def test_megapixels_are_those_of_the_spectrum_and_its_doubt_widens_their_interval() -> None:
    sure, unsure = (judge(estimate([0.3] * 4), 1.0, spread) for spread in (0.15, 0.8))
    assert sure.effective_mp == unsure.effective_mp == pytest.approx(3)
    assert unsure.effective_low < sure.effective_low < 3 < sure.effective_high < unsure.effective_high
    assert judge(estimate([0.3] * 4), 1.0, 0.0).effective_low < 3


def test_what_is_certain_of_a_patch_is_told() -> None:
    sure, unsure = (judge(estimate([1.0] * 4, spread=spread)).patches[0] for spread in (0.1, 0.8))
    assert sure.certainty > unsure.certainty > 0


def test_patches_that_tell_nothing_hardly_count() -> None:
    spreads = dict.fromkeys(OFFSETS, np.array([2.0, 0.2, 0.2, 0.2]))
    doubtful = replace(estimate([0.0, 2, 2, 2]), spreads=spreads)
    assert judge(doubtful).detail < 30


def test_patches_are_told_with_their_places() -> None:
    patches = judge(estimate([0.0, 1, 2, 3])).patches
    assert [(patch.x, patch.y, patch.size) for patch in patches] == [(*place, SIDE) for place in NATIVE.places]
    assert [patch.value for patch in patches] == pytest.approx([100, 50, 25, 12.5])


def test_shares_are_of_the_sharpest_and_sum_to_one() -> None:
    shares = weigh_sharpest(np.array([3.0, 1, 2, 0]), np.array([1.0, 1, 1, 1]))
    assert shares.sum() == pytest.approx(1)
    assert shares[0] == shares[2] == 0
    assert shares[3] > shares[1] > 0
