"""Tally: what has become of a run so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Self

from iqa_cli.images.find import UNSEEN
from iqa_cli.images.openers.libraries import COMMAND, MISSING
from iqa_cli.records import ScoreRecord, Status


@dataclass
class Tally:
    """What has become of a run so far; it only grows, so another thread may show it.

    found: images; statuses: records by status; reasons: what is wrong with them, by code, where that is looked for;
    left_out: what was in the folders besides images, by kind in words; undecoded: images by kinds whose decoder is not
    installed; notes: what went wrong without being an error; warnings: the same, and told by a silent run, too; reused: how
    many scores came from where `source` says, counted at the end; worst: the first record of the lowest score.
    """

    found: int = 0
    statuses: Counter[Status] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    undecoded: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    reused: int = 0
    source: str = "the cache"
    worst: ScoreRecord | None = None
    started: float = field(default_factory=monotonic)

    def add(self, record: ScoreRecord) -> None:
        """Count a record."""
        self.statuses[record.status] += 1
        self.reasons.update(reason.code for reason in record.reasons or ())
        self.undecoded.update([MISSING[record.detail]] if record.detail in MISSING else [])
        self._compare(record)

    def _compare(self, record: ScoreRecord) -> None:
        lowest = self.worst.score if self.worst is not None else None
        if record.score is not None and (lowest is None or record.score < lowest):
            self.worst = replace(record, preview=None)

    def merge(self, other: Tally) -> None:
        """Count what another one has counted."""
        self.found += other.found
        self.statuses.update(other.statuses)
        self.reasons.update(other.reasons)
        self.left_out.update(other.left_out)
        self.undecoded.update(other.undecoded)
        if other.worst is not None:
            self._compare(other.worst)

    def describe(self) -> dict[str, dict[str, int]]:
        """The counts as JSON has them."""
        return {
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "reasons": dict(self.reasons),
            "left_out": dict(self.left_out),
            "undecoded": dict(self.undecoded),
        }

    @classmethod
    def restore(cls, facts: Mapping[str, Mapping[str, int]]) -> Self:
        """A tally of such counts. Raises KeyError, ValueError and TypeError for others."""
        statuses = Counter({Status(status): count for status, count in facts["statuses"].items()})
        reasons = Counter(facts.get("reasons", {}))  # which files of earlier versions lack
        return cls(statuses.total(), statuses, reasons, Counter(facts["left_out"]), Counter(facts["undecoded"]))

    def note_undecoded(self) -> None:
        """Note what could not be decoded because an extra is not installed."""
        if self.undecoded:
            kinds = ", ".join(f"{number:,} {kind}" for kind, number in self.undecoded.most_common())
            self.notes.append(f"not decoded: {kinds}, which need the [formats] extra; get it with: {COMMAND}")

    @property
    def recorded(self) -> int:
        """How many images have their record."""
        return sum(self.statuses.copy().values())

    @property
    def unseen(self) -> Counter[str]:
        """What may be an image, or hold some, and could not be looked at, by kind in words."""
        return Counter({kind: self.left_out[kind] for kind in UNSEEN if self.left_out[kind]})

    @property
    def exit_code(self) -> int:
        """0 if every image has a score, else 1, as where something could not be looked at."""
        return int(self.recorded > self.statuses[Status.OK] or bool(self.unseen))

    def describe_left_out(self) -> str:
        """What was left out, in words: "left out: 3 *.txt, 1 video"; empty for nothing."""
        kinds = describe_counts(self.left_out)
        return f"left out: {kinds}" if kinds else ""

    def list_warnings(self) -> Iterator[str]:
        """What is told of a run even where nothing else is."""
        if self.unseen:
            yield f"{describe_counts(self.unseen)}: there may be images that have no score"
        yield from self.warnings


def describe_counts(counts: Counter[str]) -> str:
    """How many of each kind, in words."""
    return ", ".join(f"{number} {kind}" for kind, number in counts.most_common())
