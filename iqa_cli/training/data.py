"""Corpus: what a training learns from: the rated images of one set, or of several as one, and photos without ratings.

Opinions of all sets are on 0..1, higher is better: each set's own scale is brought there by its two ends and its direction
(`Labels.label`). That makes ends meet, no more: the same photo may well have got 0.6 in one study and 0.7 in another.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from iqa_cli.datasets.labels import Labels
from iqa_cli.datasets.sets import read_sets
from iqa_cli.datasets.splits import is_held_out
from iqa_cli.errors import DataError, UsageError
from iqa_cli.images.find import find_images
from iqa_cli.options import OwnRatings, RatedSets
from iqa_cli.training.options import StudyOptions


@dataclass(frozen=True)
class Corpus:
    """The ratings of some sets, one set after the other. sets: by the name under which each was asked for.

    Where there are several, the name of an image or of what it shows begins with its set's, so that none is taken for another.
    """

    sets: dict[str, Labels]

    @cached_property
    def origins(self) -> list[str]:
        """The set of each image [n]."""
        return [name for name, labels in self.sets.items() for _ in labels.ratings]

    @cached_property
    def names(self) -> list[str]:
        """What each image is called [n]: its path in its set."""
        return self.tell_apart([rating.path for labels in self.sets.values() for rating in labels.ratings])

    @cached_property
    def groups(self) -> list[str]:
        """What may not stand on both sides of a split [n]."""
        return self.tell_apart([group for labels in self.sets.values() for group in labels.groups])

    @cached_property
    def paths(self) -> list[Path]:
        """Where the images are [n]."""
        return [path for labels in self.sets.values() for path in labels.paths]

    @cached_property
    def quality(self) -> npt.NDArray[np.float64]:
        """The opinions on 0..1 [n], higher is better."""
        return np.concatenate([labels.label for labels in self.sets.values()])

    @cached_property
    def splits(self) -> list[str | None]:
        """The side of the official split on which each image is [n]."""
        return [rating.split for labels in self.sets.values() for rating in labels.ratings]

    @property
    def title(self) -> str:
        """All sets in words."""
        return " and ".join(labels.spec.title for labels in self.sets.values())

    def tell_apart(self, names: list[str]) -> list[str]:
        """The names, with their set's before them where there are several."""
        if len(self.sets) == 1:
            return names
        return [f"{origin}/{name}" for origin, name in zip(self.origins, names, strict=True)]


def read_corpus(options: StudyOptions) -> Corpus | None:
    """The ratings to train on, None where no set is named.

    Raises UsageError for sets that are unknown, named twice or nowhere to be found, DataError as `read_labels` does.
    """
    sets = read_sets(RatedSets(options.sets, options.roots, gather_own(options)))
    return Corpus(sets) if sets else None


def gather_own(options: StudyOptions) -> OwnRatings:
    """Where one's own ratings are. Raises UsageError for a scale that is none."""
    if len(options.score_range) not in (0, 2):
        raise UsageError(f"score_range is the lower and the upper end of the scale, not {len(options.score_range)} numbers")
    return OwnRatings(
        options.labels,
        options.image_column,
        options.score_column,
        options.group_column,
        (options.score_range[0], options.score_range[1]) if options.score_range else None,
        options.lower_is_better,
    )


def find_photos(options: StudyOptions) -> list[str]:
    """The photos without ratings, but for the share held out.

    Raises DataError for a folder that is not there, and where folders were named and none is in them.
    """
    for folder in options.photos:
        if not folder.exists():
            raise DataError(f"{folder}: no such folder of photos")
    found = find_images([str(folder) for folder in options.photos], Counter())
    kept = [path for path in found if not is_held_out(Path(path).name, options.samples.held_out)]
    if options.photos and not kept:
        raise DataError(f"{', '.join(map(str, options.photos))}: no photos to train on")
    return kept
