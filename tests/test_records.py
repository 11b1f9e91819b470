from dataclasses import FrozenInstanceError, fields

import pytest

from iqa_cli.records import COLUMNS, ScoreRecord, Status


def test_a_score_needs_no_excuse() -> None:
    record = ScoreRecord("a.jpg", Status.OK, "toy", 50.0, 40.0)
    assert (record.score, record.percentile, record.detail) == (50.0, 40.0, "")
    assert ScoreRecord("a.jpg", Status.OK, "without opinions", 50.0).percentile is None


def test_zero_is_a_score() -> None:
    assert ScoreRecord("a.jpg", Status.OK, "toy", 0.0, 0.0).score == 0.0


@pytest.mark.parametrize(
    ("status", "score", "percentile", "detail"),
    [
        (Status.OK, None, None, ""),
        (Status.OK, 50.0, 40.0, "but"),
        (Status.DAMAGED, 50.0, 40.0, "cut short"),
        (Status.DAMAGED, None, None, ""),
        (Status.MISSING, None, 40.0, "no such file"),
    ],
)
def test_a_record_cannot_contradict_itself(status: Status, score: float, percentile: float, detail: str) -> None:
    with pytest.raises(ValueError, match="contradicts itself"):
        ScoreRecord("a.jpg", status, "toy", score, percentile, detail)


def test_a_record_cannot_be_changed() -> None:
    record = ScoreRecord("a.jpg", Status.OK, "toy", 50.0, 40.0)
    with pytest.raises(FrozenInstanceError):
        record.score = 60.0  # type: ignore[misc]


def test_columns_are_the_fields() -> None:
    assert COLUMNS == ("path", "score", "percentile", "uncertainty", "status", "detail", "width", "height", "model")
    assert {*COLUMNS, "place", "native", "reasons"} == {field.name for field in fields(ScoreRecord) if field.compare}


def test_statuses_are_the_words_that_outputs_show() -> None:
    assert [str(status) for status in Status] == [
        *("ok", "missing", "denied", "unsupported", "damaged", "too-large"),
        *("timeout", "crashed"),
    ]
