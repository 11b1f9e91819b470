"""What `iqa gate` shows: a line a photo at a terminal, and counts at the end of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.text import Text

from iqa_cli.cli.views.terminal import open_console, show
from iqa_cli.gate.policy import Band
from iqa_cli.gate.verdict import Verdict

STYLES = {Band.PASS: "green", Band.REVIEW: "yellow", Band.FAIL: "red"}


class VerdictLines:
    """Writes verdicts for people, on stdout."""

    def __init__(self) -> None:
        self.console = open_console(stderr=False)

    def write(self, verdict: Verdict) -> None:
        """One line: the band, the photo, its score, and what to do."""
        score = verdict.record.score
        line = Text.assemble(
            (f"{verdict.band:6}", STYLES[verdict.band]),
            f"  {show(verdict.record.path)}" + ("" if score is None else f"  {score:.1f}"),
            f"  {show(verdict.message)}" if verdict.message else "",
        )
        self.console.print(line, soft_wrap=True)


class Counts:
    """Counts verdicts by band and by reason."""

    def __init__(self) -> None:
        self.bands: Counter[Band] = Counter()
        self.reasons: Counter[str] = Counter()

    def add(self, verdict: Verdict) -> None:
        """One more."""
        self.bands[verdict.band] += 1
        self.reasons.update({finding.reason for finding in verdict.findings})

    def describe(self) -> Iterator[str]:
        """The counts, in one or two lines."""
        total = self.bands.total()
        bands = ", ".join(f"{self.bands[band]:,} {band}" for band in Band)
        yield f"judged {total:,} {'photo' if total == 1 else 'photos'}: {bands}"
        if self.reasons:
            yield "reasons: " + ", ".join(f"{number:,} {reason}" for reason, number in self.reasons.most_common())
