"""Exact binomial intervals (Clopper and Pearson, 1934) for a rate that was counted."""

from __future__ import annotations

from collections.abc import Callable
from math import comb, exp, lgamma, log, log1p

CONFIDENCE = 0.95
STEPS = 60  # halvings of an interval: more than a float tells apart
NOTHING = 1e-17  # of a sum, which a term of that size does not change


def log_choose(n: int, k: int) -> float:
    """The logarithm of n choose k."""
    return log(comb(n, k)) if n < 1000 else lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def sum_tail(hits: int, trials: int, rate: float) -> float:
    """The probability of at least so many hits."""
    if rate <= 0 or rate >= 1:
        return float(hits <= 0 or rate >= 1)
    if hits <= rate * trials:  # then the misses are more than are expected
        return 1 - sum_rare(trials - hits + 1, trials, 1 - rate)
    return sum_rare(hits, trials, rate)


def sum_rare(hits: int, trials: int, rate: float) -> float:
    """The same where that is more than are expected: the terms fall, so that few of many trials count."""
    if hits > trials:
        return 0.0
    term = exp(log_choose(trials, hits) + hits * log(rate) + (trials - hits) * log1p(-rate))
    total, odds = term, rate / (1 - rate)
    for k in range(hits, trials):
        term *= (trials - k) / (k + 1) * odds
        if term < total * NOTHING:
            break
        total += term
    return min(1.0, total)


def find_interval(hits: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The rates that so many hits speak for, so that at least that share of such intervals holds the true rate."""
    if trials == 0:
        return 0.0, 1.0
    side = (1 - confidence) / 2
    low = 0.0 if hits == 0 else solve(lambda rate: sum_tail(hits, trials, rate) < side)
    high = 1.0 if hits == trials else solve(lambda rate: 1 - sum_tail(hits + 1, trials, rate) > side)
    return low, high


def solve(below: Callable[[float], bool]) -> float:
    """Where in 0..1 a condition stops to hold that holds from 0 on."""
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return (low + high) / 2
