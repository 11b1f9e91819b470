"""Tally: what has become of a run so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from time import monotonic

from iqa_cli.records import ScoreRecord, Status


@dataclass
class Tally:
    """What has become of a run so far; it only grows, so another thread may show it.

    found: images; statuses: records by status; reasons: what is wrong with them, by code, where that is looked for;
    left_out: what was in the folders besides images, by kind in words;
    notes: what went wrong without being an error; reused: how many scores came from the cache, counted at the end; worst: the
    first record of the lowest score.
    """

    found: int = 0
    statuses: Counter[Status] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    reused: int = 0
    worst: ScoreRecord | None = None
    started: float = field(default_factory=monotonic)

    def add(self, record: ScoreRecord) -> None:
        """Count a record."""
        self.statuses[record.status] += 1
        self.reasons.update(reason.code for reason in record.reasons or ())
        lowest = self.worst.score if self.worst is not None else None
        if record.score is not None and (lowest is None or record.score < lowest):
            self.worst = replace(record, preview=None)

    @property
    def recorded(self) -> int:
        """How many images have their record."""
        return sum(self.statuses.copy().values())

    @property
    def exit_code(self) -> int:
        """0 if every image has a score, else 1."""
        return int(self.recorded > self.statuses[Status.OK])

    def describe_left_out(self) -> str:
        """What was left out, in words: "left out: 3 *.txt, 1 video"; empty for nothing."""
        kinds = ", ".join(f"{number} {kind}" for kind, number in self.left_out.most_common())
        return f"left out: {kinds}" if kinds else ""
