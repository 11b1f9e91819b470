"""Every knob and its default: one frozen dataclass a command."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from iqa_cli.errors import UsageError

DEFAULT_MODEL = "qfm-iqm-lite"
MAX_PREVIEW = 1024  # px
GROUP_PREVIEW = 200  # px of the previews by which views are compared; as in a report, so that one serves both
REPORT_PREVIEW = 200  # px: 9 kB a photo, so that a report on 10,000 of them has less than 150 MB
MAX_CROPS = 9  # as many places as `crops.POSITIONS` has
MAX_WORKERS = 4096  # more than any machine has cores; each is a process

MAX_PIXELS = 300_000_000
"""Above every camera's single shot (medium format 151, telephones 200 million); decoding so many takes 3 to 4 GB."""
MAX_TIMEOUT = 86_400.0  # s, a day: what timers and sockets surely take


class BackendChoice(StrEnum):
    """What runs the network. AUTO: ONNX Runtime if the model has an .onnx file, else PyTorch."""

    AUTO = "auto"
    ONNX = "onnx"
    TORCH = "torch"


class RawChoice(StrEnum):
    """Which picture of a camera's RAW file. PREVIEW: what the camera made of it, where that is large enough."""

    PREVIEW = "preview"
    DEVELOP = "develop"


FILE_KINDS = {BackendChoice.ONNX: "onnx", BackendChoice.TORCH: "safetensors"}
"""What runs the network -> which of a card's files it reads, and how the names of such files end. In order of preference."""


WHOLE_NUMBERS = {
    "batch_size": (1, sys.maxsize),
    "workers": (1, MAX_WORKERS),
    "crops": (1, MAX_CROPS),
    "max_pixels": (1, sys.maxsize),
    "max_depth": (1, sys.maxsize),
    "preview": (0, MAX_PREVIEW),
}
"""Option of `ScoreOptions` -> the least and the greatest number that it takes."""


def read_whole(name: str, value: object, least: int = 1, most: int = sys.maxsize) -> int:
    """A whole number between two others as an int, also where it is written as 6e7. Raises UsageError for anything else."""
    whole: int | None = None
    with suppress(TypeError, ValueError, OverflowError):  # of what is no number, of nan and of inf
        whole = int(value)  # type: ignore[call-overload]
    if whole is None or whole != value:
        raise UsageError(f"{name} is a whole number, not {value!r}")
    if whole < least:
        raise UsageError(f"{name} is at least {least}, not {whole}")
    if whole > most:  # by how many digits nobody need see
        raise UsageError(f"{name} is at most {most}")
    return whole


@dataclass(frozen=True)
class ScoreOptions:
    """How images are scored. Raises UsageError where a number makes no sense.

    model: an installed name, a path (card, .onnx, .safetensors, or a folder with one card), or hf://owner/name[@revision].
    device: "auto", "cpu", "cuda", "cuda:1", "mps", ...; what the backend knows.
    batch_size: images a task; the CPU gains nothing from more than one, because ONNX Runtime runs it crop by crop there.
    workers: processes that decode, and threads that run the network; None: one of each a core that this process may use.
    crops: views an image, 1 to 9; None: as many as the model's card says.
    max_pixels: larger images are not decoded but reported; None: MAX_PIXELS.
    timeout: seconds after which the decoding of an image is given up and reported.
    cache: whether scores are kept in the user's cache folder, and images that have not changed since are not scored again.
    include, exclude: shell patterns of what counts in folders, matched with names and with paths below the named folder.
    max_depth: how many levels of a folder are looked into, 1: the files in it alone; None: all.
    follow_symlinks: whether links in folders are followed, though never to a folder twice, or left out.
    preview: longer side in px of the small picture that comes with each score; 0: none.
    raw: which picture of a camera's RAW file is scored.
    reasons: whether each record says what is wrong with the photo.
    detail: whether it is measured, too, how much of the resolution is real.
    """

    model: str = DEFAULT_MODEL
    backend: BackendChoice = BackendChoice.AUTO
    device: str = "auto"
    batch_size: int = 1
    workers: int | None = None
    crops: int | None = None
    max_pixels: int | None = None
    timeout: float = 60.0
    cache: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_depth: int | None = None
    follow_symlinks: bool = True
    preview: int = 0
    raw: RawChoice = RawChoice.PREVIEW
    reasons: bool = False
    detail: bool = False

    def __post_init__(self) -> None:
        for name, (least, most) in WHOLE_NUMBERS.items():
            value = getattr(self, name)
            if value is not None or getattr(type(self), name) is not None:
                object.__setattr__(self, name, read_whole(name, value, least, most))
        if not 0 < self.timeout <= MAX_TIMEOUT:
            raise UsageError(f"timeout is more than 0 and at most {MAX_TIMEOUT:g} seconds, not {self.timeout}")


OWN = "csv"  # the name of a set under which anyone's own ratings go


class Side(StrEnum):
    """Which images of a set are measured on. TEST: of the official split where the set has one, else of a seeded one."""

    ALL = "all"
    TEST = "test"


@dataclass(frozen=True)
class OwnRatings:
    """Ratings of one's own in a CSV file with a header. Raises UsageError for a scale that is none.

    An image without an entry in the column of subsets is of none.
    """

    labels: Annotated[Path | None, "the file of ratings"] = None
    image_column: Annotated[str, "its column of paths"] = "image"
    score_column: Annotated[str, "its column of ratings"] = "score"
    group_column: Annotated[str | None, "images of one group never stand on two sides of a split"] = None
    score_range: Annotated[tuple[float, float] | None, "ends of the scale; unset: its lowest and its highest rating"] = None
    lower_is_better: Annotated[bool, "the direction of the scale"] = False
    subset_column: Annotated[str | None, "its column of subsets, for figures of each and samples.subset_weights"] = None

    def __post_init__(self) -> None:
        ends = self.score_range
        if ends is not None and (len(ends) != 2 or not ends[0] < ends[1]):
            given = " and ".join(f"{end:g}" for end in ends)
            raise UsageError(f"a score range is the lower and the upper end of a scale, not {given}")


@dataclass(frozen=True)
class RatedSets:
    """Which rated sets, and where they are on this machine. Raises UsageError where that makes no sense.

    names: of the catalog, or "csv" for `own`. roots: the folder of the set, or one for each set, or one that holds all; none:
    the environment variable IQA_DATA, and for `own` the folder of the file.
    """

    names: tuple[str, ...]
    roots: tuple[Path, ...] = ()
    own: OwnRatings = OwnRatings()

    def __post_init__(self) -> None:
        refuse_repeated(self.names)
        if len(self.roots) > 1 and len(self.roots) != len(self.names):
            each = f"{len(self.roots)} times --data-root for {len(self.names)} sets"
            raise UsageError(f"{each}: give one for each, or one folder that holds them")
        if self.own.labels is not None and OWN not in self.names:
            raise UsageError(f"--labels {self.own.labels} is for ratings of your own: add --dataset {OWN}")

    def find_root(self, name: str) -> Path | None:
        """Where one of the sets is, as far as that was said."""
        if len(self.roots) == len(self.names):
            return self.roots[self.names.index(name)]
        return self.roots[0] if self.roots else None


def refuse_repeated(names: Iterable[str]) -> None:
    """Raises UsageError where a name stands there twice."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(f"{twice[0]} is named twice")


@dataclass(frozen=True)
class EvaluateOptions:
    """What is to be measured on what. Raises UsageError where that makes no sense.

    models: as in `ScoreOptions.model`. repeats: over how many seeded splits the median is taken, with seeds from `seed` on.
    rounds: draws of the bootstrap. allow_missing: measure on the images that are there. scoring: how images are scored,
    whatever model it names. fold_file: says which images are measured on, those of folds, or of all folds.
    """

    sets: RatedSets
    models: tuple[str, ...] = (DEFAULT_MODEL,)
    side: Side = Side.ALL
    repeats: int = 1
    seed: int = 0
    rounds: int = 1000
    allow_missing: bool = False
    scoring: ScoreOptions = ScoreOptions(cache=True)
    fold_file: Path | None = None
    folds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.folds and self.fold_file is None:
            raise UsageError("--fold is the number of a fold of a file: add --fold-file FILE")
        if self.fold_file is not None and (self.side is not Side.ALL or self.repeats > 1):
            raise UsageError("--fold-file says itself which images are measured on: leave out --split and --repeats")
        if not self.sets.names:
            raise UsageError(
                "on which set? Say so with --dataset NAME, or csv for ratings of your own; see: iqa datasets;"
                " or --robustness DIR, for clean photos"
            )
        refuse_repeated(self.models)
        if min(self.rounds, self.repeats) < 1:
            raise UsageError(f"rounds and repeats are at least 1, not {self.rounds} and {self.repeats}")
        if self.repeats > 1 and self.side is Side.ALL:
            raise UsageError("--repeats is about the test parts of splits: add --split test")

    @property
    def count(self) -> int:
        """How many evaluations there will be."""
        return len(self.sets.names) * len(self.models)


@dataclass(frozen=True)
class RobustnessOptions:
    """How scores of clean photos change with distortions and harmless changes. Raises UsageError where that makes no sense.

    photos: folders of clean photos. models: as in `ScoreOptions.model`. limit: at most so many photos, drawn by their names;
    None: all. held_out: the share of them that is measured on, by a hash of their names; as `samples.held_out` of a training
    keeps them out. seed: of what is random in a distortion. scoring: how images are scored, whatever model it names.
    """

    photos: tuple[Path, ...]
    models: tuple[str, ...] = (DEFAULT_MODEL,)
    limit: int | None = None
    held_out: float = 1.0
    seed: int = 0
    scoring: ScoreOptions = ScoreOptions()

    def __post_init__(self) -> None:
        refuse_repeated(self.models)
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"limit is at least 1, not {self.limit}")
        if not 0 < self.held_out <= 1:
            raise UsageError(f"a share that is held out is more than 0 and at most 1, not {self.held_out:g}")
