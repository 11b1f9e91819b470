"""Checkpoints: weights and training states on disk, as safetensors and JSON, never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from iqa_cli.errors import DataError, WeightsError
from iqa_cli.files.replacing import replacing
from iqa_cli.models.card import ModelCard
from iqa_cli.networks.ensemble import Blend, build_blend
from iqa_cli.networks.network import NetworkConfig, QfmIqm, build_network


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Any = None) -> None:
    """Write tensors and JSON-able facts into one file, whole or not at all. Raises DataError.

    It is made in memory: what safetensors writes itself is for its owner alone, and a full disk is no OSError there.
    """
    whole = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    data = save(whole, metadata={"facts": json.dumps(facts)})
    try:
        with replacing(path) as aside:
            aside.write_bytes(data)
    except OSError as error:
        raise DataError(f"{path}: cannot write: {error.strerror}") from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], Any]:
    """The tensors and facts of a file. Raises WeightsError where it is missing or not safetensors."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
            return tensors, json.loads((file.metadata() or {}).get("facts", "null"))
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path}: not a safetensors file: {error}") from error


def is_whole(path: Path) -> bool:
    """Whether a safetensors file is there, and nothing of it is cut off; no more than its header is read."""
    try:
        with safe_open(path, framework="pt"):
            return True
    except (SafetensorError, OSError):
        return False


def save_weights(path: Path, network: nn.Module, *, half: bool = False) -> None:
    """Write the network's weights. Raises DataError.

    half: those of two dimensions and more in half precision, for half the size.
    """
    state = network.state_dict()
    save_tensors(path, {k: v.half() if half and v.is_floating_point() and v.ndim > 1 else v for k, v in state.items()})


def read_config(data: Mapping[str, Any]) -> NetworkConfig:
    """The config that a card holds as data. Raises WeightsError for unknown keys and impossible sizes."""
    unknown = data.keys() - {f.name for f in fields(NetworkConfig)}
    if unknown:
        raise WeightsError(f"the model card's network has unknown keys: {', '.join(sorted(unknown))}")
    try:
        return NetworkConfig(**{**data, "layers": tuple(data.get("layers", ()))})
    except (TypeError, ValueError) as error:
        raise WeightsError(f"the model card's network cannot be: {error}") from error


def build_described(card: ModelCard) -> QfmIqm | Blend:
    """The network that a card describes, with new weights: one, or a blend of several. Raises WeightsError."""
    data = card.network
    if "members" not in data:
        return build_network(read_config(data))
    try:
        return build_blend(data["members"], card.crops.multiple)
    except (TypeError, KeyError, IndexError, ValueError, ArithmeticError, RuntimeError) as error:  # a card is foreign bytes
        raise WeightsError(f"the model card's network is no blend of networks: {error}") from error


def load_network(card: ModelCard, path: Path) -> QfmIqm | Blend:
    """The network that a card describes, with the weights of a file, ready to score: eval mode, single precision.

    Raises WeightsError where the card describes none, or a weight is missing, unknown or of another shape.
    """
    try:
        network = build_described(card)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    state, _ = load_tensors(path)
    try:
        network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()}, strict=True)
    except RuntimeError as error:
        raise WeightsError(
            f"{path}: the weights do not fit the card's network: {str(error).splitlines()[-1].strip()}"
        ) from error
    return network.eval()
