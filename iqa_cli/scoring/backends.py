"""Choose what runs a model: ONNX Runtime, or PyTorch."""

from __future__ import annotations

from pathlib import Path

from iqa_cli.errors import ExtraMissing, WeightsError
from iqa_cli.models.card import ModelCard
from iqa_cli.models.find import verify_file
from iqa_cli.models.onnx_backend import Backend, OnnxBackend, ScaledOnnxBackend, first_line
from iqa_cli.options import BackendChoice


def open_backend(card: ModelCard, folder: Path, backend: BackendChoice, device: str) -> Backend:
    """What runs the weights beside a card, once their size and hash are the card's.

    Raises WeightsError where they are not intact or do not fit, ExtraMissing where PyTorch is needed and not installed.
    """
    path = verify_file(card, folder, backend)
    if backend is BackendChoice.ONNX:
        return OnnxBackend(path, device) if card.output is None else ScaledOnnxBackend(path, card, card.output, device)
    try:
        from iqa_cli.networks.torch_backend import TorchBackend
    except ModuleNotFoundError as error:
        raise ExtraMissing("train", f"running {card.name} with PyTorch") from error
    try:
        return TorchBackend(card, path, device)
    except (TypeError, ValueError, AttributeError) as error:  # its fields are foreign, and of any kind
        raise WeightsError(f"{path}: the model card describes no network that could be built: {first_line(error)}") from error
