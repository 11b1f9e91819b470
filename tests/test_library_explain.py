"""Scorer.explain: what comes of each kind of input, and what is refused."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import CARD, toy_nodes, write_model
from PIL import Image

from iqa_cli import ClosedError, InputError, Scorer
from iqa_cli.explain.windows import cut_window, draw_map, place_windows
from iqa_cli.images.crops import CropSpec
from iqa_cli.models.onnx_backend import OnnxBackend
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


CROPS = {
    "whole": CropSpec(64),
    "several": CropSpec(64, count=3),
    "square": CropSpec(48, "square", 1),
    "oblong": CropSpec(40, "square", 1, width=64),
    "native": CropSpec(4096, "native", 1),
}


def make_view(height: int, width: int) -> npt.NDArray[np.uint8]:
    """A picture that is fine at one side and smooth at the other."""
    noise = np.random.default_rng(3).integers(0, 256, (height, width, 3))
    return np.rint(128 + (noise - 128) * np.linspace(0.05, 0.9, width)[:, None]).astype(np.uint8)


@pytest.mark.parametrize("size", [(150, 266), (200, 61), (70, 285), (40, 33)], ids=str)
@pytest.mark.parametrize("crops", CROPS.values(), ids=CROPS)
def test_each_window_scores_as_a_photo_of_its_own(tmp_path: Path, crops: CropSpec, size: tuple[int, int]) -> None:
    picture = make_view(*size)
    with Scorer(write_model(tmp_path, toy_nodes(), replace(CARD, crops=crops))) as scorer:
        explained = scorer.explain(picture)
        windows = [np.ascontiguousarray(cut_window(picture, box)) for box in place_windows(*size)]
        scores = [record.score for record in scorer.score_many(windows)]
    assert explained.picture is not None
    np.testing.assert_array_equal(explained.picture, picture)
    np.testing.assert_allclose(explained.map, draw_map(scores, *size), atol=1e-4)


def test_a_network_that_takes_photos_as_they_are_sees_no_larger_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []

    def predict(backend: OnnxBackend, crops: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        seen.append(crops.shape)
        return backend_predict(backend, crops)

    backend_predict = OnnxBackend.predict
    monkeypatch.setattr(OnnxBackend, "predict", predict)
    with Scorer(write_model(tmp_path, toy_nodes(), replace(CARD, crops=CropSpec(4096, "native", 1)))) as scorer:
        scorer.explain(make_view(1200, 1600))
    assert {shape[2:] for shape in seen} == {(1200, 1600), (600, 800), (400, 533)}
    assert max(shape[0] * shape[2] * shape[3] for shape in seen) <= 1200 * 1600 + 100_000, "few large ones at a time"


def test_panoramas_are_shown_from_end_to_end(model: Path) -> None:
    picture = make_view(60, 380)
    with Scorer(model) as scorer:
        explained = scorer.explain(picture)
    assert explained.picture is not None
    assert explained.picture.shape == picture.shape


def test_windows_without_a_number_are_left_out_of_the_map(broken_model: Path) -> None:
    picture = np.full((120, 160, 3), 250, np.uint8)
    picture[:, :70] = 5
    with Scorer(broken_model) as scorer:
        explained = scorer.explain(picture)
    assert explained.map is not None
    assert np.isnan(explained.map[:, :4]).all()
    assert np.isfinite(explained.map[:, -16:]).all()


def test_pictures_of_plain_colours_have_the_score_that_they_have(model: Path, tmp_path: Path) -> None:
    flag = np.full((480, 640, 3), (60, 110, 190), np.uint8)
    flag[200:] = (230, 205, 60)
    Image.fromarray(flag).save(tmp_path / "flag.png")

    def score(images: Iterable[object], *, reasons: bool) -> list[float | None]:
        with Scorer(model, reasons=reasons) as scorer:
            return [record.score for record in scorer.score_many(images)]

    images = (flag, tmp_path / "flag.png", np.ascontiguousarray(flag.transpose(1, 0, 2)))
    plain = score(images, reasons=False)
    assert None not in plain
    assert score(images, reasons=True) == plain
