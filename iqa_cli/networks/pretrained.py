"""Pretrained weights of a backbone from a file: read without unpickling objects, and brought under timm's names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from iqa_cli.errors import WeightsError
from iqa_cli.networks.checkpoint import load_tensors
from iqa_cli.networks.timm_models import build_backbone

WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Under which trainings keep the weights beside other things."""
FILTERS = ("checkpoint_filter_fn", "pretrained_filter_fn", "_filter_fn", "_filter_torchvision_pretrained")
"""What timm calls its translators of foreign names and of positions for other sizes; one stands in the module of a network."""
OWN = "encoder.backbone."
"""Begins the names of a backbone's tensors in the networks that are trained here."""
CLASSIFIER = 2  # tensors that a file may hold behind those of the backbone: the weights and biases of the classes


@dataclass(frozen=True)
class Pretrained:
    """The tensors of a file that are those of a backbone, under timm's names. total: how many the backbone has.

    in_order: the file has other names, but the same shapes in the same order.
    """

    backbone: str
    path: Path
    tensors: dict[str, Tensor]
    total: int
    in_order: bool

    def describe(self) -> str:
        """What was taken, in one line."""
        name, taken = f"{self.path}: ", len(self.tensors)
        if self.in_order:
            return f"{name}all {taken} tensors of {self.backbone}, by their order: the names are others, the shapes the same"
        if taken == self.total:
            return f"{name}all {taken} tensors of {self.backbone}"
        return f"{name}{taken} of the {self.total} tensors of {self.backbone}; the others begin at random"


def read_pretrained(path: Path, backbone: str, options: Mapping[str, Any]) -> Pretrained:
    """The weights of a file for a network of timm; of a network that was trained here, those of its backbone.

    Raises WeightsError where none of them is one of its own, or where the trained network has others.
    """
    state, network = load_backbone(path), build_backbone(backbone, options)
    trained = {name.removeprefix(OWN): value for name, value in state.items() if name.startswith(OWN)}
    if len(choose_fitting(trained, network.state_dict())) < len(trained):
        raise WeightsError(
            f"{path}: of a network on another backbone than {backbone}, or with its norms folded into its convolutions; go on"
            " with that by --initial-model"
        )
    return fit_names(trained or state, network, backbone, path)


def fit_names(state: Mapping[str, Tensor], backbone: nn.Module, name: str, path: Path) -> Pretrained:
    """Tensors by their names, else all of them by their order, else those that fit. Raises WeightsError where none does."""
    wanted = backbone.state_dict()
    named = max((choose_fitting(each, wanted) for each in (state, translate(state, backbone))), key=len)
    if len(named) < len(wanted):
        ordered = take_in_order(state, wanted)
        if ordered:
            return Pretrained(name, path, ordered, len(wanted), in_order=True)
    if not any(tensor.ndim for tensor in named.values()):  # a count of batches is nothing to begin with
        raise WeightsError(f"{path}: none of its {len(state)} tensors is one of {name}'s: it is for another backbone")
    return Pretrained(name, path, named, len(wanted), in_order=False)


def choose_fitting(state: Mapping[str, Any], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that have the name and the shape of one that is wanted."""
    return {n: state[n] for n, mine in wanted.items() if isinstance(state.get(n), Tensor) and state[n].shape == mine.shape}


def translate(state: Mapping[str, Tensor], backbone: nn.Module) -> Mapping[str, Any]:
    """The tensors under the names, and of the sizes, that timm makes of foreign ones; as they are where it knows none."""
    module = sys.modules[type(backbone).__module__]
    known: Callable[..., Mapping[str, Any]] | None = next(filter(None, (getattr(module, f, None) for f in FILTERS)), None)
    if known is None:
        return state
    for network in ((backbone,), ()):  # some know nothing of the network
        try:
            return known(dict(state), *network)
        except TypeError:
            continue
        except Exception:  # of any kind, on what they were not written for
            break
    return state


def take_in_order(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The first tensors under the names of those that are wanted, where every shape and every last part of a name agrees.

    Else nothing. Behind them the file may hold a classifier; it may have been written before norms counted batches.
    """
    counted = any(name.endswith("num_batches_tracked") for name in state)
    names = [name for name in wanted if counted or not name.endswith("num_batches_tracked")]
    if not len(names) <= len(state) <= len(names) + CLASSIFIER:
        return {}
    pairs = list(zip(names, state.items(), strict=False))
    agree = all(
        theirs.shape == wanted[name].shape and other.rpartition(".")[2] == name.rpartition(".")[2]
        for name, (other, theirs) in pairs
    )
    return {name: theirs for name, (_, theirs) in pairs} if agree else {}


def load_backbone(path: Path) -> dict[str, Tensor]:
    """Pretrained weights: .safetensors, or a .pth read without unpickling objects, of a training, too."""
    if path.suffix == ".safetensors":
        return load_tensors(path)[0]
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except Exception as error:  # torch raises many kinds for files that are no checkpoint or hold objects
        raise WeightsError(f"{path}: not a plain state dict: {(str(error).splitlines() or ['?'])[0]}") from error
    for wrapper in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f"{path}: not a plain state dict of tensors")
    return {str(name).removeprefix("module."): value for name, value in state.items()}
