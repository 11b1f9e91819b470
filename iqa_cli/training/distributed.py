"""Data-parallel training: each process encodes its shard of a batch, and all of them decode the gathered batch.

So losses, memory and noise are those of one process that has the whole batch (the correlation and ranking terms are no sums
over crops, and a memory with a shard of the crops would be another memory). A gradient flows back from all tokens to the shard
that a process has encoded; summed over the processes it is that of the whole batch. What differs from one process is the order
of summation, no more.

Accelerate ([distributed] extra) joins the processes that torchrun starts, on GPUs by NCCL, else by Gloo. All machines must see
the run folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from iqa_cli.errors import ExtraMissing, UsageError
from iqa_cli.networks.network import QfmIqm
from iqa_cli.qfm_iqm.batch import Batch

T = TypeVar("T")
TIMEOUT = timedelta(days=1)  # of a barrier: one process asks the teachers, or writes, while the others wait


@dataclass(frozen=True)
class ProcessGroup:
    """One process among all. device: where it computes; None: as the options say. tools: `accelerate.utils`."""

    rank: int = 0
    size: int = 1
    device: torch.device | None = None
    tools: Any = None

    @property
    def is_main(self) -> bool:
        """Whether this process writes what all of them computed."""
        return self.rank == 0

    def shard(self, items: Sequence[T]) -> Sequence[T]:
        """A process's own part of some items; in the order of ranks the parts make the whole."""
        return items[self.rank * len(items) // self.size : (self.rank + 1) * len(items) // self.size]

    def wait(self) -> None:
        """A barrier."""
        if self.size > 1:
            self.tools.wait_for_everyone()

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """The main process goes through the block before all others."""
        if not self.is_main:
            self.wait()
        yield
        if self.is_main:
            self.wait()

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
        """A batch with the facts of all crops, but the crops, or features, of this process alone."""
        if self.size == 1:
            return batch
        own = ("crops", "features")
        facts = {f.name: getattr(batch, f.name) for f in fields(Batch) if f.name not in own}
        return replace(batch, **{name: torch.cat(self.gather(v)) for name, v in facts.items() if v is not None})

    def sum_gradients(self, network: QfmIqm, others: Sequence[nn.Parameter] = ()) -> None:
        """Make the gradient of each process that of the whole batch. others: what an objective trains beside the network.

        The encoder's is summed over the shards. The decoder, and an objective, have seen all of the batch everywhere, so their
        gradients agree but for rounding, which must not grow: they are averaged.
        """
        if self.size == 1:
            return
        trained = [*network.named_parameters(), *(("", p) for p in others)]
        known = [(name, p) for name, p in trained if p.grad is not None]
        flat = torch.cat([p.grad.flatten() / (1 if name.startswith("encoder.") else self.size) for name, p in known])  # type: ignore[union-attr]
        total = self.tools.reduce(flat, reduction="sum")
        for (_, p), part in zip(known, total.split([p.numel() for _, p in known]), strict=True):
            p.grad = part.view_as(p)

    def close(self) -> None:
        """Leave the group, once all are done: a process that ends before may tear down what others wait for."""
        if self.size > 1:
            self.wait()
            torch.distributed.destroy_process_group()


SINGLE = ProcessGroup()


class ShardedNetwork(nn.Module):
    """A network as objectives see it where each process encodes a shard: its tokens are those of all."""

    def __init__(self, network: QfmIqm, group: ProcessGroup) -> None:
        super().__init__()
        self.network = network
        self.group = group

    def encode(self, crops: Tensor) -> Tensor:
        """The crops of this process [b', 3, h, w] -> the tokens of all [b, t, d]."""
        return self.group.gather_own(self.network.encode(crops))

    def project(self, features: Tensor) -> Tensor:
        """The features of this process [b', n, f] -> the tokens of all [b, t, d]."""
        return self.group.gather_own(self.network.project(features))

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens [b, t, d] -> label [b], in every process alike."""
        return self.network.decode(tokens)


def open_group(device: str) -> ProcessGroup:
    """The own process among those that torchrun has started; a single one without it, and then nothing is imported.

    device: "cpu", or the kind of the accelerators, of which each process takes its own. Raises ExtraMissing without Accelerate,
    UsageError for a single device that several processes cannot share.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return SINGLE
    if ":" in device:
        raise UsageError(
            f"--device {device}: under torchrun each process takes a device of its own; say {device.split(':')[0]}"
        )
    try:
        from accelerate import PartialState, utils
    except ModuleNotFoundError as error:
        raise ExtraMissing("distributed", "training in several processes") from error
    state = PartialState(cpu=device == "cpu", timeout=TIMEOUT)
    return ProcessGroup(state.process_index, state.num_processes, state.device, utils)
