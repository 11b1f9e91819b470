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
from math import ceil, floor, inf

from iqa_cli.errors import DataError, UsageError
from iqa_cli.explain.light import Exposure
from iqa_cli.gate.binomial import find_interval
from iqa_cli.gate.policy import LIGHT, Band, Floor, Policy, Reason
from iqa_cli.gate.verdict import decide, judge_light
from iqa_cli.records import ScoreRecord

STEP = 10  # limits are multiples of 1 / STEP


@dataclass(frozen=True)
class Judged:
    """A photo before there is a policy. exposure: None where it has no score."""

    record: ScoreRecord
    exposure: Exposure | None

    @property
    def reasons(self) -> set[Reason]:
        """What is wrong with its light."""
        return {reason for reason, *_, failed in judge_light(self.exposure, Policy()) if failed}


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
        """Whether the photos held out leave the promise possible."""
        return self.false_rejects.interval[0] <= self.promise.false_reject


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
    policy = Policy(model, sha256, score=Floor(lowest, review), reasons=dict.fromkeys(map(str, reasons), Band.REVIEW))
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


def rank(photo: Judged, reasons: Iterable[Reason]) -> float:
    """Its score; the least there is where it has none, or one of some reasons against it."""
    score = photo.record.score
    return -inf if score is None or photo.reasons & set(reasons) else score


def choose_limit(ranks: Sequence[float], share: float) -> float | None:
    """The highest limit that no more than a share of further photos is expected below. ranks: sorted; None: there is none."""
    place = floor(share * (len(ranks) + 1) + 1e-9)
    limit = ranks[min(place, len(ranks)) - 1] if place else -inf
    return None if limit == -inf else floor(limit * STEP) / STEP


def choose_reasons(good: Sequence[Judged], bad: Sequence[Judged], promise: Promise) -> list[Reason]:
    """The reasons that are worth a review: commoner among the bad, and leaving half of what may be reviewed to the score."""
    left = promise.false_review * len(good) / 2
    chosen = []
    for reason in LIGHT:
        among_good, among_bad = (sum(reason in each.reasons for each in photos) for photos in (good, bad))
        if among_good <= left and among_bad / len(bad) > among_good / len(good):
            chosen.append(reason)
            left -= among_good
    return chosen


def count(photos: Sequence[Judged], policy: Policy, bands: tuple[Band, ...]) -> Rate:
    """How many of some photos a policy puts into some bands."""
    judged = [decide(each.record, each.exposure, policy, policy.sha256 or "") for each in photos]
    return Rate(sum(verdict.band in bands for verdict in judged), len(judged))
