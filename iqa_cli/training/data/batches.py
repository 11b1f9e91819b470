"""Batches: which crops of which images stand in each batch of an epoch, drawn by the seed and the number of the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from iqa_cli.qfm_iqm.batch import Batch, join_batches
from iqa_cli.training.data.samples import CropDataset
from iqa_cli.training.options import LoopOptions

Place = tuple[int, int]
"""The number of a view and the index of an image."""


class EpochSampler(Sampler[list[Place]]):
    """The batches of one epoch."""

    def __init__(self, batches: list[list[Place]]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[list[Place]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def draw_epoch(dataset: CropDataset, options: LoopOptions, epoch: int, crops: int | None = None) -> EpochSampler:
    """The batches of one epoch. crops: how many of an image, each under the number of a view of its own; unset: the options'.

    Balanced, each batch has as many images of each source; of larger ones some are drawn, by their weights, none twice. A last
    incomplete batch is left out unless it is the only one.
    """
    crops = crops or options.crops_per_epoch
    generator = np.random.default_rng((dataset.options.seed, epoch))
    sources = list(split_sources(dataset).values())
    if not options.balanced:
        sources = [list(range(len(dataset)))]
    count = min(map(len, sources)) * crops
    share = max(1, min(options.batch_size, len(sources) * count) // len(sources))
    parts = []
    for indices in sources:
        weights = np.array([dataset.images[index].weight for index in indices])
        drawn = draw_images(np.array(indices), weights, count, generator)
        places = [(epoch * crops + turn, index) for turn, index in drawn]
        parts.append([places[end - share : end] for end in range(share, count + 1, share)])
    return EpochSampler([[place for part in batch for place in part] for batch in zip(*parts, strict=True)])


def split_sources(dataset: CropDataset) -> dict[int, list[int]]:
    """The indices of the images of each set, and under -1 of the unlabeled ones."""
    found: dict[int, list[int]] = {}
    for index, image in enumerate(dataset.images):
        found.setdefault(image.source if image.is_labeled else -1, []).append(index)
    return found


def draw_images(
    indices: npt.NDArray[np.int64], weights: npt.NDArray[np.float64], count: int, generator: np.random.Generator
) -> list[Place]:
    """(turn, index) of `count` images in random order: all as often as they go into that, then some by their weights."""
    turns, rest = divmod(count, len(indices))
    whole = [(turn, int(index)) for turn in range(turns) for index in indices]
    some = generator.choice(indices, rest, replace=False, p=weights / weights.sum())
    drawn = whole + [(turns, int(index)) for index in some]
    return [drawn[place] for place in generator.permutation(count)]


# ---- loading ----


def load_epoch(dataset: Dataset[Batch], sampler: EpochSampler, workers: int) -> DataLoader[Batch]:
    """The batches of one epoch."""
    return DataLoader(dataset, batch_sampler=sampler, num_workers=workers, collate_fn=join_batches)


def load_in_order(
    dataset: CropDataset, epoch: int, indices: Sequence[int], workers: int, count: int = 8
) -> Iterator[tuple[Sequence[int], list[Batch]]]:
    """Images once, in order, a few at a time: enough to keep a processor busy, few enough for its cache.

    Nothing is drawn from PyTorch's own generator, so a training that finds some of what it wants goes on as one that does not.
    """
    parts = [indices[start : start + count] for start in range(0, len(indices), count)]
    groups = [[(epoch, index) for index in part] for part in parts]
    loader: DataLoader[Any] = DataLoader(
        cast("Dataset[Any]", dataset),
        batch_sampler=groups,
        num_workers=workers,
        collate_fn=list,
        generator=torch.Generator(),
    )
    return zip(parts, loader, strict=True)
