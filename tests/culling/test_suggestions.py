"""What `suggestions` promises: so many picks as asked for, series whole, a reason for everything, nothing about failures."""

import re

import pytest

from iqa_cli.culling.picking.suggestions import Advice, Choice, suggest
from iqa_cli.errors import UsageError
from iqa_cli.records import GroupKind, GroupPlace, ScoreRecord, Status


def record(path: str, score: float | None, place: GroupPlace | None = None) -> ScoreRecord:
    if score is None:
        return ScoreRecord(path, Status.DAMAGED, "toy", detail="cut short")
    return ScoreRecord(path, Status.OK, "toy", score, 50.0, place=place)


def burst(name: str, *scores: float, sharpness: tuple[float, ...] = ()) -> list[ScoreRecord]:
    order = sorted(range(len(scores)), key=lambda number: -scores[number])
    known = dict(enumerate(sharpness))
    return [
        record(f"{name}{n}.jpg", score, GroupPlace(name, GroupKind.BURST, len(scores), order.index(n) + 1, known.get(n)))
        for n, score in enumerate(scores)
    ]


def bracket(name: str, *scores: float) -> list[ScoreRecord]:
    return [record(f"{name}{n}.jpg", score, GroupPlace(name, GroupKind.BRACKET, len(scores))) for n, score in enumerate(scores)]


def advise(records: list[ScoreRecord], choice: Choice) -> str:
    return "".join((suggestion.advice or "-")[0] for suggestion in suggest(records, choice))


def test_the_best_of_each_group_is_picked() -> None:
    records = [*burst("a", 50, 60, 57), record("s.jpg", 20), *bracket("b", 30, 70, 10), record("x.jpg", None)]
    assert advise(records, Choice(best_of_groups=True)) == "rpapppp-"


def test_reasons_are_relative_to_the_group() -> None:
    records = [*burst("a", 48, 60, 57, 59.8, sharpness=(-0.8, 0.0, -0.1, -0.2)), *bracket("b", 1, 2), record("x.jpg", None)]
    assert [suggestion.reason for suggestion in suggest(records, Choice(best_of_groups=True))] == [
        "score 12 below the best of its group, softer",
        "best and sharpest of 4",
        "score 3 below the best of its group",
        "as good as the best of its group",
        *["bracket of 2, kept whole"] * 2,
        "cut short",
    ]


@pytest.mark.parametrize(
    ("span", "reasons"),
    [
        (1.0, ["score 0.12 below", "best of 4", "score 0.03 below", "as good as", "score 0.40"]),
        (10.0, ["score 1.2 below", "best of 4", "score 0.3 below", "as good as", "score 4.0"]),
        (1000.0, ["score 120 below", "best of 4", "score 30 below", "as good as", "score 400"]),
    ],
)
def test_what_is_far_below_is_so_on_the_scale_of_the_model(span: float, reasons: list[str]) -> None:
    point = span / 100
    records = [*burst("a", 48 * point, 60 * point, 57 * point, 59.8 * point), record("s.jpg", 40 * point)]
    suggestions = suggest(records, Choice(best_of_groups=True), span)
    assert "".join((suggestion.advice or "-")[0] for suggestion in suggestions) == "rpaap"
    assert [suggestion.reason.removesuffix(" the best of its group") for suggestion in suggestions] == reasons


def test_a_limit_is_part_of_the_reason() -> None:
    records = [record("a.jpg", 40), record("b.jpg", 60.4)]
    reasons = [suggestion.reason for suggestion in suggest(records, Choice(share=0.5))]
    assert reasons == ["score 40, not among the 50 % kept", "score 60, among the 50 % kept"]


@pytest.mark.parametrize(
    ("choice", "picks"),
    [
        (Choice(count=2), "apap"),
        (Choice(count=9), "pppp"),
        (Choice(share=0.25), "aaap"),
        (Choice(share=0.26), "apap"),  # at least the share
        (Choice(share=0.001), "aaap"),
        (Choice(share=1.0), "pppp"),
    ],
)
def test_so_many_are_kept(choice: Choice, picks: str) -> None:
    assert advise([record(f"{n}.jpg", score) for n, score in enumerate((10, 80, 30, 90))], choice) == picks


def test_equal_scores_count_by_name() -> None:
    records = [record(f"IMG_{n}.jpg", 50) for n in (10, 9, 11)]
    assert advise(records, Choice(count=1)) == "apa"


def test_of_each_folder() -> None:
    records = [record(path, score) for path, score in (("a/1.jpg", 90), ("a/2.jpg", 80), ("b/3.jpg", 10), ("b/4.jpg", 20))]
    assert advise(records, Choice(count=1, per_folder=True)) == "paap"
    assert advise(records, Choice(count=1)) == "paaa"


def test_a_limit_beside_groups_counts_the_best_of_each() -> None:
    records = [*burst("a", 90, 89, 88), record("s.jpg", 70), record("t.jpg", 60), *bracket("b", 20, 95)]
    assert advise(records, Choice(count=2)) == "paaaapp"
    assert advise(records, Choice(share=0.75, best_of_groups=True)) == "paapapp"
    assert advise(records, Choice(count=4)) == "pppaapp"  # without, each frame counts


def test_a_photo_in_two_formats_counts_once() -> None:
    records = [record("a.jpg", 50), record("a.heic", 90), record("b.jpg", 60)]
    assert advise(records, Choice(count=1)) == "ppa"
    assert advise(records, Choice(share=0.5)) == "ppa"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"count": 0}, "keep one photo at least"),
        ({"share": 0.0}, "more than 0 %"),
        ({"share": 1.2}, "at most 100 %"),
        ({"share": float("nan")}, "at most 100 %"),
        ({"per_folder": True}, "--per-folder is about"),
    ],
)
def test_choices_that_make_no_sense_are_refused(wrong: dict[str, float], reason: str) -> None:
    with pytest.raises(UsageError, match=re.escape(reason)):
        Choice(**wrong)


def test_words() -> None:
    assert [*map(str, Advice)] == ["pick", "alternate", "reject candidate"]
