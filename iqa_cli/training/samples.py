"""Samples: labelled and unlabelled photos as batches of random crops.

Everything random about a crop is drawn from (seed, epoch, place in the set), so a resumed run sees what an uninterrupted one
would, however many workers load the data.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, cast, get_args

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from iqa_cli.errors import DataError, UsageError
from iqa_cli.images.crops import CropSpec, Rgb, cut_box, cut_crop, cut_crops, normalise
from iqa_cli.images.decode import decode_image
from iqa_cli.images.distortions import DISTORTIONS, LEVELS, distort
from iqa_cli.records import Undecodable
from iqa_cli.training.options import Damage, SampleOptions

CACHE_BYTES = 4 << 30  # of decoded images in memory


@dataclass(frozen=True)
class Photo:
    """One image to train on. quality: its label in 0..1, higher is better, or nan. reference: what its content is named.

    number: names it among all the photos of a study, whichever of them a training sees; -1: its place in the training.
    """

    path: str
    quality: float = float("nan")
    reference: str = ""
    number: int = -1


@dataclass(frozen=True)
class Views:
    """One random view of a photo and damaged versions of it: uint8 [side, side, 3] each, and their levels of damage."""

    versions: list[Rgb]
    levels: list[float]


@dataclass(frozen=True)
class Batch:
    """Crops of several photos. image, reference: numbers that name them. chain: crops of one number are the same crop with
    rising damage, by `level`; -1 stands alone. taught: what teachers think of the crops. features: what the encoder measured
    on the crops, where that is cached.
    """

    crops: Tensor  # [b, 3, h, w]
    quality: Tensor  # [b], nan where there is no label
    image: Tensor  # [b]
    reference: Tensor  # [b]
    chain: Tensor  # [b]
    level: Tensor  # [b], 0 undamaged
    taught: Tensor | None = None  # [b], nan where no teacher was asked
    features: Tensor | None = None  # [b, n, f]

    def __len__(self) -> int:
        return len(self.quality)

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device; the layout of the crops is the one that convolutions prefer."""
        crops = self.crops.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
        taught = None if self.taught is None else self.taught.to(device)
        return replace(self, crops=crops, quality=self.quality.to(device), level=self.level.to(device), taught=taught)


def join_batches(parts: Sequence[Batch]) -> Batch:
    """One batch of several, crops of one size."""
    names = [f.name for f in fields(Batch) if getattr(parts[0], f.name) is not None]
    return Batch(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


class Pixels(Protocol):
    """Where decoded images come from."""

    def load(self, path: str) -> Rgb:
        """uint8 [H, W, 3]. Raises DataError for an image that cannot be decoded."""


def decode_or_raise(path: str) -> Rgb:
    """uint8 [H, W, 3]. Raises DataError for an image that cannot be decoded: a training knows no rows with a status."""
    try:
        return decode_image(path).rgb
    except Undecodable as error:
        raise DataError(f"{path}: cannot train on this image: {error.detail}") from error


class PixelCache:
    """Decoded images, kept in memory up to a budget; those beyond it are decoded at each use."""

    def __init__(self, budget: int) -> None:
        self.left = budget  # bytes
        self.kept: dict[str, Rgb] = {}

    def load(self, path: str) -> Rgb:
        """uint8 [H, W, 3]. Raises DataError for an image that cannot be decoded."""
        if path in self.kept:
            return self.kept[path]
        rgb = decode_or_raise(path)
        if rgb.nbytes <= self.left:
            self.left -= rgb.nbytes
            self.kept[path] = rgb
        return rgb


@dataclass(frozen=True)
class ShrunkPixels:
    """The images of another source, reduced by a share of their sides."""

    source: Pixels
    share: float

    def load(self, path: str) -> Rgb:
        """uint8 [H, W, 3]. Raises DataError for an image that cannot be decoded."""
        rgb = self.source.load(path)
        height, width = rgb.shape[:2]
        rows, columns = (max(1, round(side * (1 - self.share))) for side in (height, width))
        return cut_box(rgb, (0, 0, width, height), (rows, columns))


class PhotoCrops(Dataset[Batch]):
    """(epoch, place) -> the batch of one photo: a random crop, flipped or not, and at times damaged versions of it.

    Crops are squares of the network's size: all of one shape, so that they make a batch. With targets, the answers of teachers
    [epochs, photos, versions], only the epochs they were asked about are drawn, over and over; varied, see `varied`, no two
    crops of them are alike. Raises UsageError for kinds of damage that cannot be drawn.
    """

    def __init__(self, photos: Sequence[Photo], crops: CropSpec, options: SampleOptions, pixels: Pixels | None = None) -> None:
        self.photos = [replace(photo, number=place) if photo.number < 0 else photo for place, photo in enumerate(photos)]
        self.targets: Tensor | None = None
        self.vary = 0.0
        self.scoring_crops = crops
        self.crops = replace(crops, fit="square")
        self.options = options
        self.pixels = PixelCache(CACHE_BYTES) if pixels is None else pixels
        names = {name: number for number, name in enumerate(dict.fromkeys(p.reference or p.path for p in self.photos))}
        self.references = [names[p.reference or p.path] for p in self.photos]
        self.kinds = choose_kinds(options)

    def __len__(self) -> int:
        return len(self.photos)

    def choose_places(self, epoch: int, unlabelled: float) -> list[int]:
        """Where the photos of an epoch stand: all that have labels, and that share of the others, drawn anew each time."""
        labelled = np.isfinite([photo.quality for photo in self.photos])
        others = np.random.default_rng((self.options.seed, epoch, 1)).permutation(np.flatnonzero(~labelled))
        chosen: list[int] = np.sort([*np.flatnonzero(labelled), *others[: round(unlabelled * len(others))]]).tolist()
        return chosen

    def __getitem__(self, where: tuple[int, int]) -> Batch:
        epoch, place = where
        return self.present(epoch, place, self.cut_views(epoch, place))

    def cut_views(self, epoch: int, place: int) -> Views:
        """What a photo shows in an epoch, as the network sees it: uint8 [size, size, 3] each."""
        chance = np.random.default_rng((self.options.seed, epoch, self.photos[place].number, 2))
        views = self.draw_views(epoch if self.targets is None else epoch % len(self.targets), place)
        return replace(views, versions=self.cut_versions(views.versions, chance))

    def present(self, epoch: int, place: int, views: Views) -> Batch:
        """The batch of one photo that shows this in an epoch."""
        return self.describe(epoch, place, views.levels, torch.from_numpy(normalise(views.versions, self.crops)))

    def varied(self, share: float) -> PhotoCrops:
        """The same views, of which each crop leaves out up to that share of the sides and is mirrored or not, anew in each
        epoch: changes that quality hardly knows, so that what teachers said of a view holds for many crops of it. 0: as is.
        """
        other = copy.copy(self)
        other.vary = share
        return other

    def shrunk(self, share: float) -> PhotoCrops:
        """The same views of the same photos, reduced by that share of their sides before, without damaged versions."""
        other = copy.copy(self)
        other.pixels, other.options = ShrunkPixels(self.pixels, share), replace(self.options, versions=0)
        return other

    def cut_versions(self, versions: Sequence[Rgb], chance: np.random.Generator) -> list[Rgb]:
        """A view and its damaged versions as the network sees them, all cut alike: uint8 [size, size, 3] each."""
        shape = (self.crops.size, self.crops.size)
        whole = len(versions[0])
        side = whole * (1 - chance.uniform(0, self.vary))
        left, top = chance.uniform(0, whole - side), chance.uniform(0, whole - side)
        box = (left, top, left + side, top + side)
        cut = [cut_crop(view, box, shape, self.crops) for view in versions]
        mirrored = self.vary > 0 and chance.random() < 0.5
        return [np.ascontiguousarray(view[:, ::-1]) for view in cut] if mirrored else cut

    def seen_by(self, crops: CropSpec) -> PhotoCrops:
        """The same views of the same photos, cut as another network wants them."""
        other = copy.copy(self)
        other.scoring_crops, other.crops, other.targets = crops, replace(crops, fit="square"), None
        other.options = replace(self.options, side=self.options.side or self.crops.size)
        return other

    def draw_views(self, epoch: int, place: int) -> Views:
        """What a photo shows in an epoch, before it is cut to the size of a network."""
        photo = self.photos[place]
        chance = np.random.default_rng((self.options.seed, epoch, photo.number))
        view = self.cut_view(self.pixels.load(photo.path), chance)
        labelled = bool(np.isfinite(photo.quality))
        levels = [0.0]
        versions = [view]
        if self.options.versions and (not labelled or chance.random() < self.options.damaged):
            kinds = self.kinds[labelled]  # a labelled photo may have faults; an unlabelled one is taken to be clean
            kind, pattern = kinds[chance.integers(len(kinds))], int(chance.integers(2**32))
            levels += sorted(chance.uniform(0.5, LEVELS, self.options.versions))
            versions += [distort(view, kind, level, np.random.default_rng(pattern)) for level in levels[1:]]
        return Views(versions, levels)

    def describe(self, epoch: int, place: int, levels: Sequence[float], crops: Tensor, features: Tensor | None = None) -> Batch:
        """The batch of one photo: crops [versions, 3, h, w], or features [versions, n, f], with all that is known of them."""
        rows = len(levels)
        return Batch(
            crops=crops,
            quality=torch.tensor([self.photos[place].quality] + [torch.nan] * (rows - 1), dtype=torch.float32),
            image=torch.full((rows,), place),
            reference=torch.full((rows,), self.references[place]),
            chain=torch.full((rows,), place if rows > 1 else -1),
            level=torch.tensor(levels, dtype=torch.float32),
            taught=None if self.targets is None else self.targets[epoch % len(self.targets), place, :rows].float(),
            features=features,
        )

    def cut_view(self, rgb: Rgb, chance: np.random.Generator) -> Rgb:
        """A random square of the image at a random scale, mirrored or not: uint8 [side, side, 3]."""
        length = self.options.side or self.crops.size
        height, width = rgb.shape[:2]
        side = min(height, width) / chance.uniform(1.0, self.options.enlarge)
        left, top = chance.uniform(0, width - side), chance.uniform(0, height - side)
        view = cut_box(rgb, (left, top, left + side, top + side), (length, length))
        return np.ascontiguousarray(view[:, ::-1]) if chance.random() < 0.5 else view


def choose_kinds(options: SampleOptions) -> dict[bool, list[str]]:
    """The kinds of damage to draw from, by whether a photo has a label: it may then have the opposite fault.

    Raises UsageError where none is left for photos with labels.
    """
    chosen = [name for name in DISTORTIONS if name in (options.kinds or get_args(Damage))]
    always = [name for name in chosen if not DISTORTIONS[name].may_help]
    if options.damaged and not always:
        raise UsageError("samples.damaged: each of samples.kinds may improve a photo that has a label: name others, too")
    return {False: chosen, True: always}


class EpochOrder(Sampler[list[tuple[int, int]]]):
    """The batches of one epoch as lists of (epoch, place), shuffled by (seed, epoch); a last incomplete batch is left out
    unless it is the only one. With several draws a photo stands there so often, each time under an epoch number of its own,
    so that its crops differ.
    """

    def __init__(self, places: Sequence[int], batch_size: int, epoch: int, seed: int, draws: int = 1) -> None:
        count = len(places)
        total = count * draws
        order = np.random.default_rng((seed, epoch)).permutation(total)
        shown = [(epoch * draws + int(turn) // count, places[int(turn) % count]) for turn in order]
        ends = range(batch_size, total + 1, batch_size) if total >= batch_size else [total]
        self.batches = [shown[max(0, end - batch_size) : end] for end in ends]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def load_epoch(dataset: Dataset[Batch], order: EpochOrder, workers: int) -> DataLoader[Batch]:
    """The batches of one epoch."""
    return DataLoader(dataset, batch_sampler=order, num_workers=workers, collate_fn=join_batches)


def load_in_order(
    dataset: PhotoCrops, epoch: int, places: Sequence[int], workers: int, count: int = 8
) -> Iterator[tuple[Sequence[int], list[Batch]]]:
    """Photos once, in order, a few at a time: enough to keep a processor busy, few enough for its cache."""
    parts = [places[start : start + count] for start in range(0, len(places), count)]
    groups = [[(epoch, place) for place in part] for part in parts]
    loader: DataLoader[Any] = DataLoader(
        cast("Dataset[Any]", dataset), batch_sampler=groups, num_workers=workers, collate_fn=list
    )
    return zip(parts, loader, strict=True)


def load_scoring_crops(photos: Sequence[Photo], crops: CropSpec, pixels: Pixels) -> Iterator[Tensor]:
    """For each photo the crops that scoring would see, [n, 3, h, w]: what validation is done on."""
    for photo in photos:
        yield torch.from_numpy(cut_crops(pixels.load(photo.path), crops))
