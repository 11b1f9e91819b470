"""What `iqa filter` shows: a histogram, and what stays and goes in words."""

from __future__ import annotations

from collections.abc import Iterator

from iqa_cli.filtering.choice import Outcome
from iqa_cli.filtering.shards import Copied

BAR = 40  # characters of the longest bar


def describe_outcome(outcome: Outcome) -> Iterator[str]:
    """How many stay, and how many go, by reason."""
    yield f"{outcome.kept:,} of {outcome.total:,} images stay"
    for reason, count in outcome.gone.most_common():
        yield f"{count:,} go: {reason}"


def describe_copied(copied: Copied) -> Iterator[str]:
    """How many shards and samples were written."""
    samples, shards = ("" if count == 1 else "s" for count in (copied.samples, copied.shards))
    yield f"wrote {copied.samples:,} sample{samples} in {copied.shards:,} shard{shards}"
    yield from (f"warning: {note}" for note in copied.notes)


def draw_histogram(outcome: Outcome) -> Iterator[str]:
    """A line for each twentieth of the scale: what stays as full blocks, what goes as light ones, and how many."""
    bins = list(outcome.scores.list_bins())
    most = max(1, *(count for _, _, count, _ in bins))
    width = max(len(f"{end:g}") for low, high, _, _ in bins for end in (low, high))
    for low, high, count, stays in bins:
        length, full = (round(BAR * number / most) for number in (count, stays))
        bar = "█" * full + "░" * (length - full)
        yield f"{low:{width}g} to {high:{width}g}  {bar:<{BAR}}  {stays:,} of {count:,}"
