"""What to do with each photo of a first pass: suggestions, each with its reason. Nothing is decided here, and nothing moved."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, log10
from typing import NamedTuple

from iqa_cli.culling.grouping.groups import name_frame
from iqa_cli.culling.grouping.shots import split_name
from iqa_cli.errors import UsageError
from iqa_cli.records import ScoreRecord

FAR_BELOW = 5.0  # % of the scale below the best of the group; less is what framing anew changes a score by
SOFTER = -0.3  # log2 of sharpness beside the sharpest of the group, from which a frame is called softer
SHARP = -0.03  # and from which it counts as the sharpest


class Advice(StrEnum):
    """What is suggested. Photos without a score get none."""

    PICK = "pick"
    ALTERNATE = "alternate"
    REJECT = "reject candidate"


@dataclass(frozen=True)
class Choice:
    """How many photos are picked. Raises UsageError where that makes no sense.

    count: so many. share: that share, above 0 and at most 1. best_of_groups: of each burst, and of duplicates, the best only.
    per_folder: of each folder, rather than of all photos. A group that is kept whole counts as one photo, as does one in
    several formats.
    """

    count: int | None = None
    share: float | None = None
    best_of_groups: bool = False
    per_folder: bool = False

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise UsageError(f"--keep {self.count}: keep one photo at least")
        if self.share is not None and not 0 < self.share <= 1:
            raise UsageError(f"--keep {self.share:.4g}: a share is more than 0 % and at most 100 %")
        if self.per_folder and self.count is None and self.share is None:
            raise UsageError("--per-folder is about how many are kept: add --keep N, or a share as 20%")

    @property
    def words(self) -> str:
        """What is kept, in words; empty for all."""
        each = " of each folder" if self.per_folder else ""
        if self.share is not None:
            return f"the {100 * self.share:g} % kept{each}"
        return f"the {self.count} kept{each}" if self.count is not None else ""

    def limit(self, candidates: int) -> int:
        """How many of so many candidates are picked."""
        if self.share is not None:
            return ceil(self.share * candidates - 1e-9)
        return candidates if self.count is None else self.count


class Suggestion(NamedTuple):
    """A photo with what is suggested for it. advice: None without a score. reason: in words."""

    record: ScoreRecord
    advice: Advice | None
    reason: str


@dataclass(frozen=True)
class Candidate:
    """What is picked or not: a photo, one in several formats, or a group that is kept whole."""

    records: tuple[ScoreRecord, ...]

    @property
    def score(self) -> float:
        """The best score."""
        return max(record.score or 0.0 for record in self.records)

    @property
    def folder(self) -> str:
        """Where the first photo is."""
        return os.path.dirname(self.records[0].path)  # noqa: PTH120  # paths stay as the user named them

    @property
    def best(self) -> bool:
        """Whether it is not in a group, or is the best of its group, or a whole one."""
        place = self.records[0].place
        return place is None or place.best is not False


def suggest(records: Sequence[ScoreRecord], choice: Choice, span: float = 100.0) -> list[Suggestion]:
    """A suggestion a record, in their order. records: with their places in groups. span: of the model's scale, end to end."""
    candidates = list(list_candidates(records))
    picked = {id(record) for candidate in pick(candidates, choice) for record in candidate.records}
    tops = find_tops(records)
    return [explain(record, choice, tops, span, picked=id(record) in picked) for record in records]


def list_candidates(records: Iterable[ScoreRecord]) -> Iterator[Candidate]:
    """What is picked or not, of those that have a score."""
    sets: dict[tuple[bool, str], list[ScoreRecord]] = {}
    for record in records:
        if record.score is not None:
            whole = record.place is not None and record.place.kind.whole
            sets.setdefault((whole, record.place.group if record.place and whole else name_frame(record.path)), []).append(
                record
            )
    yield from (Candidate(tuple(members)) for members in sets.values())


def pick(candidates: Sequence[Candidate], choice: Choice) -> Iterator[Candidate]:
    """The candidates that are picked: the best scores, equal ones by name."""
    folders: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        if candidate.best or not choice.best_of_groups:
            folders.setdefault(candidate.folder if choice.per_folder else "", []).append(candidate)
    for members in folders.values():
        members.sort(key=lambda candidate: (-candidate.score, split_name(candidate.records[0].path)))
        yield from members[: choice.limit(len(members))]


def find_tops(records: Iterable[ScoreRecord]) -> dict[str, float]:
    """Name of each ranked group -> its best score."""
    tops: dict[str, float] = {}
    for record in records:
        if record.place is not None and record.score is not None:
            tops[record.place.group] = max(record.score, tops.get(record.place.group, record.score))
    return tops


def explain(record: ScoreRecord, choice: Choice, tops: dict[str, float], span: float, *, picked: bool) -> Suggestion:
    """The suggestion for one record."""
    place, point = record.place, span / 100
    digits = max(0, ceil(-log10(point)))  # behind the point, so that one in a hundred shows
    if record.score is None:
        return Suggestion(record, None, record.detail)
    limit = f"among {choice.words}" if choice.words else ""
    if not picked and limit:
        limit = f"not {limit}"
    if place is None:
        return Suggestion(record, Advice.PICK if picked else Advice.ALTERNATE, join(f"score {record.score:.{digits}f}", limit))
    if place.rank is None:
        advice = Advice.PICK if picked else Advice.ALTERNATE
        return Suggestion(record, advice, join(f"{place.kind} of {place.size}, kept whole", limit))
    sharp = place.sharpness is not None and place.sharpness >= SHARP
    if place.best:
        words = f"best{' and sharpest' if sharp else ''} of {place.size}"
        return Suggestion(record, Advice.PICK if picked else Advice.ALTERNATE, join(words, limit))
    below = tops[place.group] - record.score
    words = f"score {below:.{digits}f} below" if below >= 0.5 * point else "as good as"
    softer = "softer" if place.sharpness is not None and place.sharpness <= SOFTER else ""
    advice = Advice.PICK if picked else Advice.REJECT if below > FAR_BELOW * point else Advice.ALTERNATE
    return Suggestion(record, advice, join(f"{words} the best of its group", softer, limit if picked else ""))


def join(*reasons: str) -> str:
    """Reasons as one text."""
    return ", ".join(filter(None, reasons))
