"""The table of reasons: what it says, and of which measurements."""

import numpy as np
import pytest

from iqa_cli.explain.measure import measure_picture
from iqa_cli.explain.reasons import KINDS, find_reasons
from iqa_cli.records import Reason

CODES = [
    "soft",
    "shaken",
    "noisy",
    "dark",
    "bright",
    "flat",
    "blocky",
    "banded",
    "cast",
    "oversharp",
    "upscaled",
    "lowres",
    "partly_lost",
    "not_photo",
]  # all there are


def test_every_code_is_there_with_words() -> None:
    assert set(KINDS) == set(CODES)
    for kind in KINDS.values():
        assert kind.rules
        assert kind.sentence.endswith(".")
        assert kind.advice.endswith(".")
        assert ": " in kind.message, "what is wrong, and what to do"


def test_every_rule_is_about_something_that_is_measured() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    measured = measure_picture(rgb, 120, 50.0)
    assert {rule.measurement for kind in KINDS.values() for rule in kind.rules} <= set(measured)
    assert all(isinstance(value, float) and np.isfinite(value) for value in measured.values())


@pytest.mark.parametrize("code", CODES)
def test_beyond_a_threshold_there_is_a_reason_and_at_it_there_is_none(code: str) -> None:
    for rule in KINDS[code].rules:
        beyond = rule.threshold - 0.5 if rule.below else rule.threshold + 0.5
        assert find_reasons({rule.measurement: beyond}) == (Reason(code, rule.measurement, beyond, rule.threshold),)
        assert find_reasons({rule.measurement: rule.threshold}) == ()


def test_nothing_measured_is_nothing_wrong() -> None:
    assert find_reasons({}) == ()


def test_of_several_rules_the_one_that_is_broken_most_is_named() -> None:
    first, second = KINDS["noisy"].rules[:2]
    (found,) = find_reasons({first.measurement: first.threshold * 1.1, second.measurement: second.threshold * 3})
    assert found.measurement == second.measurement


def test_of_what_is_no_photo_only_that_is_said_and_what_any_picture_may_have() -> None:
    measured = {"plainness": 0.9, "white": 0.9, "blur": 3.0, "megapixels": 0.01}
    assert [reason.code for reason in find_reasons(measured)] == ["not_photo", "lowres"]
    assert [reason.code for reason in find_reasons(measured | {"plainness": 0.0})] == ["soft", "bright", "lowres"]
