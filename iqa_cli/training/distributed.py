"""Team: the processes that train one network together, as torchrun starts them; by default one process, alone.

Each process shows the backbone its own share of a batch. The tokens are then gathered, and every process decodes all of them:
so losses, memory and noise are those of one process that has the whole batch (the correlation and order terms are no sums over
crops, and a memory that held a share of the crops would be another memory). A gradient flows back from all tokens to the share
that a process has measured; summed over the processes it is that of the whole batch. What differs from one process is the order
of summation, no more.

Accelerate ([distributed] extra) joins the processes, on GPUs by NCCL, else by Gloo. All machines must see the run folder.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from iqa_cli.errors import ExtraMissing, UsageError
from iqa_cli.networks.network import QfmIqm
from iqa_cli.training.samples import Batch

T = TypeVar("T")
PATIENCE = timedelta(days=1)  # with each other: one process asks the teachers, or writes, while the others wait


@dataclass(frozen=True)
class Team:
    """One process among all. device: where it computes; None: as the options say. tools: `accelerate.utils`."""

    rank: int = 0
    size: int = 1
    device: torch.device | None = None
    tools: Any = None

    @property
    def leads(self) -> bool:
        """Whether this process writes what all of them found."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """The part of some items that is this process's own; in the order of ranks the parts make the whole."""
        return items[self.rank * len(items) // self.size : (self.rank + 1) * len(items) // self.size]

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            self.tools.wait_for_everyone()

    def gather(self, rows: Tensor) -> list[Tensor]:
        """The rows [n, ...] of every process, by rank; n may differ. No gradient flows through."""
        if self.size == 1:
            return [rows]
        own = rows.detach().to(self.device)
        counts = self.tools.gather(torch.tensor([len(own)], device=self.device)).tolist()
        if not max(counts):  # as where there are no images to test on
            return [rows] * self.size
        sendable = own.float() if own.dtype in (torch.bfloat16, torch.float16) else own  # Gloo knows no halves
        padded = self.tools.pad_across_processes(sendable.contiguous(), dim=0)
        parts = self.tools.gather(padded).split(max(counts))
        return [part[:count].to(rows) for part, count in zip(parts, counts, strict=True)]

    def gather_own(self, rows: Tensor) -> Tensor:
        """All rows, of which this process's carry their gradient."""
        parts = self.gather(rows)
        parts[self.rank] = rows
        return torch.cat(parts)

    def gather_batch(self, batch: Batch) -> Batch:
        """A batch with what is known of all crops, but the crops, or features, of this process alone."""
        if self.size == 1:
            return batch
        own = ("crops", "features")
        known = {f.name: getattr(batch, f.name) for f in fields(Batch) if f.name not in own}
        return replace(batch, **{name: torch.cat(self.gather(v)) for name, v in known.items() if v is not None})

    def sum_gradients(self, network: QfmIqm) -> None:
        """Make the gradient of each process that of the whole batch.

        The encoder's is summed over the shares. The decoder has seen all of the batch everywhere, so its gradients agree but
        for rounding, which must not grow: they are averaged.
        """
        if self.size == 1:
            return
        known = [(name, p) for name, p in network.named_parameters() if p.grad is not None]
        flat = torch.cat([p.grad.flatten() / (1 if name.startswith("encoder.") else self.size) for name, p in known])  # type: ignore[union-attr]
        total = self.tools.reduce(flat, reduction="sum")
        for (_, p), part in zip(known, total.split([p.numel() for _, p in known]), strict=True):
            p.grad = part.view_as(p)


ALONE = Team()


class SharedNetwork(nn.Module):
    """A network as objectives see it where each process encodes a share: its tokens are those of all."""

    def __init__(self, network: QfmIqm, team: Team) -> None:
        super().__init__()
        self.network = network
        self.team = team

    def encode(self, crops: Tensor) -> Tensor:
        """The crops of this process [b', 3, h, w] -> the tokens of all [b, t, d]."""
        return self.team.gather_own(self.network.encode(crops))

    def project(self, features: Tensor) -> Tensor:
        """The features of this process [b', n, f] -> the tokens of all [b, t, d]."""
        return self.team.gather_own(self.network.project(features))

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens [b, t, d] -> quality [b], in every process alike."""
        return self.network.decode(tokens)


def count_processes() -> int:
    """How many torchrun has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def open_team(device: str) -> Team:
    """The place of this process among those that torchrun has started; alone without it, and then nothing is imported.

    device: "cpu", or the kind of the accelerators, of which each process takes its own. Raises ExtraMissing without Accelerate,
    UsageError for a single device that several processes cannot share.
    """
    if count_processes() == 1:
        return ALONE
    if ":" in device:
        raise UsageError(
            f"--device {device}: under torchrun each process takes a device of its own; say {device.split(':')[0]}"
        )
    try:
        from accelerate import PartialState, utils
    except ModuleNotFoundError as error:
        raise ExtraMissing("distributed", "training in several processes") from error
    state = PartialState(cpu=device == "cpu", timeout=PATIENCE)
    return Team(state.process_index, state.num_processes, state.device, utils)
