"""Which records are written, and in what order."""

import tracemalloc
from collections.abc import Sequence
from math import nan

import pytest

from iqa_cli.errors import UsageError
from iqa_cli.records import ScoreRecord, Status
from iqa_cli.scoring.selection import SPARE, Order, SelectingSink, Selection, selecting


class Kept:
    def __init__(self) -> None:
        self.paths: list[str] = []

    def write(self, record: ScoreRecord) -> None:
        self.paths.append(record.path)


def record(path: str, score: float | None) -> ScoreRecord:
    if score is None:
        return ScoreRecord(path, Status.DAMAGED, "toy", detail="cut off")
    return ScoreRecord(path, Status.OK, "toy", score, 50.0)


RECORDS = [record("d", 40.0), record("x", None), record("a", 70.0), record("c", 40.0), record("b", 10.0), record("e", 59.996)]


def choose(**given: object) -> str:
    kept = Kept()
    with selecting(Selection(**given), kept, lambda: None) as sink:  # type: ignore[arg-type]
        for each in RECORDS:
            sink.write(each)
    return "".join(kept.paths)


@pytest.mark.parametrize(
    ("given", "paths"),
    [
        ({}, "dxacbe"),
        ({"order": Order.SCORE}, "bdceax"),
        ({"order": Order.BEST}, "aedcbx"),
        ({"order": Order.PATH}, "abcdex"),
        ({"top": 2}, "aex"),
        ({"bottom": 2}, "bdx"),
        ({"top": 1, "bottom": 1}, "abx"),
        ({"top": 9, "bottom": 9}, "aedcbx"),
        ({"top": 2, "order": Order.PATH}, "aex"),
        ({"bottom": 3, "order": Order.BEST}, "dcbx"),
        ({"lowest": 60}, "xae"),  # as 59.996 is shown
        ({"highest": 40}, "dxcb"),
        ({"lowest": 20, "highest": 60, "top": 1}, "ex"),
        ({"lowest": 90}, "x"),
    ],
)
def test_what_is_written_in_which_order(given: dict[str, object], paths: str) -> None:
    assert choose(**given) == paths


def test_without_an_order_records_are_written_as_they_come() -> None:
    kept = Kept()
    sink = SelectingSink(Selection(lowest=20), kept)
    sink.write(RECORDS[0])
    assert kept.paths == ["d"]


def test_scores_below_are_counted_written_or_not() -> None:
    sink = SelectingSink(Selection(top=1, lowest=60, fail_under=60), Kept())
    for each in RECORDS:
        sink.write(each)
    assert sink.failing == 3


def test_what_is_held_is_written_however_a_run_ends() -> None:
    kept, hidden = Kept(), []

    def run() -> None:
        with selecting(Selection(order=Order.SCORE), kept, lambda: hidden.append(1)) as sink:
            sink.write(RECORDS[2])
            sink.write(RECORDS[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert (kept.paths, hidden) == (["d", "a"], [1])


def test_the_best_of_a_million_take_little_memory() -> None:
    sink = SelectingSink(Selection(top=5), Kept())
    tracemalloc.start()
    for number in range(60_000):
        sink.write(record(str(number), number % 1000 / 10))
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    sink.finish()
    assert used < 8e6
    assert sink.sink.paths == ["999", "1999", "2999", "3999", "4999"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("given", [{"top": 2}, {"bottom": 2}, {"top": 1, "bottom": 1}])
def test_however_many_have_no_score_none_is_left_out_and_scores_are_seldom_compared(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, int]
) -> None:
    compared, choose_all = [], Selection.choose

    def count(selection: Selection, scored: Sequence[ScoreRecord]) -> list[ScoreRecord]:
        compared.append(len(scored))
        return choose_all(selection, scored)

    monkeypatch.setattr(Selection, "choose", count)
    kept = Kept()
    with selecting(Selection(**given), kept, lambda: None) as sink:
        for number in range(2 * SPARE):
            sink.write(record(f"bad {number}", None))
            sink.write(record(f"good {number}", number / 1000))
    assert len(kept.paths) == 2 * SPARE + 2
    assert kept.paths[2:] == [f"bad {number}" for number in range(2 * SPARE)]
    assert sum(compared) < 4 * SPARE


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lowest": 60, "highest": 40}, "no score is at least 60 and at most 40: exchange --min and --max"),
        ({"fail_under": nan}, "--fail-under is a score, not nan"),
    ],
)
def test_limits_that_make_no_sense_are_usage(given: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Selection(**given)  # type: ignore[arg-type]
