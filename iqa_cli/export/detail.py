"""export: the networks for detail -> ONNX with their card, put in place once ONNX Runtime agrees with PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from iqa_cli.detail.model import NAME, name_spectrum, read_detail_card
from iqa_cli.detail.native import SIDE
from iqa_cli.detail.outputs import OFFSETS
from iqa_cli.errors import DataError, WeightsError
from iqa_cli.export.onnx import Numbers, find_difference, forget_making, trace
from iqa_cli.files.replacing import replacing
from iqa_cli.models.card import WeightFile, write_facts
from iqa_cli.models.onnx_backend import OnnxPatches
from iqa_cli.networks.detail import DetailNetwork
from iqa_cli.networks.spectrum import SpectrumNetwork

PARITY = 1e-3  # of a logarithm to base 2: what the two backends may differ by
SUMMARY = "How much of a photo's resolution is real: small networks on patches of native pixels and on their spectrum."
LIMITS = (
    "Where a photo has no fine structure, as fog and skies, nothing can be told: the interval is then wide.",
    "Pixels alone are seen: what a denoiser or a generator has invented may count as real.",
)


def export_detail(
    network: DetailNetwork,
    spectrum: SpectrumNetwork,
    output: Path,
    training: Mapping[str, Any],
    spectrum_training: Mapping[str, Any],
) -> float:
    """Write both networks and their card beside the first; the largest difference from PyTorch on random patches.

    training, spectrum_training: what the card says of it. Raises WeightsError where backends differ, DataError where a file
    cannot be written.
    """
    differences = [write_network(network, output), write_network(spectrum, name_spectrum(output))]
    write_facts(describe_detail(output, training, spectrum_training), output.with_suffix(".json"))
    return max(differences)


def export_spectrum(spectrum: SpectrumNetwork, output: Path, training: Mapping[str, Any]) -> float:
    """Write the network for spectra alone, and what the card beside the other says of it; otherwise as `export_detail`."""
    path = output.with_suffix(".json")
    card = read_detail_card(path)
    difference = write_network(spectrum, name_spectrum(output))
    write_facts(card | {"spectrum": describe_spectrum(output, training)}, path)
    return difference


def write_network(network: nn.Module, output: Path) -> float:
    """Put one network in place once the backends agree; their largest difference. Raises WeightsError, DataError."""
    patches = draw_patches()
    expected = predict_patches(network, patches)
    try:
        with replacing(output) as aside:
            write_detail_onnx(network, aside)
            difference = find_difference(OnnxPatches(aside).run(patches), expected)
            if difference > PARITY:
                raise WeightsError(f"{output}: not written: ONNX differs from PyTorch by {difference:.2g}, over {PARITY:g}")
    except OSError as error:
        raise DataError(f"{output}: cannot write: {error.strerror}") from error
    return difference


def write_detail_onnx(network: nn.Module, path: Path) -> None:
    """A network as one file: "patches" [n, 1, SIDE, SIDE] -> "outputs"; n is free."""
    free = {0: torch.export.Dim("n", min=1, max=4096)}
    model = trace(network.eval(), torch.zeros(2, 1, SIDE, SIDE), free, ("patches", "outputs"))
    forget_making(model.graph)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def draw_patches() -> Numbers:
    """Patches of noise and of steps, on which the backends have to agree."""
    patches = np.random.default_rng(0).integers(0, 256, (4, 1, SIDE, SIDE)).astype(np.float32)
    patches[2:] = np.sort(patches[2:], axis=3)
    return patches


@torch.no_grad()
def predict_patches(network: nn.Module, patches: Numbers) -> Numbers:
    """What PyTorch gives for patches. Raises WeightsError where that is no number."""
    expected: Numbers = network.eval()(torch.from_numpy(patches)).numpy()
    if not np.isfinite(expected).all():
        raise WeightsError("the network gives no number for a patch, so its weights are broken: train it anew")
    return expected


def describe_detail(output: Path, training: Mapping[str, Any], spectrum_training: Mapping[str, Any]) -> dict[str, Any]:
    """The card of two networks that are in place."""
    return {
        "name": NAME,
        "summary": SUMMARY,
        "licence": "Apache-2.0",
        "side": SIDE,
        "outputs": list(OFFSETS),
        "training": dict(training),
        "results": [],
        "limits": list(LIMITS),
        "file": asdict(WeightFile.of(output)),
        "spectrum": describe_spectrum(output, spectrum_training),
    }


def describe_spectrum(output: Path, training: Mapping[str, Any]) -> dict[str, Any]:
    """What the card says of the network for spectra."""
    return {"training": dict(training), "file": asdict(WeightFile.of(name_spectrum(output)))}
