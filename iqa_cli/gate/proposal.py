"""Proposal: a calibrated policy as a TOML file that says how it was found and how often it will be wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator

from iqa_cli.gate.calibration import Calibration, Rate
from iqa_cli.gate.policy import SCHEMA_VERSION
from iqa_cli.scoring.writers import SURROGATES

HEADER = "# Proposed by: iqa gate --calibrate"


def show_share(share: float) -> str:
    """A share in per cent, with one decimal."""
    return f"{100 * share:.1f} %"


def show_rate(rate: Rate) -> str:
    """A rate with its interval: 3 of 200, 1.5 % (95 % interval 0.3 to 4.3 %)."""
    low, high = rate.interval
    interval = f"{100 * low:.1f} to {show_share(high)}"
    return f"{rate.hits} of {rate.trials}, {show_share(rate.share)} (95 % interval {interval})"


def describe_rates(found: Calibration) -> Iterator[str]:
    """What to expect of a policy, in four lines."""
    yield f"good photos that fail: {show_rate(found.false_rejects)}; promised {show_share(found.promise.false_reject)}"
    promised = show_share(found.promise.false_review)
    yield f"good photos that fail or come to review: {show_rate(found.false_reviews)}; promised {promised}"
    yield f"bad photos that fail: {show_rate(found.caught)}"
    yield f"bad photos that fail or come to review: {show_rate(found.flagged)}"
    if not found.kept:
        beyond = "among the photos held out more failed, or came to review, than was promised"
        yield f"{beyond}: give more good photos, of all kinds that will come"


def write_proposal(found: Calibration) -> str:
    """The file. `policy.read_policy` reads it."""
    policy = found.policy
    lines = [
        HEADER,
        f"# The limits come from {found.fitted} good photos; the rates from {found.false_rejects.trials} others.",
        *(f"# {line}" for line in describe_rates(found)),
        "",
        f"schema_version = {SCHEMA_VERSION}",
        describe_model(policy.model or ""),
        f"sha256 = {quote(policy.sha256 or '')}",
        "",
        "[size]",
        "min_short_side = 0  # px; set what you need",
        "",
        "[score]",
    ]
    limits = {"fail_under": policy.score.fail_under, "review_under": policy.score.review_under}
    lines += [f"{name} = {limit}" for name, limit in limits.items() if limit is not None]
    lines += ["", "[reasons]", *(f"{reason} = {quote(str(band))}" for reason, band in policy.reasons.items())]
    bounds = {"max_pixels": policy.decoding.max_pixels, "timeout": policy.decoding.timeout}
    if given := [f"{name} = {limit}" for name, limit in bounds.items() if limit is not None]:
        lines += ["", "[decoding]", *given]
    lines += ["", "[calibration]", f"fitted_on = {found.fitted}"]
    rates = {
        "good_fail": found.false_rejects,
        "good_fail_or_review": found.false_reviews,
        "bad_fail": found.caught,
        "bad_fail_or_review": found.flagged,
    }
    lines += [f"promised_good_fail = {found.promise.false_reject}"]
    lines += [f"promised_good_fail_or_review = {found.promise.false_review}"]
    for name, rate in rates.items():
        low, high = rate.interval
        lines.append(f"{name} = {{ photos = {rate.hits}, of = {rate.trials}, low = {low:.4f}, high = {high:.4f} }}")
    return "\n".join(lines) + "\n"


def describe_model(name: str) -> str:
    """The line that names the model; a comment instead, where its path is no UTF-8, which TOML cannot hold."""
    if SURROGATES.search(name):
        return "# The path of the model is no UTF-8, so it cannot stand here: give it with --model."
    return f"model = {quote(name)}"


def quote(text: str) -> str:
    """A text as TOML has it."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def is_proposal(head: bytes) -> bool:
    """Whether a file is an earlier proposal."""
    return head.startswith(HEADER.encode())
