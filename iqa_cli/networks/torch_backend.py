"""TorchBackend: the network behind `Backend.predict`, run by PyTorch on any of its devices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from iqa_cli.errors import UsageError, WeightsError
from iqa_cli.images.crops import Crops
from iqa_cli.models.card import ModelCard
from iqa_cli.networks.checkpoint import load_network


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is the first GPU there is, else the CPU. Raises UsageError for one that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # unknown names and devices that are not there
        raise UsageError(f"device {name}: not available to PyTorch here: {str(error).splitlines()[0]}") from error
    return device


class TorchBackend:
    """A card's network with the weights of a file. Raises WeightsError where they do not fit, UsageError for a device."""

    def __init__(self, card: ModelCard, weights: Path, device: str) -> None:
        self.path = weights
        self.device = choose_device(device)
        self.network = load_network(card, weights).to(self.device)

    @torch.inference_mode()
    def predict(self, crops: Crops) -> npt.NDArray[np.float32]:
        """Crops [n, 3, h, w] -> quality [n], in about 0..1. Raises WeightsError where the network does not take them.

        On a CPU each crop is a run of its own: that is as fast, and its result cannot depend on what else is in the batch.
        """
        batch = torch.from_numpy(crops).to(self.device)
        parts = torch.split(batch, 1) if self.device.type == "cpu" else (batch,)
        try:
            return np.concatenate([self.network(part).float().cpu().numpy() for part in parts])
        except (RuntimeError, ValueError, TypeError, IndexError, ArithmeticError) as error:  # of sizes that do not fit
            raise WeightsError(f"{self.path}: fails on crops of shape {crops.shape}: {str(error).splitlines()[0]}") from error
