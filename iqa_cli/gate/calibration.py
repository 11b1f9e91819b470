"""Calibration: from photos that should pass and photos that should not, a policy and how often it will be wrong.

The limits come from one half of the good photos, the error rates from the other half, which had no say. A limit is an order
statistic: of n good photos the j-th lowest score, so that of all the further good photos j / (n + 1) are expected below it,
whatever the scores are like; j is the most that keeps the promise. (Vovk, Gammerman and Shafer, *Algorithmic Learning in a
Random World*, 2005.) It holds for photos as those given, and for no others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, floor, inf

from iqa_cli.errors import DataError, UsageError
from iqa_cli.explain.light import Exposure
from iqa_cli.gate.binomial import find_interval
from iqa_cli.gate.policy import CHOSEN, Band, Floor, Policy
from iqa_cli.gate.verdict import decide, judge_light
from iqa_cli.records import ScoreRecord

STEP = 10  # limits are multiples of 1 / STEP
AS_LIGHT = ("dark", "bright", "flat")
"""Reasons of `explain.reasons` that say no more than those about light, whose limits a policy can set."""
CANDIDATES = tuple(reason for reason in CHOSEN if reason not in AS_LIGHT)


@dataclass(frozen=True)
class Judged:
    """A photo before there is a policy. record: with its reasons, if these count. exposure: None where it has no score."""

    record: ScoreRecord
    exposure: Exposure | None

    @cached_property
    def reasons(self) -> frozenset[str]:
        """What is wrong with it."""
        light = {str(reason) for reason, *_, failed in judge_light(self.exposure, Policy()) if failed}
        return frozenset(light | {reason.code for reason in self.record.reasons or ()})


@dataclass(frozen=True)
class Rate:
    """How many of some photos."""

    hits: int
    trials: int

    @property
    def share(self) -> float:
        """Of all of them."""
        return self.hits / self.trials if self.trials else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The exact 95 % interval of the share that is to be expected."""
        return find_interval(self.hits, self.trials)


@dataclass(frozen=True)
class Promise:
    """What share of good photos may fail, and what share may fail or come to review. Raises UsageError for none that can be."""

    false_reject: float = 0.02
    false_review: float = 0.10

    def __post_init__(self) -> None:
        if not 0 < self.false_reject < 1 or not self.false_reject <= self.false_review < 1:
            raise UsageError(
                "promise shares more than 0 and less than 1, of photos that fail (--false-reject) no more than of those that"
                f" fail or are looked at (--false-review), not {self.false_reject:g} and {self.false_review:g}"
            )


@dataclass(frozen=True)
class Calibration:
    """A policy, and what it did with photos that had no say in its limits, good ones, and with all bad ones.

    fitted: good photos that the limits come from. false_rejects, false_reviews: of the good ones held out, those that failed,
    and those that failed or came to review. caught, flagged: of the bad ones, likewise.
    """

    policy: Policy
    promise: Promise
    fitted: int
    false_rejects: Rate
    false_reviews: Rate
    caught: Rate
    flagged: Rate

    @property
    def kept(self) -> bool:
        """Whether the photos held out leave both parts of the promise possible."""
        pairs = (self.false_rejects, self.promise.false_reject), (self.false_reviews, self.promise.false_review)
        return all(rate.interval[0] <= share for rate, share in pairs)


def calibrate(good: Sequence[Judged], bad: Sequence[Judged], promise: Promise, model: str, sha256: str) -> Calibration:
    """The policy that catches most while it keeps a promise. Raises DataError where there are too few good photos for that."""
    fit, held = split_halves(good)
    needed = ceil(1 / promise.false_reject) - 1
    if len(fit) < needed:
        share = f"{100 * promise.false_reject:g} %"
        raise DataError(
            f"{len(good)} good photos are too few to promise that no more than {share} of such photos fail: at least"
            f" {2 * needed - 1} are needed, or a larger --false-reject"
        )
    if not bad:
        raise DataError("no bad photo has been found: without any, nobody knows what a policy would catch")
    reasons = choose_reasons(fit, bad, promise)
    scores = sorted(rank(each, ()) for each in fit)
    lowest = choose_limit(scores, promise.false_reject)
    review = choose_limit(sorted(rank(each, reasons) for each in fit), promise.false_review)
    if review is not None and lowest is not None and review <= lowest:
        review = None
    policy = Policy(model, sha256, score=Floor(lowest, review), reasons=dict.fromkeys(reasons, Band.REVIEW))
    return Calibration(
        policy,
        promise,
        len(fit),
        count(held, policy, (Band.FAIL,)),
        count(held, policy, (Band.FAIL, Band.REVIEW)),
        count(bad, policy, (Band.FAIL,)),
        count(bad, policy, (Band.FAIL, Band.REVIEW)),
    )


def split_halves(photos: Sequence[Judged]) -> tuple[list[Judged], list[Judged]]:
    """Two halves, drawn by a hash of the paths: the same ones each time. The first has the odd one."""
    drawn = sorted(photos, key=lambda each: hashlib.blake2b(each.record.path.encode("utf-8", "surrogateescape")).digest())
    return drawn[::2], drawn[1::2]


def rank(photo: Judged, reasons: Iterable[str]) -> float:
    """Its score; the least there is where it has none, or one of some reasons against it."""
    score = photo.record.score
    return -inf if score is None or photo.reasons & set(reasons) else score


def choose_limit(ranks: Sequence[float], share: float) -> float | None:
    """The highest limit that no more than a share of further photos is expected below. ranks: sorted; None: there is none."""
    place = floor(share * (len(ranks) + 1) + 1e-9)
    limit = ranks[min(place, len(ranks)) - 1] if place else -inf
    return None if limit == -inf else floor(limit * STEP) / STEP


def choose_reasons(good: Sequence[Judged], bad: Sequence[Judged], promise: Promise) -> list[str]:
    """The reasons that are worth a review: commoner among the bad, and leaving half of what may be reviewed to the score.

    The one that tells them apart best comes first; then those count that it has not found.
    """
    left = promise.false_review * len(good) / 2
    chosen = []
    while (reason := find_best(good, bad, left)) is not None:
        chosen.append(reason)
        left -= sum(reason in each.reasons for each in good)
        good, bad = ([each for each in photos if reason not in each.reasons] for photos in (good, bad))
    return chosen


def find_best(good: Sequence[Judged], bad: Sequence[Judged], most: float) -> str | None:
    """The reason that is commoner among the bad by most, beyond chance, and that so many good photos have at most; or None."""

    def gain(reason: str) -> float:
        of_good, of_bad = (sum(reason in each.reasons for each in photos) for photos in (good, bad))
        surely = find_interval(of_bad, len(bad))[0] - find_interval(of_good, len(good))[1]
        return surely if of_good <= most else 0.0

    best = max(CANDIDATES, key=gain)
    return best if gain(best) > 0 else None


def count(photos: Sequence[Judged], policy: Policy, bands: tuple[Band, ...]) -> Rate:
    """How many of some photos a policy puts into some bands."""
    judged = [decide(each.record, each.exposure, policy, policy.sha256 or "") for each in photos]
    return Rate(sum(verdict.band in bands for verdict in judged), len(judged))
