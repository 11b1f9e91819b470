"""The map of a photo: what it means, where it is low, and that it covers the photo."""

import numpy as np
import pytest

from iqa_cli.explain.windows import LONGEST, SHARES, STEPS, center_scores, cut_window, draw_map, place_windows

COUNT = sum(steps**2 for steps in STEPS)


def test_windows_cover_the_photo_and_stay_within() -> None:
    boxes = np.array(place_windows(300, 400))
    assert len(boxes) == COUNT
    assert boxes[:, :2].min() == 0
    assert boxes[:, 2].max() == pytest.approx(400)
    assert boxes[:, 3].max() == pytest.approx(300)
    assert {round(float(box[2] - box[0]), 6) for box in boxes} == {round(400 * share, 6) for share in SHARES}


def test_equal_windows_make_an_even_map_whatever_their_size_costs() -> None:
    scores = [50.0] * STEPS[0] ** 2 + [31.0] * STEPS[1] ** 2
    assert center_scores(scores) == [0.0] * COUNT
    points = draw_map(scores, 300, 400)
    assert points.shape == (48, LONGEST)
    assert points.dtype == np.float32
    assert not points.any()


@pytest.mark.parametrize("quarter", range(4))
def test_the_map_is_low_where_windows_are(quarter: int) -> None:
    row, column = divmod(quarter, 2)
    scores = [
        40.0 if ((top + bottom > 300) == row and (left + right > 400) == column) else 60.0
        for left, top, right, bottom in place_windows(300, 400)
    ]
    points = draw_map(scores, 300, 400)
    parts = [points[:24, :32], points[:24, 32:], points[24:, :32], points[24:, 32:]]
    means = [float(part.mean()) for part in parts]
    assert means.index(min(means)) == quarter


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (64, 64)])
def test_any_size_has_a_map(size: tuple[int, int]) -> None:
    points = draw_map([1.0] * COUNT, *size)
    assert min(points.shape) >= 1
    assert max(points.shape) <= LONGEST
    assert np.isfinite(points).all()


def test_windows_of_one_size_are_cut_to_whole_pixels_within_the_picture() -> None:
    picture = np.arange(101 * 70 * 3, dtype=np.uint32).reshape(101, 70, 3)
    windows = [cut_window(picture, box) for box in place_windows(101, 70)]
    assert [len({window.shape for window in part}) for part in (windows[: STEPS[0] ** 2], windows[STEPS[0] ** 2 :])] == [1, 1]
    assert windows[0][0, 0, 0] == picture[0, 0, 0]
    assert windows[-1][-1, -1, -1] == picture[-1, -1, -1]
    assert cut_window(picture, (0.2, 0.1, 0.4, 0.3)).shape == (1, 1, 3)


def test_windows_without_a_score_are_left_out() -> None:
    boxes = place_windows(300, 400)
    known = [50.0 if left + right > 300 else float("nan") for left, _, right, _ in boxes]
    centered = center_scores(known)
    assert [value for value in centered if np.isfinite(value)] == [0.0] * sum(map(np.isfinite, known))
    points = draw_map(known, 300, 400)
    assert np.isnan(points[:, :8]).all()
    assert not points[:, 32:].any()
    assert np.isnan(draw_map([float("nan")] * COUNT, 300, 400)).all()
