"""Scorer.explain: what comes of each kind of input, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from iqa_cli import ClosedError, InputError, Scorer
from iqa_cli.records import Status

PHOTO = Path(__file__).parent / "photos" / "coffee-blur.jpg"


def test_the_record_is_that_of_score_with_reasons(model: Path) -> None:
    with Scorer(model) as scorer:
        explained = scorer.explain(PHOTO)
        plain = scorer.score(PHOTO)
        assert (explained.record.score, explained.record.path) == (plain.score, str(PHOTO))
        assert plain.reasons is None
        assert "soft" in {reason.code for reason in explained.reasons}
        assert explained.measured["blur"] > 1
        assert explained.map is not None
        assert explained.map.dtype == np.float32
        assert explained.picture is not None
        assert explained.patches
        assert scorer.explain(PHOTO.read_bytes(), name="x.jpg").reasons == explained.reasons
        with Scorer(model, reasons=True) as other:
            assert other.score(PHOTO).reasons == explained.reasons


def test_arrays_are_explained_as_they_are_scored(model: Path) -> None:
    grey = np.full((60, 80), 120, np.uint8)
    with Scorer(model) as scorer:
        explained = scorer.explain(grey, name="grey")
    assert explained.record.path == "grey"
    assert explained.map is not None
    assert not explained.map.any(), "all windows of an even picture are alike"


def test_what_cannot_be_scored_is_a_record_without_a_map(model: Path) -> None:
    with Scorer(model) as scorer:
        gone = scorer.explain("gone.jpg")
        assert (gone.record.status, gone.map, gone.reasons, gone.patches, dict(gone.measured)) == (
            Status.MISSING,
            None,
            (),
            (),
            {},
        )
        with pytest.raises(InputError, match="of floats"):
            scorer.explain(np.zeros((9, 9, 3)))
    with pytest.raises(ClosedError):
        scorer.explain(PHOTO)
