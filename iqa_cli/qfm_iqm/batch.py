"""Batch: what an objective sees of some crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Crops of several images.

    image, reference: numbers that name the image, and its content, of which synthetic sets have several versions.
    chain: crops of one number are versions of one crop, with rising distortion, by `level`; -1 stands alone.
    source: the set that the image is of, by its place among them, where there are several: their labels are on scales of their
        own.
    teacher: the teachers' predictions; trust: their weights.
    features: what the backbone extracted from the crops, where that is cached.
    """

    crops: Tensor  # [b, 3, h, w]
    label: Tensor  # [b], 0..1, higher is better; nan where there is none
    image: Tensor  # [b]
    reference: Tensor  # [b]
    chain: Tensor  # [b]
    level: Tensor  # [b], 0 undistorted
    source: Tensor | None = None  # [b], -1 unlabeled
    teacher: Tensor | None = None  # [b], nan where there is no prediction
    trust: Tensor | None = None  # [b]
    features: Tensor | None = None  # [b, n, f]

    def __len__(self) -> int:
        return len(self.label)

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device, all of it; the layout of the crops is the one that convolutions prefer."""
        held = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}
        moved = {name: value.to(device, non_blocking=True) for name, value in held.items()}
        return replace(self, **moved | {"crops": moved["crops"].contiguous(memory_format=torch.channels_last)})


def join_batches(parts: Sequence[Batch]) -> Batch:
    """One batch of several, with crops of one size."""
    names = [f.name for f in fields(Batch) if getattr(parts[0], f.name) is not None]
    return Batch(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})
