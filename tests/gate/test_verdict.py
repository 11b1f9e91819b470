"""What becomes of a photo, and why: at the limits, and beyond them."""

import doctest
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from iqa_cli import InputError, Scorer
from iqa_cli.errors import PolicyError
from iqa_cli.explain.light import Exposure
from iqa_cli.gate import gate
from iqa_cli.gate.policy import ALL_REASONS, Band, Floor, Policy, Reason, SizeLimits
from iqa_cli.gate.verdict import MESSAGES, Verdict, decide, describe_verdict
from iqa_cli.records import Detail, ScoreRecord, Status

PHOTO = ScoreRecord("a.jpg", Status.OK, "toy", 50.0, 40.0, width=800, height=600)
LIGHT = Exposure(80.0, 0.1, 60.0)


def test_where_nothing_could_be_measured_somebody_looks_at_the_photo() -> None:
    policy = Policy(reasons={"soft": Band.FAIL})
    (finding,) = judge(policy, replace(PHOTO, measured={}, reasons=())).findings
    assert (finding.reason, finding.band) == (Reason.REASONS_UNKNOWN, Band.REVIEW)
    assert judge(policy, replace(PHOTO, measured={"blur": 0.1}, reasons=())).band is Band.PASS
    assert judge(Policy(), replace(PHOTO, measured={}, reasons=())).band is Band.PASS


def judge(policy: Policy, record: ScoreRecord = PHOTO, light: Exposure | None = LIGHT) -> Verdict:
    return decide(record, light, policy, "0" * 64)


@pytest.mark.parametrize(
    ("floor", "band"),
    [
        (Floor(), Band.PASS),
        (Floor(fail_under=50), Band.PASS),
        (Floor(fail_under=50.01), Band.FAIL),
        (Floor(review_under=50), Band.PASS),
        (Floor(review_under=50.01), Band.REVIEW),
        (Floor(40, 60), Band.REVIEW),
        (Floor(60, 70), Band.FAIL),
    ],
)
def test_a_score_fails_below_its_limit_and_not_at_it(floor: Floor, band: Band) -> None:
    assert judge(Policy(score=floor)).band is band
    percentile = Floor(*(None if limit is None else limit - 10 for limit in (floor.fail_under, floor.review_under)))
    verdict = judge(Policy(percentile=percentile))
    expected = Band.PASS if floor.fail_under == 50.01 or floor.review_under == 50.01 else band
    assert verdict.band in (expected, band)


def test_values_are_compared_as_they_are_shown() -> None:
    record = replace(PHOTO, score=49.996)
    assert judge(Policy(score=Floor(fail_under=50)), record).band is Band.PASS
    assert describe_verdict(judge(Policy(), record), Policy())["values"]["score"] == 50.0


@pytest.mark.parametrize(
    ("limits", "measure"),
    [
        (SizeLimits(min_width=801), "width"),
        (SizeLimits(min_height=601), "height"),
        (SizeLimits(min_short_side=601), "short_side"),
        (SizeLimits(min_long_side=801), "long_side"),
        (SizeLimits(min_megapixels=0.481), "megapixels"),
    ],
)
def test_each_size_has_its_limit(limits: SizeLimits, measure: str) -> None:
    (finding,) = judge(Policy(size=limits)).findings
    assert (finding.reason, finding.band, finding.measure) == (Reason.TOO_SMALL, Band.FAIL, measure)
    assert f"({measure.replace('_', ' ')} " in finding.message
    assert "at least" in finding.message
    just = replace(limits, **{f"min_{measure}": getattr(limits, f"min_{measure}") - 1})
    assert judge(Policy(size=just)).band is Band.PASS


@pytest.mark.parametrize(
    ("limits", "reason", "found"),
    [
        ({"native_detail": Floor(fail_under=40)}, Reason.LOW_DETAIL, "(35.2 of 100, at least 40 needed)"),
        ({"effective_mp": Floor(fail_under=0.3)}, Reason.LOW_MEGAPIXELS, "(0.12 megapixels, at least 0.3 needed)"),
    ],
)
def test_detail_has_limits(limits: dict[str, Floor], reason: Reason, found: str) -> None:
    record = replace(PHOTO, native=Detail(35.21, 0.1234, 0.1, 0.2))
    policy = Policy(**limits)  # type: ignore[arg-type]  # floors by their names
    (finding,) = judge(policy, record).findings
    assert (finding.reason, finding.band) == (reason, Band.FAIL)
    assert found in finding.message
    described = describe_verdict(judge(policy, record), policy)
    assert described["values"]["native_detail"] == 35.2
    assert described["thresholds"] == {name: {"fail_under": limit.fail_under} for name, limit in limits.items()}
    assert judge(policy, replace(PHOTO, native=Detail(40.0, 0.3, 0.2, 0.4))).band is Band.PASS


def test_a_gate_about_detail_needs_a_scorer_that_measures_it(model: Path) -> None:
    policy = Policy(native_detail=Floor(review_under=60))
    with Scorer(model) as scorer, pytest.raises(PolicyError, match="open the Scorer with detail=True"):
        gate.Gate(policy, scorer)
    with Scorer(model, **policy.needs) as scorer:
        opened = gate.Gate(policy, scorer)
        verdicts = [opened.judge(f"tests/photos/{name}.jpg") for name in ("coffee", "astronaut-blur")]
    assert [verdict.band for verdict in verdicts] == [Band.PASS, Band.REVIEW]


@pytest.mark.parametrize(
    ("light", "reason"),
    [
        (Exposure(39.9, 0, 60), "too-dark"),
        (Exposure(99, 0.301, 60), "too-bright"),
        (Exposure(99, 0, 14.9), "low-contrast"),
    ],
)
def test_light_counts_where_the_policy_says_so(light: Exposure, reason: str) -> None:
    assert judge(Policy(), light=light).band is Band.PASS
    for band in Band:
        verdict = judge(Policy(reasons={reason: band}), light=light)
        assert verdict.band is band
        assert [finding.reason for finding in verdict.findings] == [reason] * (band is not Band.PASS)
    others = dict.fromkeys({"too-dark", "too-bright", "low-contrast"} - {reason}, Band.FAIL)
    assert judge(Policy(reasons=others), light=light).band is Band.PASS


def test_light_that_is_not_known_is_looked_at_by_somebody() -> None:
    (finding,) = judge(Policy(reasons={"too-dark": Band.FAIL}), light=None).findings
    assert (finding.reason, finding.band) == (Reason.LIGHT_UNKNOWN, Band.REVIEW)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_what_cannot_be_decoded_fails_under_any_policy(status: Status) -> None:
    record = ScoreRecord("a.jpg", status, "toy", detail="why")
    verdict = judge(Policy(score=Floor(fail_under=1)), record, None)
    assert verdict.band is Band.FAIL
    assert [finding.reason for finding in verdict.findings] == [str(status)]
    assert "send it" in verdict.message or "save it" in verdict.message


def test_the_worst_finding_is_the_band_and_comes_first() -> None:
    policy = Policy(score=Floor(review_under=60), reasons={"too-dark": Band.FAIL, "low-contrast": Band.REVIEW})
    verdict = judge(policy, light=Exposure(20, 0, 5))
    assert verdict.band is Band.FAIL
    assert [finding.reason for finding in verdict.findings] == ["too-dark", "low-score", "low-contrast"]


def test_every_reason_has_words_and_a_policy_may_have_others() -> None:
    assert set(map(str, MESSAGES)) == set(ALL_REASONS)
    policy = Policy(score=Floor(fail_under=90), messages={"low-score": "Nein {value}."})
    assert judge(policy).message == "Nein {value}."


def test_a_verdict_holds_everything_that_decided() -> None:
    policy = Policy(score=Floor(60, 70), size=SizeLimits(min_width=900), reasons={"too-dark": Band.FAIL})
    described = describe_verdict(judge(policy), policy)
    assert described["schema_version"] == 1
    assert described["band"] == "fail"
    assert described["model"] == "toy"
    assert described["model_sha256"] == "0" * 64
    assert described["values"] == {
        **{"score": 50.0, "percentile": 40.0, "uncertainty": None, "width": 800, "height": 600},
        **{"highlight": 80.0, "white": 0.1, "contrast": 60.0},
    }
    assert described["thresholds"] == {
        "size": {"min_width": 900},
        "score": {"fail_under": 60, "review_under": 70},
        "reasons": {"too-dark": "fail"},
        "exposure": {"min_highlight": 40.0},
    }
    assert [(each["reason"], each["value"], each["limit"]) for each in described["reasons"]] == [
        ("too-small", 800, 900),
        ("low-score", 50.0, 60),
    ]


def test_the_example_of_a_gate_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    results = doctest.testmod(gate)
    assert results.attempted >= 4
    assert results.failed == 0


def test_a_gate_about_light_needs_previews(model: Path) -> None:
    policy = Policy(reasons={"too-dark": Band.FAIL})
    with Scorer(model) as scorer, pytest.raises(PolicyError, match="open the Scorer with preview=256"):
        gate.Gate(policy, scorer)
    with Scorer(model, preview=256) as scorer:
        verdict = gate.Gate(policy, scorer).judge(np.full((64, 64, 3), 20, np.uint8), name="night")
        assert (verdict.band, verdict.record.path) == (Band.FAIL, "night")
        several = gate.Gate(policy, scorer).judge_many(np.full((2, 64, 64, 3), value, np.uint8) for value in (20,))
        with pytest.raises(InputError, match="of a batch"):
            next(several)
