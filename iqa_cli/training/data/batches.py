"""Batches: which crops of which images stand in each batch of an epoch, drawn by the seed and the number of the epoch alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from iqa_cli.errors import DataError, IqaError
from iqa_cli.qfm_iqm.batch import Batch, join_batches
from iqa_cli.training.data.samples import CropDataset
from iqa_cli.training.options import LoopOptions

Place = tuple[int, int]
"""The number of a view and the index of an image."""

LOST = re.compile(r"DataLoader worker \(pid")
"""How PyTorch begins to tell that a loader process has ended; of what one raises it tells in other words."""


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


class Guarded(Dataset[Batch | IqaError]):
    """A dataset that returns its errors: what a loader process raises would come with its whole traceback as the text."""

    def __init__(self, dataset: Dataset[Batch]) -> None:
        self.dataset = dataset

    def __getitem__(self, where: Place) -> Batch | IqaError:
        try:
            return self.dataset[where]
        except IqaError as error:
            return error


def join_whole(images: Sequence[Batch | IqaError], join: Callable[[Sequence[Any]], Any]) -> Any:
    """Images joined, or the first error among them."""
    return next((each for each in images if isinstance(each, IqaError)), None) or join(images)


@dataclass(frozen=True)
class Loader:
    """Images of a dataset, a batch at a time, joined; with `workers` they are loaded by as many other processes.

    Iterating raises what the dataset raises, whichever process it is raised in. generator: what PyTorch seeds these with; None:
    its own.
    """

    dataset: Dataset[Batch]
    batches: EpochSampler | list[list[Place]]
    workers: int
    join: Callable[[Sequence[Any]], Any]
    generator: torch.Generator | None = None

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        loader: DataLoader[Any] = DataLoader(
            Guarded(self.dataset),
            batch_sampler=self.batches,
            num_workers=self.workers,
            collate_fn=partial(join_whole, join=self.join),
            generator=self.generator,
        )
        for found in loader:
            if isinstance(found, IqaError):
                raise found
            yield found


@contextmanager
def watch_loaders() -> Iterator[None]:
    """Raises DataError where a loader process is killed while the block lasts: PyTorch says so wherever the block then is."""
    try:
        yield
    except RuntimeError as error:
        if not LOST.search(str(error)):
            raise
        raise DataError(
            "a process that loads images was killed, perhaps for want of memory: set fewer loop.workers, and go on by --resume"
        ) from error


def load_epoch(dataset: Dataset[Batch], sampler: EpochSampler, workers: int) -> Loader:
    """The batches of one epoch."""
    return Loader(dataset, sampler, workers, join_batches)


def load_in_order(
    dataset: CropDataset, epoch: int, indices: Sequence[int], workers: int, count: int = 8
) -> Iterator[tuple[Sequence[int], list[Batch]]]:
    """Images once, in order, a few at a time: enough to keep a processor busy, few enough for its cache.

    Nothing is drawn from PyTorch's own generator, so a training that finds some of what it wants goes on as one that does not.
    """
    parts = [indices[start : start + count] for start in range(0, len(indices), count)]
    groups = [[(epoch, index) for index in part] for part in parts]
    return zip(parts, Loader(dataset, groups, workers, list, torch.Generator()), strict=True)
