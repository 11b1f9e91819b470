"""What a calibration promises: no more good photos fail than it says, and the true rate lies in the interval that it states."""

from dataclasses import replace
from math import comb
from pathlib import Path

import numpy as np
import pytest

from iqa_cli.errors import DataError, UsageError
from iqa_cli.explain.light import Exposure
from iqa_cli.gate.binomial import find_interval, sum_tail
from iqa_cli.gate.calibration import Calibration, Judged, Promise, Rate, calibrate, split_halves
from iqa_cli.gate.policy import Band, Floor, Policy, read_policy
from iqa_cli.gate.proposal import describe_rates, is_proposal, write_proposal
from iqa_cli.records import Reason, ScoreRecord, Status

LIGHT, DARK = Exposure(80.0, 0.0, 60.0), Exposure(20.0, 0.0, 30.0)


def photo(name: object, score: float | None, light: Exposure = LIGHT, reasons: tuple[Reason, ...] = ()) -> Judged:
    if score is None:
        return Judged(ScoreRecord(f"{name}.jpg", Status.DAMAGED, "toy", detail="cut short"), None)
    record = ScoreRecord(f"{name}.jpg", Status.OK, "toy", score, 50.0, width=800, height=600, reasons=reasons)
    return Judged(record, light)


def draw(rng: np.random.Generator, number: int, mean: float) -> list[Judged]:
    return [photo(f"{mean}-{i}", float(score)) for i, score in enumerate(rng.normal(mean, 10, number).clip(0, 100))]


def propose(good: list[Judged], bad: list[Judged], **shares: float) -> Calibration:
    return calibrate(good, bad, Promise(**shares), "toy", "a" * 64)


# ---- intervals ----


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.3085),
        (10, 10, 0.6915, 1.0),
        (1, 20, 0.0013, 0.2487),
        (5, 50, 0.0333, 0.2181),
        (30, 2000, 0.01014, 0.02134),
    ],
)
def test_intervals_are_those_of_the_tables(hits: int, trials: int, low: float, high: float) -> None:
    assert find_interval(hits, trials) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("hits", "trials"), [(700, 1_000_000), (500_000, 1_000_000), (999_000, 1_000_000)])
def test_intervals_of_many_photos_take_no_minutes(hits: int, trials: int) -> None:
    """Within a hundredth of what the normal distribution says, as each of so many has its part."""
    share = hits / trials
    wide = 1.96 * (share * (1 - share) / trials) ** 0.5
    low, high = find_interval(hits, trials)
    assert (share - low, high - share) == pytest.approx((wide, wide), rel=0.05)


def test_nothing_counted_says_nothing() -> None:
    assert find_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.97])
def test_tails_are_sums_of_the_distribution(rate: float) -> None:
    for hits in (0, 1, 7, 40):
        expected = sum(comb(40, k) * rate**k * (1 - rate) ** (40 - k) for k in range(hits, 41))
        assert sum_tail(hits, 40, rate) == pytest.approx(expected)


@pytest.mark.parametrize(("rate", "trials"), [(0.02, 60), (0.1, 35), (0.5, 20)])
def test_the_true_rate_is_in_the_interval_as_often_as_is_said(rate: float, trials: int) -> None:
    inside = sum(
        comb(trials, k) * rate**k * (1 - rate) ** (trials - k)
        for k in range(trials + 1)
        if find_interval(k, trials)[0] <= rate <= find_interval(k, trials)[1]
    )
    assert inside >= 0.95


# ---- promises ----


def test_the_promise_is_kept_on_photos_that_nobody_has_seen() -> None:
    """Over many calibrations the mean rate is what is promised, and nearly all intervals hold the rate of their policy."""
    rng = np.random.default_rng(3)
    rates, inside = [], 0
    unseen = rng.normal(70, 10, 20_000).clip(0, 100)
    for _ in range(100):
        found = propose(draw(rng, 200, 70), draw(rng, 30, 35), false_reject=0.05, false_review=0.15)
        limit = found.policy.score.fail_under
        assert limit is not None
        rates.append(float((unseen < limit).mean()))
        low, high = found.false_rejects.interval
        inside += low <= rates[-1] <= high
        assert found.fitted == 100
        assert found.false_rejects.trials == 100
    assert np.mean(rates) <= 0.05
    assert np.mean(rates) >= 0.03, "no more is let through than has to be"
    assert inside >= 95


def test_bad_photos_have_no_say_in_the_limit() -> None:
    rng = np.random.default_rng(5)
    good = draw(rng, 300, 70)
    first, second = (propose(good, bad) for bad in (draw(rng, 20, 20), draw(rng, 50, 60)))
    assert first.policy.score == second.policy.score
    assert first.caught.share > second.caught.share


def test_reasons_that_tell_bad_from_good_come_to_review() -> None:
    rng = np.random.default_rng(7)
    good = draw(rng, 300, 70)
    bad = [photo(f"bad-{i}", 65.0, DARK) for i in range(20)]
    found = propose(good, bad)
    assert found.policy.reasons == {"too-dark": Band.REVIEW}
    assert found.flagged.hits == 20
    assert found.caught.hits == 0
    assert found.false_reviews.share < 0.2


def test_reasons_that_good_photos_have_too_are_left_out() -> None:
    rng = np.random.default_rng(9)
    good = [
        photo(each.record.path, each.record.score, DARK if i % 4 == 0 else LIGHT) for i, each in enumerate(draw(rng, 300, 70))
    ]
    bad = [photo(f"bad-{i}", 65.0, DARK) for i in range(20)]
    assert propose(good, bad).policy.reasons == {}


def test_any_reason_that_tells_bad_from_good_comes_to_review_and_none_by_chance() -> None:
    rng = np.random.default_rng(11)
    pages = Reason("not_photo", "plainness", 0.5, 0.25), Reason("dark", "highlight", 20.0, 58.0)
    bad = [photo(f"page-{i}", 65.0, reasons=pages if i % 2 else ()) for i in range(20)]
    good = draw(rng, 300, 70)
    assert propose(good, bad).policy.reasons == {"not_photo": Band.REVIEW}, "dark says no more than it"
    noisy = (Reason("noisy", "noise", 9.0, 7.6),)
    by_chance = [photo(f"by-chance-{i}", 65.0, reasons=noisy if i == 0 else ()) for i in range(20)]
    assert propose(good, by_chance).policy.reasons == {}


def test_good_photos_that_cannot_be_decoded_are_false_rejects() -> None:
    rng = np.random.default_rng(11)
    good = [*draw(rng, 100, 70), *(photo(f"cut-{i}", None) for i in range(20))]
    found = propose(good, draw(rng, 9, 20), false_reject=0.02)
    assert found.policy.score.fail_under is None, "what fails anyway has used up the promise"
    assert found.false_rejects.hits > 3
    assert not found.kept


def test_each_part_of_the_promise_may_be_broken() -> None:
    rng = np.random.default_rng(11)
    found = propose(draw(rng, 200, 70), draw(rng, 9, 20))
    assert found.kept
    for rates in ({"false_rejects": Rate(20, 100)}, {"false_reviews": Rate(40, 100)}):
        broken = replace(found, **rates)
        assert not broken.kept
        assert any("more failed, or came to review, than was promised" in line for line in describe_rates(broken))


def test_too_few_photos_promise_nothing() -> None:
    rng = np.random.default_rng(13)
    with pytest.raises(DataError, match=r"20 good photos are too few to promise .* 2 % .* at least 97 are needed"):
        propose(draw(rng, 20, 70), draw(rng, 5, 20))
    assert propose(draw(rng, 97, 70), draw(rng, 5, 20)).policy.score.fail_under is not None
    with pytest.raises(DataError, match="no bad photo"):
        propose(draw(rng, 200, 70), [])


@pytest.mark.parametrize("shares", [(0.0, 0.1), (0.2, 0.1), (0.1, 1.0), (-1.0, 0.5), (float("nan"), 0.1)])
def test_promises_that_make_no_sense_are_refused(shares: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="promise shares"):
        Promise(*shares)


def test_halves_are_apart_and_the_same_each_time() -> None:
    photos = [photo(i, 50.0) for i in range(31)]
    one, two = split_halves(photos)
    assert (len(one), len(two)) == (16, 15)
    assert not {each.record.path for each in one} & {each.record.path for each in two}
    assert split_halves(photos[::-1]) == (one, two)


# ---- the file ----


def test_a_proposal_is_a_policy_that_says_how_often_it_is_wrong(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    found = propose(draw(rng, 200, 70), [photo("bad", 10.0), *(photo(f"dark-{i}", 60.0, DARK) for i in range(9))])
    text = write_proposal(found)
    (tmp_path / "policy.toml").write_text(text)
    policy = read_policy(tmp_path / "policy.toml")
    assert (policy.model, policy.sha256, policy.score) == ("toy", "a" * 64, found.policy.score)
    assert policy.reasons == found.policy.reasons == {"too-dark": Band.REVIEW}
    assert policy.calibration["good_fail"]["of"] == 100
    assert policy.calibration["promised_good_fail"] == 0.02
    assert "# good photos that fail: " in text
    assert is_proposal(text.encode())
    assert not is_proposal(b"schema_version = 1")


@pytest.mark.parametrize("name", ["models/\U0001f600.onnx", "a\x7fb", 'say "so"\\n', "tab\t\x01", "\xfc", "\u2028\x85"])
def test_any_name_of_a_model_can_be_read_back(tmp_path: Path, name: str) -> None:
    found = propose(draw(np.random.default_rng(1), 200, 70), [photo("bad", 10.0)])
    text = write_proposal(replace(found, policy=replace(found.policy, model=name)))
    (tmp_path / "policy.toml").write_bytes(text.encode())
    assert read_policy(tmp_path / "policy.toml").model == name


def test_a_model_whose_name_is_no_utf8_is_to_be_given_again(tmp_path: Path) -> None:
    found = propose(draw(np.random.default_rng(1), 200, 70), [photo("bad", 10.0)])
    text = write_proposal(replace(found, policy=replace(found.policy, model="caf\udce9.onnx")))
    (tmp_path / "policy.toml").write_bytes(text.encode())
    policy = read_policy(tmp_path / "policy.toml")
    assert (policy.model, policy.sha256) == (None, found.policy.sha256)
    assert "give it with --model" in text


def test_a_policy_without_any_limit_can_be_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    good = [*draw(rng, 100, 70), *(photo(f"cut-{i}", None) for i in range(20))]
    (tmp_path / "policy.toml").write_text(write_proposal(propose(good, draw(rng, 9, 20))))
    assert read_policy(tmp_path / "policy.toml").score.fail_under is None
    assert Policy().score == Floor()
