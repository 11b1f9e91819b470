"""What is a policy, and what is none: each wrong one says which key is wrong."""

import re
import tomllib
from pathlib import Path

import pytest

from iqa_cli.errors import DataError, PolicyError
from iqa_cli.explain.light import SIDE
from iqa_cli.explain.reasons import KINDS
from iqa_cli.gate import policy as policy_module
from iqa_cli.gate.calibration import Promise, calibrate
from iqa_cli.gate.policy import Band, DecodingLimits, Floor, Policy, parse_policy, read_policy

BEGIN = "schema_version = 1\n"


def parse(text: str) -> Policy:
    return parse_policy(tomllib.loads(text))


README = (Path(policy_module.__file__).parent / "README.md").read_text()


def test_the_examples_of_the_page_are_policies() -> None:
    whole, smallest = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert parse(smallest).score == Floor(30, 50)
    policy = parse(whole.replace("5b1c...", "5b1c" * 16))
    assert policy.score == Floor(25, 35)
    assert policy.size.min_width == 800
    light = {"too-dark": Band.FAIL, "too-bright": Band.REVIEW, "low-contrast": Band.REVIEW}
    assert policy.reasons == {**light, "soft": Band.FAIL, "not_photo": Band.REVIEW}
    assert policy.messages["too-dark"].startswith("Too dark")
    assert policy.model == "qfm-iqm-lite"
    assert policy.decoding == DecodingLimits(60_000_000, 10)
    assert policy.native_detail == Floor(35)
    assert policy.needs == {"preview": SIDE, "reasons": True, "detail": True}


def test_the_page_has_all_reasons() -> None:
    assert re.findall(r"^\| `(\w+)` \| (.*) \|$", README, re.MULTILINE) == [(k, kind.sentence) for k, kind in KINDS.items()]


def test_the_photos_that_a_promise_needs_are_as_many_as_the_help_says() -> None:
    with pytest.raises(DataError, match="at least 97 are needed"):
        calibrate([], [], Promise(), "qfm-iqm", "")


def test_a_policy_may_ask_for_nothing() -> None:
    assert parse(BEGIN) == Policy()
    policy = parse(BEGIN + '[reasons]\ntoo-dark = "pass"\n')
    assert policy.needs == {"preview": 0, "reasons": False, "detail": False}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a policy begins with: schema_version = 1"),
        ("schema_version = 2", "a policy begins with: schema_version = 1"),
        (BEGIN + "colour = 1", "unknown key colour; there are size, score"),
        (BEGIN + "[size]\nmin_widht = 1", r"unknown key size\.min_widht; there are min_width"),
        (BEGIN + "[score]\nfail_below = 1", r"unknown key score\.fail_below"),
        (BEGIN + "[reasons]\nblurred = 'fail'", r"unknown key reasons\.blurred"),
        (BEGIN + "[messages]\nblurred = 'x'", r"unknown key messages\.blurred"),
        (BEGIN + "score = 7", r"score is a table: \[score\]"),
        (BEGIN + "[score]\nfail_under = '7'", r"score\.fail_under is a number, not '7'"),
        (BEGIN + "[score]\nfail_under = true", r"score\.fail_under is a number, not True"),
        (BEGIN + "[score]\nfail_under = nan", r"score\.fail_under is a number, not nan"),
        (BEGIN + "[reasons]\ntoo-dark = 'reject'", r"reasons\.too-dark is pass, review, fail, not 'reject'"),
        (BEGIN + "[reasons]\ntoo-dark = 1", r"reasons\.too-dark is pass"),
        (BEGIN + "[messages]\ntoo-dark = ''", r"messages\.too-dark is a text"),
        (BEGIN + "[score]\nfail_under = 50\nreview_under = 40", r"score\.review_under is 40, below score\.fail_under, 50"),
        (BEGIN + "[percentile]\nfail_under = 101", "a percentile is at most 100, not 101: no photo could ever pass"),
        (BEGIN + "[native_detail]\nreview_under = 101", "a native_detail is at most 100, not 101: no photo could ever pass"),
        (BEGIN + "[effective_mp]\nmin = 3", r"unknown key effective_mp\.min; there are fail_under, review_under"),
        (BEGIN + "[reasons]\ntoo-dark='fail'\n[exposure]\nmin_highlight = 101", "no photo would ever be light enough"),
        (BEGIN + "[reasons]\ntoo-bright='fail'\n[exposure]\nmax_white = -1", "every photo would be too bright"),
        (BEGIN + "[reasons]\nlow-contrast='fail'\n[exposure]\nmin_contrast = 101", "no photo would ever have so much"),
        (BEGIN + "[decoding]\nmax_pixels = 0", r"decoding\.max_pixels is a whole number, 1 or more, not 0: no photo"),
        (BEGIN + "[decoding]\nmax_pixels = 1.5", r"decoding\.max_pixels is a whole number, not 1\.5"),
        (BEGIN + f"[decoding]\nmax_pixels = {10**30}", r"decoding\.max_pixels is at most 9223372036854775807"),
        (BEGIN + f"[score]\nfail_under = {10**400}", r"score\.fail_under is a number of at most 1\.79769e\+308"),
        (BEGIN + "[exposure]\nmin_highlight = 30", r'exposure\.min_highlight does nothing .* add too-dark = "fail"'),
        (BEGIN + "[reasons]\ntoo-dark='fail'\n[exposure]\nmax_white = 0.2", r"exposure\.max_white does nothing .* too-bright"),
        (
            BEGIN + "[reasons]\nflat='fail'\n[exposure]\nmin_contrast = 9",
            r"exposure\.min_contrast does nothing .* low-contrast",
        ),
        (BEGIN + "[decoding]\ntimeout = 0", r"decoding\.timeout is more than 0 and at most 86400 seconds, not 0"),
        (BEGIN + "[decoding]\nmax_megapixels = 3", r"unknown key decoding\.max_megapixels; there are max_pixels, timeout"),
        (BEGIN + "sha256 = 'abc'", "sha256 is 64 digits"),
        (BEGIN + "model = 7", "model is a name or a path"),
    ],
)
def test_what_is_no_policy_says_which_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        parse(text)
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(PolicyError, match=f"policy.toml: .*{words}"):
        read_policy(path)


def test_files_that_are_none_say_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read the policy: No such file"):
        read_policy(tmp_path / "gone.toml")
    with pytest.raises(DataError, match="cannot read the policy: Is a directory"):
        read_policy(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(PolicyError, match="not a policy: no UTF-8"):
        read_policy(tmp_path / "binary")
    (tmp_path / "digits").write_text(f"{BEGIN}[score]\nfail_under = {'9' * 5000}\n")
    with pytest.raises(PolicyError, match="digits: not a policy: it has a number of too many digits"):
        read_policy(tmp_path / "digits")
    (tmp_path / "text").write_text("no toml")
    with pytest.raises(PolicyError, match="text: "):
        read_policy(tmp_path / "text")


def test_a_byte_order_mark_is_no_part_of_a_policy(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_bytes(b"\xef\xbb\xbf" + BEGIN.encode())
    assert read_policy(tmp_path / "policy.toml") == Policy()


def test_a_limit_of_pixels_is_the_whole_number_that_it_is() -> None:
    for limits in (parse(BEGIN + "[decoding]\nmax_pixels = 6e7").decoding, DecodingLimits(6e7)):  # type: ignore[arg-type]
        assert limits == DecodingLimits(60_000_000)
        assert type(limits.max_pixels) is int


def test_a_reason_may_be_let_pass_and_keep_its_limit() -> None:
    policy = parse(BEGIN + "[reasons]\ntoo-dark = 'pass'\n[exposure]\nmin_highlight = 30")
    assert not policy.measures_light


def test_a_score_that_no_photo_has_is_refused() -> None:
    policy = parse(BEGIN + "[score]\nfail_under = 90\nreview_under = 101")
    with pytest.raises(PolicyError, match=r"score\.review_under is 101, and the model's scores are 0 to 100: no photo could"):
        policy.check_scale(0, 100)
    policy.check_scale(0, 200)
