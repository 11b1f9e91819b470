"""How photos are rated: every knob of `iqa score --write-xmp`, and its default."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

from iqa_cli.errors import UsageError


class SidecarStyle(StrEnum):
    """How sidecars are called. ADOBE: IMG.xmp. DARKTABLE: IMG.CR3.xmp. BOTH: both."""

    ADOBE = "adobe"
    DARKTABLE = "darktable"
    BOTH = "both"


class RejectAs(StrEnum):
    """What the worst are marked by besides one star. RATING: -1 in place of it. LABEL: a red one. PICK: the flag of rejects."""

    NONE = "none"
    RATING = "rating"
    LABEL = "label"
    PICK = "pick"


@dataclass(frozen=True)
class RatingOptions:
    """What is written into sidecars. Raises UsageError where that makes no sense.

    style: None: those that a photo has, else adobe. stars_at: four rising scores; None: by shares, see `stars`.
    reject_below: scores below it are rejects; None: the lowest few. overwrite: also ratings that a person has given.
    """

    style: SidecarStyle | None = None
    stars_at: tuple[float, ...] | None = None
    reject_as: RejectAs = RejectAs.NONE
    reject_below: float | None = None
    overwrite: bool = False

    @property
    def fixed(self) -> bool:
        """Whether the score of a photo alone says how it is rated, rather than its place among all."""
        return self.stars_at is not None and (self.reject_as is RejectAs.NONE or self.reject_below is not None)

    def __post_init__(self) -> None:
        limits = self.stars_at
        if limits is not None and (len(limits) != 4 or not all(map(isfinite, limits)) or sorted(set(limits)) != list(limits)):
            raise UsageError(
                "--stars-at takes four rising scores, those from which on there are 2, 3, 4 and 5 stars: 20,40,60,80"
            )
        if self.reject_below is not None and self.reject_as is RejectAs.NONE:
            raise UsageError("--reject-below says which photos are rejects: add --reject-as rating, label or pick")
        if self.reject_below is not None and not isfinite(self.reject_below):
            raise UsageError(f"--reject-below is a score, not {self.reject_below:g}")
