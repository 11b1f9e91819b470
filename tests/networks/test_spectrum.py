"""What `spectrum` promises: power by frequency as NumPy's transform finds it, of patches of any number and order."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from iqa_cli.networks.spectrum import AXIS, LOWEST, PowerSpectrum, SpectrumNetwork

pytestmark = pytest.mark.torch
SIDE = 32


def draw(count: int) -> "torch.Tensor":
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 1, SIDE, SIDE)).astype(np.float32))


def test_power_is_that_of_numpy() -> None:
    patch = draw(1)
    window = np.hanning(SIDE + 2)[1:-1]
    shown = patch[0, 0].numpy().astype(float)
    power = np.abs(np.fft.fft2((shown - shown.mean()) * np.outer(window, window) / (window**2).sum())) ** 2
    frequencies = np.abs(np.fft.fftfreq(SIDE)) * SIDE
    squares = np.maximum(frequencies[:, None], frequencies)
    steps = range(LOWEST + 1, SIDE // 2 + 1)
    expected = [power[squares == step].mean() for step in steps]
    low = frequencies <= AXIS
    expected += [(power[low, step].mean() + power[step, low].mean()) / 2 for step in steps]
    assert PowerSpectrum(SIDE)(patch)[0].numpy() == pytest.approx(np.array(expected), rel=2e-4)


def test_a_wave_shows_at_its_frequency_and_white_noise_at_all() -> None:
    spectrum = PowerSpectrum(SIDE)
    wave = 60 * torch.sin(torch.arange(SIDE) * 2 * np.pi * 8 / SIDE).expand(1, 1, SIDE, SIDE)
    assert int(spectrum(wave)[0, : SIDE // 2 - LOWEST].argmax()) == 8 - LOWEST - 1
    noise = torch.from_numpy(np.random.default_rng(1).normal(0, 5, (200, 1, SIDE, SIDE)).astype(np.float32))
    assert spectrum(noise).mean(dim=0).numpy() == pytest.approx(25, rel=0.1)


def test_order_does_not_count_and_one_patch_is_enough() -> None:
    network = SpectrumNetwork(SIDE).eval()
    patches = draw(5)
    assert network(patches).shape == network(patches[:1]).shape == (1, 2)
    assert network(patches.flip(0)).detach().numpy() == pytest.approx(network(patches).detach().numpy(), abs=1e-5)
