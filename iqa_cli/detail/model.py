"""DetailModel: native patches in, `Detail` out. `open_detail` opens the one that comes with the tool."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from iqa_cli.detail.combine import Estimates, Whole, combine
from iqa_cli.detail.native import SIDE, Luma, NativePatches
from iqa_cli.detail.outputs import LOG_VARIANCE, OFFSETS, decode_outputs
from iqa_cli.errors import WeightsError
from iqa_cli.images.crops import Rgb, make_region
from iqa_cli.models.card import WeightFile, hash_file
from iqa_cli.models.find import released_folder
from iqa_cli.models.onnx_backend import OnnxPatches
from iqa_cli.records import Detail, Patch

__all__ = ["Detail", "DetailModel", "Patch", "open_detail"]

TAKEN = 2  # version of how patches are taken: what is cached of another one is not found
NAME = "detail"  # of the folder of its files, and of them
KEYS = {"name", "summary", "licence", "side", "outputs", "training", "results", "limits", "file", "spectrum"}
"""Of its card, as JSON beside the weights: they are no scoring model, and so no model card."""


class DetailModel:
    """Measures how much of a photo's resolution is real. Safe to call from many threads.

    path: the .onnx file; its card and the network for spectra lie beside it. sha256: of both networks and the version of how
    their patches are taken. Raises WeightsError where one of them is missing, broken or not about the others.
    """

    def __init__(self, path: Path) -> None:
        self.card = read_detail_card(path.with_suffix(".json"))
        beside = name_spectrum(path)
        digests = (verify(path, WeightFile(**self.card["file"])), verify(beside, WeightFile(**self.card["spectrum"]["file"])))
        self.sha256 = sha256("".join([*digests, str(TAKEN)]).encode()).hexdigest()
        self.network, self.spectrum = OnnxPatches(path), OnnxPatches(beside)

    def measure(self, rgb: Rgb) -> Detail:
        """The detail of a photo, uint8 [H, W, 3], upright sRGB in native pixels."""
        from iqa_cli.detail.take import take_patches  # beside decoders, which only those load who measure pixels
        from iqa_cli.images.decode import Decoded

        return self.judge(take_patches("", Decoded(make_region(rgb), *rgb.shape[1::-1])))

    def judge(self, native: NativePatches) -> Detail:
        """The detail of a photo from its patches. Raises WeightsError where the network fails."""
        return combine(self.estimate(native.patches), self.estimate_whole(native.patches), native)

    def estimate(self, patches: Luma) -> Estimates:
        """What is estimated of each patch, uint8 [n, SIDE, SIDE]. Raises WeightsError where the network fails."""
        outputs = self.network.run(patches[:, None].astype(np.float32))
        try:
            return decode_outputs(outputs)
        except ValueError as error:
            raise WeightsError(f"{self.network.path}: not a network for detail: {error}") from error

    def estimate_whole(self, patches: Luma) -> Whole:
        """What the spectrum of all patches says, uint8 [n, SIDE, SIDE]. Raises WeightsError where the network fails."""
        outputs = self.spectrum.run(patches[:, None].astype(np.float32))
        if outputs.shape != (1, 2):
            raise WeightsError(
                f"{self.spectrum.path}: not a network for spectra: 2 outputs are needed, not {list(outputs.shape)}"
            )
        mean, log = outputs[0].astype(np.float64)
        return Whole(float(mean), float(np.exp(np.clip(log, *LOG_VARIANCE) / 2)))


def open_detail(path: Path | None = None) -> DetailModel:
    """The model in an .onnx file; None: the one that comes with the tool. Raises WeightsError where it cannot be opened."""
    return DetailModel(path or released_folder() / NAME / f"{NAME}.onnx")


def name_spectrum(path: Path) -> Path:
    """The network for spectra beside the one for patches."""
    return path.with_suffix(".spectrum.onnx")


def read_detail_card(path: Path) -> dict[str, Any]:
    """What is written beside the weights. Raises WeightsError."""
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(card, dict) or set(card) != KEYS or card["side"] != SIDE or card["outputs"] != list(OFFSETS):
            raise ValueError("other keys, or another network")
        for part in (card, card["spectrum"]):
            WeightFile(**part["file"])
        return dict(card)
    except OSError as error:
        raise WeightsError(f"{path}: cannot read the card: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise WeightsError(f"{path}: not a card of a network for detail: {error}") from error


def verify(path: Path, fact: WeightFile) -> str:
    """The SHA-256 of the weights, as their card has it. Raises WeightsError for others."""
    try:
        digest = hash_file(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot read the weights: {error.strerror}") from error
    if digest != fact.sha256 or path.name != fact.name:
        raise WeightsError(f"{path}: not the file of the card: SHA-256 {fact.sha256} expected, {digest} there")
    return digest
