"""What the training of the network for spectra promises: views of known damage, of a seed, and that it learns from them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from iqa_cli.detail.damage import Damage
from iqa_cli.detail.native import SIDE
from iqa_cli.errors import DataError
from iqa_cli.images.crops import Rgb
from iqa_cli.networks.spectrum import PowerSpectrum, SpectrumNetwork
from iqa_cli.training.detail.fit_spectrum import PATCHES, Spectra, fit_spectrum, measure_error
from iqa_cli.training.detail.samples import Sources
from iqa_cli.training.detail.views import View, damage_view, draw_views, fade

pytestmark = pytest.mark.torch


def draw_sharp(side: int, seed: int = 0) -> Rgb:
    """Cells of many sizes, as sharp as pixels can be."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.random((side // n, side // n, 3)), (side, side), interpolation=cv2.INTER_NEAREST) for n in (1, 3, 9)
    ]
    return np.asarray(255 * np.mean(layers, axis=0), np.uint8)


@pytest.mark.parametrize("scale", [1.0, 2.0, 3.7])
def test_a_view_has_the_reduction_of_its_enlargement(scale: float) -> None:
    patches, reduction = damage_view(draw_sharp(420), Damage(scale=scale), np.random.default_rng(0))
    assert patches.shape[1:] == (SIDE, SIDE)
    assert 1 <= len(patches) <= PATCHES
    assert reduction == pytest.approx(np.log2(scale), abs=1e-9)


def test_more_views_than_there_is_memory_for_are_refused() -> None:
    with pytest.raises(DataError, match="draw fewer"):
        Spectra(10**13, PowerSpectrum(SIDE))


def test_views_are_those_of_the_seed(tmp_path: Path) -> None:
    Image.fromarray(draw_sharp(600)).save(tmp_path / "a.png")
    sources = Sources((str(tmp_path / "a.png"),), (8,))
    first, again, other = (list(draw_views(sources, seed)) for seed in (0, 0, 1))
    assert len(first) == 8
    assert all(np.array_equal(one.patches, two.patches) for one, two in zip(first, again, strict=True))
    assert [view.reduction for view in first] == [view.reduction for view in again] != [view.reduction for view in other]


def test_fog_leaves_that_share_of_the_contrast() -> None:
    rgb = draw_sharp(90)
    assert fade(rgb, 0.1).std() == pytest.approx(0.1 * rgb.std(), rel=0.1)


def test_it_learns_how_much_views_were_enlarged() -> None:
    spectra, rng = Spectra(120, PowerSpectrum(SIDE)), np.random.default_rng(0)
    sharp = [draw_sharp(300, seed) for seed in range(4)]
    for number in range(120):
        patches, reduction = damage_view(sharp[number % 4], Damage(scale=rng.uniform(1, 4)), rng)
        spectra.add(View(patches[:2], reduction, number % 4))
    learnt, held = (spectra.take(np.flatnonzero((spectra.photos == 3) == last)) for last in (False, True))
    torch.manual_seed(0)
    network = SpectrumNetwork(SIDE)
    assert list(fit_spectrum(network, learnt, seed=0))[-1].step > 100
    assert measure_error(network, held) < 0.15 < 0.4 < float(held.reductions.std())
