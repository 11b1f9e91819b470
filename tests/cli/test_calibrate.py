"""What `iqa models calibrate` promises: scores come with their uncertainty afterwards, or nothing has changed."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import Run, read_rows

pytestmark = pytest.mark.process


@pytest.fixture
def copied(model: Path, tmp_path: Path) -> Path:
    """A model of this test's own."""
    return Path(shutil.copytree(model.parent, tmp_path / "model")) / model.name


def write_folds(folder: Path, deviation: float) -> Path:
    dice = np.random.default_rng(1)
    for number in range(5):
        predicted = dice.uniform(20, 80, 100)
        mos = (predicted + dice.normal(0, deviation, 100)).clip(0, 100)
        lines = [f"{i}.jpg,{m},{p}" for i, (m, p) in enumerate(zip(mos, predicted, strict=True))]
        (folder / f"fold{number}").mkdir(parents=True)
        (folder / f"fold{number}" / "test.csv").write_text("\n".join(["image,opinion,score", *lines, ""]))
    return folder


def test_scores_come_with_their_uncertainty(iqa: Run, copied: Path, photos: Path, tmp_path: Path) -> None:
    before = read_rows(iqa("score", photos, "--model", copied).stdout)
    assert all(row["uncertainty"] == "" for row in before)
    done = iqa("models", "calibrate", copied, write_folds(tmp_path / "run", 4.0))
    assert done.returncode == 0
    assert b"share of 500 images within those of the other folds: 0." in done.stdout
    after = read_rows(iqa("score", photos, "--model", copied).stdout)
    assert all(float(row["uncertainty"]) == pytest.approx(1.645 * 4, rel=0.25) for row in after)
    assert [row | {"uncertainty": ""} for row in after] == before


def test_a_folder_without_folds_changes_nothing(iqa: Run, copied: Path, tmp_path: Path) -> None:
    card = copied.read_bytes()
    done = iqa("models", "calibrate", copied, tmp_path)
    assert done.returncode == 4
    assert b"train with --folds 5" in done.stderr
    assert copied.read_bytes() == card
    assert iqa("models", "calibrate", "hf://someone/model", tmp_path).returncode == 2
