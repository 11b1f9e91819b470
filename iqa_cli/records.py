"""ScoreRecord: the one row that everything speaks, from the scorer to every sink."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Status(StrEnum):
    """What became of one file. Only OK carries a score."""

    OK = "ok"
    MISSING = "missing"  # no such file (any more)
    DENIED = "denied"  # the system refused to open or read it
    UNSUPPORTED = "unsupported"  # readable, but not an image format that is decoded here
    DAMAGED = "damaged"  # an image whose data cannot be decoded whole
    TOO_LARGE = "too-large"  # more pixels than the limit, or more than the memory holds
    TIMEOUT = "timeout"  # decoding took longer than the limit
    CRASHED = "crashed"  # the decoder died of it


PASSING = (Status.MISSING, Status.DENIED, Status.TIMEOUT, Status.CRASHED)
"""Statuses for reasons that may have passed by the next run."""


class Undecodable(Exception):  # noqa: N818  # the outcome of one image, not an error of the run
    """One image fails; the run goes on.

    status: why, never OK. detail: the same in words, one line without the path.
    width, height: px of the upright picture; None where the header could not be read.
    """

    def __init__(self, status: Status, detail: str, width: int | None = None, height: int | None = None) -> None:
        super().__init__(status, detail, width, height)  # all of them, so that it can be pickled
        self.status, self.detail, self.width, self.height = status, detail, width, height

    def __str__(self) -> str:
        return self.detail


@dataclass(frozen=True, slots=True)
class Capture:
    """How a photo was taken, as far as its file says so.

    moment: seconds since 1970 in UTC, or of the camera's clock where its zone is not known. camera: make, model and serial
    number. seconds: of exposure. aperture: the f-number. bias: exposure compensation in EV. bracketing: the camera says that
    it varied the exposure.
    """

    moment: float | None = None
    camera: str = ""
    seconds: float | None = None
    aperture: float | None = None
    iso: float | None = None
    bias: float | None = None
    bracketing: bool = False


class GroupKind(StrEnum):
    """What photos that belong together are. Of some the best can be picked; the others are worth nothing unless whole."""

    BURST = "burst"  # of one view, at once
    DUPLICATES = "duplicates"  # of one view, later on, or copies
    BRACKET = "bracket"  # of one view, with several exposures
    STACK = "focus-stack"  # of one view, in focus at several distances
    PANORAMA = "panorama"  # of views side by side

    @property
    def whole(self) -> bool:
        """Whether it is kept whole: its photos are not ranked."""
        return self not in (GroupKind.BURST, GroupKind.DUPLICATES)


@dataclass(frozen=True, slots=True)
class GroupPlace:
    """Where a photo stands in its group.

    group: its name. size: photos in it. rank: 1 for the best; None, as `best`, in groups that are kept whole. sharpness: the
    detail beside that of the sharpest, log2, 0 for that; None where there is no rank.
    """

    group: str
    kind: GroupKind
    size: int
    rank: int | None = None
    sharpness: float | None = None

    @property
    def best(self) -> bool | None:
        """Whether it is the best of its group."""
        return None if self.rank is None else self.rank == 1


@dataclass(frozen=True, slots=True)
class Patch:
    """A square of a photo's native pixels, and how much of its resolution is real there.

    x, y: its left upper corner in px of the upright photo. size: side in px. value: 0 to 100, as `Detail.detail`. certainty:
    0 to 1; near 0 where there is nothing to tell by, as in a clear sky.
    """

    x: int
    y: int
    size: int
    value: float
    certainty: float = 1.0


@dataclass(frozen=True, slots=True)
class Detail:
    """How much of a photo's resolution is real, from native pixels, where it is sharpest.

    detail: 0 to 100, higher is better: the share of real pixels along a side, less what noise takes from it.
    effective_mp: megapixels to which the photo could be reduced with nothing lost, and the ends of its interval, which holds
        nine in ten. blur_sigma: SD in native px of a gaussian that blurs as much. scale: by how much it seems to have been
        enlarged, from 1. shake: length in px of a straight motion. noise: SD of the luma's, on 0..255. compression: error that
        coding added, RMS of the luma on 0..255.
    """

    detail: float
    effective_mp: float
    effective_low: float
    effective_high: float
    patches: tuple[Patch, ...] = ()
    blur_sigma: float = 0.0
    scale: float = 1.0
    shake: float = 0.0
    noise: float = 0.0
    compression: float = 0.0


@dataclass(frozen=True, slots=True)
class Reason:
    """Something that is wrong with a photo, and how that shows.

    code: as in `explain.reasons`, which has it in words. measurement: what was measured; value: of the photo; threshold: beyond
    which it is wrong, in the same unit.
    """

    code: str
    measurement: str
    value: float
    threshold: float


@dataclass(frozen=True, slots=True)
class ScoreRecord:
    """The outcome for one file.

    path: as the user named it, or as found below the folder he named.
    score: 0 to 100, higher is better, on the opinion scale of the model's card; None unless status is OK.
    percentile: the share of the card's training opinions that lie at or below the score, 0 to 100; None without a
        score, and where the card has no opinions.
    uncertainty: half-width in points of the interval around the score that holds the mean opinion with 90 %; None without a
        score, and where the model's card does not say.
    detail: why there is no score, in words; empty when there is one.
    width, height: pixels after EXIF orientation; None where the header could not be read.
    preview: a small JPEG of all of the upright picture, where one was asked for; capture: how it was then taken. In no output.
    place: where it stands in a group, if groups were looked for and it is in one.
    measured: what was measured of its pixels, by name, and reasons: what is wrong with it, the worst first; None where that was
        not asked for.
    native: how much of its resolution is real, where that was measured.

    Raises ValueError where a field contradicts the status.
    """

    path: str
    status: Status
    model: str
    score: float | None = None
    percentile: float | None = None
    detail: str = ""
    width: int | None = None
    height: int | None = None
    uncertainty: float | None = None
    preview: bytes | None = field(default=None, repr=False, compare=False)
    capture: Capture | None = field(default=None, repr=False, compare=False)
    place: GroupPlace | None = field(default=None, repr=False)
    measured: Mapping[str, float] | None = field(default=None, repr=False, compare=False)
    reasons: tuple[Reason, ...] | None = field(default=None, repr=False)
    native: Detail | None = field(default=None, repr=False)

    @property
    def native_detail(self) -> float | None:
        """How much of its resolution is real, 0 to 100; None where that was not measured."""
        return None if self.native is None else self.native.detail

    @property
    def effective_mp(self) -> float | None:
        """Megapixels to which it could be reduced with nothing lost; None where that was not measured."""
        return None if self.native is None else self.native.effective_mp

    def __post_init__(self) -> None:
        scored = self.score is not None and not self.detail
        failed = self.score is None and self.percentile is None and self.uncertainty is None and bool(self.detail)
        if not (scored if self.status is Status.OK else failed):
            raise ValueError(f"a record that contradicts itself: {self!r}")


COLUMNS = ("path", "score", "percentile", "uncertainty", "status", "detail", "width", "height", "model")
"""The order of the fields in every output."""
DETAIL_COLUMNS = ("native_detail", "effective_mp")
"""What follows where the detail was measured."""
GROUP_COLUMNS = ("group", "group_kind", "rank_in_group", "best_of_group")
"""What follows those where groups were looked for."""
REASON_COLUMNS = ("reasons",)
"""What follows those where reasons were."""
