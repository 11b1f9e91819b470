"""What `iqa models calibrate` promises: scores come with their uncertainty afterwards, or nothing has changed."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from conftest import CARD, Run, read_rows, toy_nodes, write_onnx

from iqa_cli.models.card import CARD_KEY, read_card

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


def read_all(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_card_that_was_read_is_written_whatever_its_name_says(iqa: Run, copied: Path, tmp_path: Path) -> None:
    mine = copied.rename(copied.with_name("mine.json"))
    copied.write_text("a file of somebody else's")
    before = read_all(copied.parent)
    done = iqa("models", "calibrate", mine, write_folds(tmp_path / "run", 4.0))
    assert (done.returncode, done.stderr) == (0, b"")
    after = read_all(copied.parent)
    assert {name for name in after if after[name] != before.get(name)} == {"mine.json"}
    card = read_card(mine)
    assert card.name == "toy"
    assert card.intervals is not None


def test_a_card_that_has_no_place_for_it_stays_as_it_is(iqa: Run, tmp_path: Path) -> None:
    folds, folder = write_folds(tmp_path / "run", 4.0), tmp_path / "model"
    folder.mkdir()
    write_onnx(folder / "short.onnx", toy_nodes())
    lines = {"size": 64, "mean": [0.5] * 3, "std": [0.5] * 3, "higher_is_better": True, "range": [0, 1]}
    (folder / "short.toml").write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items()))
    inside = write_onnx(folder / "inside.onnx", toy_nodes(), metadata={CARD_KEY: json.dumps(asdict(CARD))})
    before = read_all(folder)
    for model, said in ((folder / "short.toml", b"has no place for"), (inside, b"its card is inside")):
        done = iqa("models", "calibrate", model, folds)
        assert done.returncode == 2
        assert said in done.stderr
        assert done.stderr.count(b"\n") == 1
    assert read_all(folder) == before
