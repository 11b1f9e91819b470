"""Measuring what reasons are found by: where it fails, a picture has its score all the same."""

from pathlib import Path

import pytest
from conftest import CARD

from iqa_cli.options import MAX_PIXELS
from iqa_cli.scoring.decode_protocol import DecodeOptions
from iqa_cli.scoring.decode_worker import prepare

PHOTO = Path(__file__).parents[1] / "photos" / "coffee.jpg"


def test_a_fault_in_measuring_costs_the_reasons_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    options = DecodeOptions(CARD.crops, MAX_PIXELS, 60.0, reasons=True)
    measured, pixels = prepare(str(PHOTO), options)
    monkeypatch.setattr("iqa_cli.explain.measure.measure_picture", lambda *_: 1 / 0)
    failed, others = prepare(str(PHOTO), options)
    assert measured["measured"]
    assert failed == {**measured, "measured": {}}
    assert [bytes(part) for part in others] == [bytes(part) for part in pixels]
