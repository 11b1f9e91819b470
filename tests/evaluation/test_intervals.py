"""What intervals promise: they hold the mean opinion as often as they say, wide where errors are large, narrow where not."""

from pathlib import Path

import numpy as np
import pytest
from conftest import CARD

from iqa_cli.errors import DataError
from iqa_cli.evaluation.intervals import COVERAGE, Fold, find_intervals, fit_half_widths, measure_coverage


def draw_fold(seed: int, count: int = 300) -> Fold:
    """Errors whose deviation is 4 points at 0 and 12 at 100."""
    dice = np.random.default_rng(seed)
    predicted = dice.uniform(0, 100, count)
    return Fold(predicted, predicted + dice.normal(0, 4 + predicted * 0.08))


def test_they_cover_what_they_say_on_folds_that_they_have_not_seen() -> None:
    shares = measure_coverage([draw_fold(seed) for seed in range(10)])
    assert np.mean(shares) == pytest.approx(COVERAGE, abs=0.012)


def test_widths_follow_the_errors() -> None:
    widths = fit_half_widths([draw_fold(seed, 2000) for seed in range(5)])
    deviations = 4 + np.arange(101) * 0.08
    assert widths[10:91] == pytest.approx(1.645 * deviations[10:91], rel=0.12)  # of normal errors nine tenths are within


def test_too_few_images_are_refused() -> None:
    with pytest.raises(ValueError, match="60 images are too few"):
        fit_half_widths([draw_fold(1, 60)])


def write_folds(folder: Path, count: int, text: str | None = None) -> None:
    for number in range(count):
        fold = draw_fold(number, 200)
        rows = [f"{i}.jpg,{m},{p}" for i, (m, p) in enumerate(zip(fold.mos.clip(0, 100), fold.predicted, strict=True))]
        (folder / f"fold{number}").mkdir(parents=True)
        (folder / f"fold{number}" / "test.csv").write_text("image,opinion,score\n" + (text or "\n".join(rows)) + "\n")


def test_they_come_from_the_folders_of_folds(tmp_path: Path) -> None:
    write_folds(tmp_path / "run", 5)
    intervals = find_intervals([tmp_path / "run"], CARD)
    assert intervals.images == 1000
    assert len(intervals.coverage) == 5
    assert np.mean(intervals.coverage) == pytest.approx(COVERAGE, abs=0.03)
    assert intervals.half_widths[80] > intervals.half_widths[20] > 5


@pytest.mark.parametrize(
    ("count", "text", "reason"),
    [
        (0, None, "0 folds"),
        (1, None, "1 folds"),
        (2, "a.jpg,300,20", "not scores and opinions on the scale"),
        (2, "a.jpg,30,-4", "not scores and opinions on the scale"),
        (2, "a.jpg,nan,4", "opinion"),
        (2, "a.jpg,high,4", "opinion"),
        (2, "a.jpg,30,4", "2 images are too few"),
    ],
)
def test_what_is_no_run_of_folds_is_refused_in_a_line(tmp_path: Path, count: int, text: str | None, reason: str) -> None:
    write_folds(tmp_path / "run", count, text)
    with pytest.raises(DataError, match=reason):
        find_intervals([tmp_path / "run"], CARD)
