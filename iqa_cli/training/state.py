"""Run and State: what a training is given, and what changes in it, which a run folder keeps between epochs."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from iqa_cli.errors import UsageError
from iqa_cli.evaluation.metrics import plcc, srcc
from iqa_cli.networks.network import QfmIqm
from iqa_cli.networks.torch_backend import choose_device
from iqa_cli.qfm_iqm.objective import Objective
from iqa_cli.training.data.pixels import Pixels
from iqa_cli.training.data.samples import CropDataset, TrainingImage, load_scoring_crops
from iqa_cli.training.data.sides import find_validated
from iqa_cli.training.distributed import ProcessGroup
from iqa_cli.training.optim import build_optimizer
from iqa_cli.training.options import LoopOptions
from iqa_cli.training.run_folder import RunFolder, Snapshot


@dataclass(frozen=True)
class Run:
    """A network, its data, how it is trained, and where that is kept.

    features: where those of the frozen backbone are cached for other trainings; None: in the run folder, for head training.
    is_started: whether the network is a trained one already, so that features are standardized.
    """

    network: QfmIqm
    dataset: CropDataset
    validation: Sequence[TrainingImage]
    options: LoopOptions
    folder: RunFolder
    features: Path | None = None
    is_started: bool = False

    @property
    def group(self) -> ProcessGroup:
        """The processes that train it together, all with the same run; one of them writes."""
        return self.folder.group

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return choose_device(self.options.device)

    def predict(self, network: QfmIqm, images: Sequence[TrainingImage], pixels: Pixels) -> npt.NDArray[np.float64]:
        """The label [n] of each image as scoring would predict it. Raises UsageError for a network that predicts no number."""
        labels = self.predict_anything(network, images, pixels)
        for image, label in zip(images, labels, strict=True):
            if not math.isfinite(label):
                raise UsageError(
                    f"{self.folder.path}: training diverged: its network predicts {label} for {image.path}; train anew with"
                    " lower rates"
                )
        return labels

    def predict_anything(self, network: QfmIqm, images: Sequence[TrainingImage], pixels: Pixels) -> npt.NDArray[np.float64]:
        """The label [n] of each image, the mean over its crops; of a network that has diverged they may be nan or infinite.

        Of several processes each predicts a shard of the images, and all get all labels.
        """
        crops = load_scoring_crops(self.group.shard(images), self.dataset.scoring_crops, pixels)
        own = [float(predict_crops(network, each, self.device).mean()) for each in crops]
        return torch.cat(self.group.gather(torch.tensor(own, dtype=torch.float64))).numpy()

    @property
    def validated(self) -> list[npt.NDArray[np.bool_]]:
        """Of each set that can be validated on, which validation images are of it: enough, and not all of one label."""
        labels = np.array([image.label for image in self.validation])
        return find_validated([image.source for image in self.validation], labels)

    def validate(self, network: QfmIqm) -> tuple[float | None, float | None]:
        """SRCC and PLCC of the validation images, the means over the sets that can be validated on; None where none can."""
        parts = self.validated
        if not parts:
            return None, None
        predicted = self.predict(network, self.validation, self.dataset.pixels)
        labels = np.array([image.label for image in self.validation])
        srccs, plccs = ([metric(predicted[part], labels[part]) for part in parts] for metric in (srcc, plcc))
        return float(np.mean(srccs)), float(np.mean(plccs))


@torch.no_grad()
def predict_crops(network: QfmIqm, crops: Tensor, device: torch.device) -> Tensor:
    """Crops [n, 3, h, w] -> label [n], on the CPU, in single precision."""
    network.eval()
    return network(crops.to(device).contiguous(memory_format=torch.channels_last)).cpu()  # type: ignore[no-any-return]


@dataclass
class State:
    """What changes while a network is trained."""

    averaged: QfmIqm  # the moving average of the weights: what is validated and kept
    objective: Objective
    optimizer: torch.optim.AdamW
    epoch: int = 0  # how many are done
    steps: int = 0  # of the averaging
    rows: list[dict[str, Any]] = field(default_factory=list)  # the epochs so far, as stats.jsonl holds them


def choose_optimizer(run: Run, objective: Objective, *, head_only: bool) -> torch.optim.AdamW:
    """What trains the network and what the objective has beside it, in a phase."""
    return build_optimizer(run.network, run.options, head_only=head_only, others=objective.parameters())


def begin(run: Run, objective: Objective) -> State:
    """The state to go on from: that of the run folder's snapshot, or a new one where there is none."""
    state = State(copy.deepcopy(run.network), objective, choose_optimizer(run, objective, head_only=True))
    found = run.folder.read_snapshot()
    if found is None:
        return state
    run.network.load_state_dict(found.part("network"))
    state.averaged.load_state_dict(found.part("averaged"))
    objective.restore(found.part("objective"))
    state.optimizer = choose_optimizer(run, objective, head_only=found.epoch <= run.options.head_epochs)
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in found.part("optimizer").items():
        number, name = key.split(".")
        moments.setdefault(int(number), {})[name] = value
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    restore_random(found.tensors, run.device)
    state.epoch, state.steps = found.epoch, found.steps
    state.rows = [row for row in run.folder.read_stats() if row["epoch"] <= found.epoch]
    return state


def snapshot(run: Run, state: State, epoch: int) -> Snapshot:
    """Everything that the next epoch depends on."""
    tensors = {f"network.{k}": v for k, v in run.network.state_dict().items()}
    tensors |= {f"averaged.{k}": v for k, v in state.averaged.state_dict().items()}
    tensors |= {f"objective.{k}": v for k, v in state.objective.state().items()}
    for number, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{k}": v for k, v in moments.items()}
    return Snapshot(epoch, state.steps, tensors | random_state(run.device))


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The state of the generators that a training on a device draws from: that of the CPU, and that of a GPU."""
    state = {"random": torch.get_rng_state()}
    if device.type != "cpu":
        state[f"random_{device.type}"] = torch.get_device_module(device).get_rng_state(*name_device(device))
    return state


def restore_random(state: Mapping[str, Tensor], device: torch.device) -> None:
    """The opposite of `random_state`; a run that goes on on another kind of device draws anew there."""
    torch.set_rng_state(state["random"])
    own = state.get(f"random_{device.type}")
    if own is not None:
        torch.get_device_module(device).set_rng_state(own, *name_device(device))


def name_device(device: torch.device) -> tuple[torch.device, ...]:
    """What PyTorch's functions for one kind of device want to know of it: of several GPUs, which."""
    return () if device.type == "mps" else (device,)
