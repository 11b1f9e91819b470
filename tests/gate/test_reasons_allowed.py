"""Policies that do not allow some reasons: bands, messages, numbers, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from iqa_cli import Scorer
from iqa_cli.errors import PolicyError
from iqa_cli.explain.reasons import KINDS
from iqa_cli.gate.gate import Gate
from iqa_cli.gate.policy import Band, Policy, parse_policy
from iqa_cli.gate.verdict import decide, describe_verdict
from iqa_cli.records import Reason, ScoreRecord, Status

SOFT = Reason("soft", "blur", 1.91234, 0.7)
NOISY = Reason("noisy", "noise", 9.0, 5.0)
PHOTO = ScoreRecord(
    *("a.jpg", Status.OK, "toy", 50.0, 40.0),
    width=800,
    height=600,
    measured={"blur": 1.91234, "noise": 9.0, "color_noise": 1.0, "specks": 0.0},
    reasons=(SOFT, NOISY),
)


def test_only_reasons_that_are_not_allowed_count() -> None:
    policy = Policy(reasons={"soft": Band.FAIL, "noisy": Band.PASS, "cast": Band.FAIL})
    verdict = decide(PHOTO, None, policy, "0" * 64)
    (finding,) = verdict.findings
    assert (verdict.band, finding.reason, finding.measure, finding.value, finding.limit) == (
        Band.FAIL,
        "soft",
        "blur",
        1.9123,
        0.7,
    )
    assert verdict.message == KINDS["soft"].message
    assert decide(PHOTO, None, replace(policy, messages={"soft": "Focus!"}), "").message == "Focus!"
    assert decide(replace(PHOTO, reasons=()), None, policy, "").band is Band.PASS


def test_a_verdict_holds_the_measurements_and_their_thresholds() -> None:
    policy = Policy(reasons={"noisy": Band.REVIEW})
    described = describe_verdict(decide(PHOTO, None, policy, ""), policy)
    assert described["band"] == "review"
    assert {name: described["values"][name] for name in ("noise", "color_noise", "specks")} == {
        name: (PHOTO.measured or {})[name] for name in ("noise", "color_noise", "specks")
    }
    assert described["thresholds"]["measurements"] == {rule.measurement: rule.threshold for rule in KINDS["noisy"].rules}
    assert described["thresholds"]["reasons"] == {"noisy": "review"}


def test_every_code_may_be_in_a_policy_and_no_other() -> None:
    policy = parse_policy({"schema_version": 1, "reasons": dict.fromkeys(KINDS, "review")})
    assert policy.finds_reasons
    assert not policy.measures_light
    with pytest.raises(PolicyError, match=r"unknown key reasons\.blurry; there are too-dark"):
        parse_policy({"schema_version": 1, "reasons": {"blurry": "fail"}})


def test_a_gate_about_reasons_needs_a_scorer_that_finds_them(model: Path) -> None:
    policy = Policy(reasons={"not_photo": Band.REVIEW, "noisy": Band.PASS})
    with Scorer(model) as scorer, pytest.raises(PolicyError, match="open the Scorer with reasons=True"):
        Gate(policy, scorer)
    noise = np.random.default_rng(0).integers(0, 256, (200, 240, 3), np.uint8)
    with Scorer(model, reasons=True) as scorer:
        verdict = Gate(policy, scorer).judge(noise, name="noise")
        assert [finding.reason for finding in verdict.findings] == ["not_photo"]
        assert verdict.record.score is not None, "the score stays"
