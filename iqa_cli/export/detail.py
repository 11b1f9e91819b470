"""export: the network for detail -> ONNX with its card, put in place once ONNX Runtime agrees with PyTorch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from iqa_cli.detail.model import NAME
from iqa_cli.detail.native import SIDE
from iqa_cli.detail.outputs import OFFSETS
from iqa_cli.errors import DataError, WeightsError
from iqa_cli.export.onnx import forget_making, trace
from iqa_cli.files.replacing import replacing
from iqa_cli.models.card import WeightFile
from iqa_cli.models.onnx_backend import OnnxPatches
from iqa_cli.networks.detail import DetailNetwork

PARITY = 1e-3  # of a logarithm to base 2: what the two backends may differ by
SUMMARY = "How much of a photo's resolution is real: a small network on patches of native pixels."
LIMITS = (
    "Where a photo has no fine structure, as fog and skies, nothing can be told: the interval is then wide.",
    "Pixels alone are seen: what a denoiser or a generator has invented may count as real.",
)


def export_detail(network: DetailNetwork, output: Path, training: Mapping[str, Any]) -> float:
    """Write the network and its card beside it; the largest difference from PyTorch on random patches.

    training: what the card says of it. Raises WeightsError where the two differ, DataError where a file cannot be written.
    """
    try:
        with replacing(output) as aside:
            write_detail_onnx(network, aside)
            difference = measure_difference(network, aside)
            if difference > PARITY:
                raise WeightsError(f"{output}: not written: ONNX differs from PyTorch by {difference:.2g}, over {PARITY:g}")
        card = describe_detail(WeightFile.of(output), training)
        with replacing(output.with_suffix(".json")) as aside:
            aside.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{output}: cannot write: {error.strerror}") from error
    return difference


def write_detail_onnx(network: DetailNetwork, path: Path) -> None:
    """The network as one file: "patches" [n, 1, SIDE, SIDE] -> "outputs" [n, 2 x outputs]; n is free."""
    free = {0: torch.export.Dim("n", min=1, max=4096)}
    model = trace(network, torch.zeros(2, 1, SIDE, SIDE), free, ("patches", "outputs"))
    forget_making(model.graph)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


@torch.no_grad()
def measure_difference(network: DetailNetwork, path: Path) -> float:
    """The largest difference between the backends, on patches of noise and of steps."""
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 256, (4, 1, SIDE, SIDE)).astype(np.float32)
    patches[2:] = np.sort(patches[2:], axis=3)
    expected = network.eval()(torch.from_numpy(patches)).numpy()
    return float(np.abs(OnnxPatches(path).run(patches) - expected).max())


def describe_detail(file: WeightFile, training: Mapping[str, Any]) -> dict[str, Any]:
    """The card."""
    return {
        "name": NAME,
        "summary": SUMMARY,
        "licence": "Apache-2.0",
        "side": SIDE,
        "outputs": list(OFFSETS),
        "training": dict(training),
        "results": [],
        "limits": list(LIMITS),
        "file": asdict(file),
    }
