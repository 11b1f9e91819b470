"""Training data: the labeled images of one set, or of several as one, and unlabeled images. No PyTorch here.

Labels of all sets are on 0..1, higher is better: each set's own scale is brought there by its two ends and its direction
(`Labels.label`). Sets are not otherwise aligned: the same photo may well have got 0.6 in one study and 0.7 in another.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt

from iqa_cli.datasets.labels import Labels
from iqa_cli.datasets.sets import read_sets
from iqa_cli.datasets.splits import is_held_out
from iqa_cli.errors import DataError, UsageError
from iqa_cli.images.crops import CropSpec
from iqa_cli.images.distortions import DISTORTIONS
from iqa_cli.images.find import UNSEEN, find_images
from iqa_cli.options import RatedSets
from iqa_cli.training.options import DistortionName, SampleOptions, TrainingOptions, parse_weights

SAMPLE, DIGITS = 4096, 16  # bytes of each image that are compared, and digits of a digest that are kept


@dataclass(frozen=True)
class TrainingData:
    """The labeled images of some sets, one set after the other. sets: by the name under which each was asked for.

    Where there are several, the name of an image or of its content begins with its set's, so that none is taken for another.
    """

    sets: dict[str, Labels]

    @cached_property
    def origins(self) -> list[str]:
        """The set of each image [n]."""
        return [name for name, labels in self.sets.items() for _ in labels.ratings]

    @cached_property
    def subsets(self) -> list[str | None]:
        """The part of its set that each image is of [n], where the set has parts."""
        return [rating.subset for labels in self.sets.values() for rating in labels.ratings]

    @cached_property
    def names(self) -> list[str]:
        """The name of each image [n]: its path in its set."""
        return self.qualify([rating.path for labels in self.sets.values() for rating in labels.ratings])

    @cached_property
    def groups(self) -> list[str]:
        """What may not stand on both sides of a split [n]; groups that have a file in common, as of two sets, are one."""
        named = self.qualify([group for labels in self.sets.values() for group in labels.groups])
        return join_groups(named, self.files)

    @cached_property
    def standing(self) -> dict[str, tuple[str, ...]]:
        """The sets in which each group stands."""
        found: dict[str, dict[str, None]] = {}
        for group, origin in zip(self.groups, self.origins, strict=True):
            found.setdefault(group, {})[origin] = None
        return {group: tuple(sets) for group, sets in found.items()}

    @cached_property
    def files(self) -> list[str]:
        """The file of each image [n], by whatever path or link it is reached."""
        return [os.path.realpath(path) for path in self.paths]

    @cached_property
    def paths(self) -> list[Path]:
        """Where the images are [n]."""
        return [path for labels in self.sets.values() for path in labels.paths]

    @cached_property
    def labels(self) -> npt.NDArray[np.float64]:
        """The ratings on 0..1 [n], higher is better."""
        return np.concatenate([labels.label for labels in self.sets.values()])

    @cached_property
    def splits(self) -> list[str | None]:
        """The side of the official split on which each image is [n]."""
        return [rating.split for labels in self.sets.values() for rating in labels.ratings]

    @cached_property
    def digest(self) -> str:
        """A digest of the images and all that is known of them, wherever they lie. Raises DataError where one is gone.

        Of each file there is the size in it and what is in its middle: other pixels show, and a large set takes seconds.
        """
        digest = hashlib.sha256()
        for *known, path in zip(self.names, self.labels.tolist(), self.groups, self.subsets, self.paths, strict=True):
            digest.update(json.dumps([*known, *sample_file(path)]).encode() + b"\n")
        return digest.hexdigest()[:DIGITS]

    @property
    def title(self) -> str:
        """All sets in words."""
        return " and ".join(labels.spec.title for labels in self.sets.values())

    def qualify(self, names: list[str]) -> list[str]:
        """The names, with their set's before them where there are several."""
        if len(self.sets) == 1:
            return names
        return [f"{origin}/{name}" for origin, name in zip(self.origins, names, strict=True)]

    def describe(self, indices: Sequence[int]) -> tuple[list[str], npt.NDArray[np.float64]]:
        """The sets and the labels of some images."""
        return [self.origins[index] for index in indices], self.labels[list(indices)]

    def split_by_set(self, indices: Sequence[int]) -> dict[str, tuple[Labels, list[int]]]:
        """Some images by their set: their ratings there, and which of the indices they were. Sets without any are left out."""
        found, start = {}, 0
        for name, labels in self.sets.items():
            end = start + len(labels.ratings)
            own = [row for row, index in enumerate(indices) if start <= index < end]
            if own:
                found[name] = (labels.take([indices[row] - start for row in own]), own)
            start = end
        return found


def join_groups(groups: Sequence[str], files: Sequence[str]) -> list[str]:
    """The group of each image [n], where those that have a file in common are one, under one of their names."""
    joined: dict[str, str] = {}
    first: dict[str, str] = {}  # group of each file
    for group, file in zip(groups, files, strict=True):
        one, other = (find_first(joined, each) for each in (first.setdefault(file, group), group))
        if one != other:
            joined[other] = one
    return [find_first(joined, group) for group in groups]


def find_first(joined: Mapping[str, str], group: str) -> str:
    """The group that a group was joined to, or itself."""
    while group in joined:
        group = joined[group]
    return group


def sample_file(path: Path) -> tuple[int, str]:
    """The size of an image's file, and a digest of what is in its middle. Raises DataError where it is gone."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - SAMPLE) // 2)
            return size, hashlib.sha256(file.read(SAMPLE)).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot train on this image: {error.strerror}") from error


def read_data(options: TrainingOptions) -> TrainingData | None:
    """The labeled images to train on, None where no set is named.

    Raises UsageError for sets that are unknown, named twice or nowhere to be found, DataError as `read_labels` does.
    """
    sets = read_sets(RatedSets(options.sets, options.roots, options.own))
    return TrainingData(sets) if sets else None


def weigh_subsets(data: TrainingData, options: SampleOptions) -> dict[str, float]:
    """How often each subset is drawn, where that is said. Raises UsageError for a subset that no set has."""
    weights = parse_weights(options.subset_weights)
    unknown = weights.keys() - set(data.subsets)
    if unknown:
        there = ", ".join(sorted(name for name in set(data.subsets) if name)) or "none"
        raise UsageError(f"samples.subset_weights: no images of a subset {sorted(unknown)[0]}; there are: {there}")
    return weights


def find_unlabeled(options: TrainingOptions) -> list[str]:
    """All unlabeled images.

    What the training itself writes below such a folder is none of them. Raises DataError for a folder that is not there or
    holds what cannot be looked at, and where folders were named and no image is in them.
    """
    found: list[str] = []
    for folder in options.unlabeled:
        if not folder.exists():
            raise DataError(f"{folder}: no such folder of images")
        left_out: Counter[str] = Counter()
        written = list_written(folder, options)
        found += [path for path in find_images([str(folder)], left_out) if not lies_in(path, written)]
        unseen = ", ".join(f"{kind}: {left_out[kind]}" for kind in UNSEEN if left_out[kind])
        if unseen:
            raise DataError(f"{folder}: not all of it can be looked at ({unseen}): make that readable, or name other folders")
    if options.unlabeled and not leave_out_held(found, options.samples):
        raise DataError(f"{', '.join(map(str, options.unlabeled))}: no images to train on")
    return found


def list_written(folder: Path, options: TrainingOptions) -> list[str]:
    """The folders below a folder of images in which the training keeps what it makes; not the folder itself, nor any around."""
    top = os.path.realpath(folder)
    kept = (options.run_dir, options.features, options.decoded)
    places = [os.path.realpath(each) for each in kept if each is not None]
    return [place for place in places if place != top and lies_in(place, [top])]


def lies_in(path: str, folders: Sequence[str]) -> bool:
    """Whether a path is one of some folders, or below it; links are followed."""
    if not folders:
        return False
    place = Path(os.path.realpath(path))
    return any(str(each) in folders for each in (place, *place.parents))


def leave_out_held(images: Sequence[str], options: SampleOptions) -> list[str]:
    """The images that are trained on: all but the share held out."""
    return [path for path in images if not is_held_out(Path(path).name, options.held_out)]


def choose_distortions(options: SampleOptions) -> dict[bool, list[str]]:
    """The distortions to draw from, by whether an image may have the opposite fault, as a labeled one that is not clean.

    Raises UsageError where none is left for labeled images.
    """
    chosen = [name for name in DISTORTIONS if name in (options.distortions or get_args(DistortionName))]
    always = [name for name in chosen if not DISTORTIONS[name].may_help]
    if options.distorted and not always:
        raise UsageError("samples.distorted: each of samples.distortions may improve a labeled image: name others, too")
    return {False: chosen, True: always}


def choose_crop_size(options: SampleOptions, crops: CropSpec, size: int) -> int:
    """The px of a side of the training crops of a network that takes any size, beside one whose input has the area size x size.

    Both are in the proportion of the inputs, so that each network sees an image at the scale at which it scores. 0: that of its
    input, where `crop_size` is not set or the network takes squares alone.
    """
    if crops.fit != "whole" or not options.crop_size:
        return 0
    if crops.size == size:
        return options.crop_size
    return crops.multiple * max(1, round(options.crop_size * crops.size / size / crops.multiple))
