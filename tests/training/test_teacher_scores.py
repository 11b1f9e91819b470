"""Scores of any model as the teacher: the file, what is refused, and that a student averages out what is wrong in them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import write_photo
from PIL import Image

from iqa_cli.errors import DataError, UsageError
from iqa_cli.options import BackendChoice, OwnRatings
from iqa_cli.training.data.teacher_scores import TeacherScore, read_teacher_scores
from iqa_cli.training.options import DistillationOptions, LoopOptions, SampleOptions, TrainingOptions
from iqa_cli.training.plan import make_plan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "in").mkdir(parents=True)
    for seed, place in enumerate(("a.png", "b.png", "in/c.png")):
        write_photo(tmp_path / "photos" / place, seed, (40, 30))
    return tmp_path


def read(folder: Path, table: str, **scale: object) -> dict[str, TeacherScore]:
    (folder / "scores.csv").write_text(table)
    photos = folder / "photos"
    images = [str(photos / place) for place in ("a.png", "b.png", "in/c.png")]
    return read_teacher_scores(OwnRatings(folder / "scores.csv", **scale), [photos], images)  # type: ignore[arg-type]


def test_images_go_by_path_or_by_hash_and_scores_by_the_ends_of_their_scale(folder: Path) -> None:
    photos = folder / "photos"
    digest = hashlib.sha256((photos / "b.png").read_bytes()).hexdigest()
    table = f"path,score\n{photos / 'a.png'},2\n{digest.upper()},6\nin/c.png,10\n"
    targets = {place: score.target for place, score in read(folder, table).items()}
    assert targets == {str(photos / "a.png"): 0, str(photos / "b.png"): 0.5, str(photos / "in" / "c.png"): 1}
    turned = read(folder, table, score_range=(0.0, 10.0), lower_is_better=True)
    assert [score.target for score in turned.values()] == pytest.approx([0.8, 0.4, 0.0])
    assert {score.trust for score in turned.values()} == {1.0}


def test_an_uncertain_score_is_trusted_less(folder: Path) -> None:
    found = read(folder, "path,score,deviation\na.png,0,0\nb.png,2,1\nin/c.png,1,\n")
    assert [score.trust for score in found.values()] == pytest.approx([1, (2 / 3) / (2 / 3 + 1), 1])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("path,score\na.png,1\nd.png,2\ne.png,3\n", "2 rows name none of the images: d.png, e.png"),
        (
            "path,score\na.png,1\nin/../a.png,2\nb.png,3\n",
            "2 rows name an image that another row names, too: a.png, in/",
        ),
        ("path,score\na.png,nan\nb.png,2\n", "row 2, column score: nan is no number"),
        ("path,score\na.png,1\nb.png,1\n", "all scores are the same"),
        ("path,score\n", "all scores are the same"),
        ("path,score,deviation\na.png,1,inf\nb.png,2,0\n", "row 2, column deviation: inf is no number"),
        ("photo,score\na.png,1\n", "no column path"),
        (
            "path,score,deviation\na.png,1,-0.5\nb.png,2,0\nin/c.png,3,-1\n",
            "2 rows have a deviation below zero: a.png, in/c.png",
        ),
        ("path,score\na.png,-1.7e308\nb.png,1.7e308\n", "scores on a scale of -1.7e+308 to 1.7e+308 cannot be told apart"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_rows(folder: Path, table: str, said: str) -> None:
    with pytest.raises(DataError) as raised:
        read(folder, table)
    assert said in str(raised.value)


def test_scores_that_a_wide_scale_makes_one_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match=r"scores on a scale of 0 to 1e\+300 cannot be told apart; write them on another scale"):
        read(folder, "path,score\na.png,1\nb.png,6\n", score_range=(0.0, 1e300))


def test_a_score_that_says_next_to_nothing_has_a_trust_that_is_still_above_none(folder: Path) -> None:
    trusts = [score.trust for score in read(folder, "path,score,deviation\na.png,1,1e300\nb.png,6,0\n").values()]
    assert 0 < np.float32(trusts[0]) < 1e-20
    assert trusts[1] == 1


def test_files_of_one_content_all_have_its_score_by_hash_or_by_a_link(folder: Path) -> None:
    photos = folder / "photos"
    (photos / "b.png").write_bytes((photos / "a.png").read_bytes())
    digest = hashlib.sha256((photos / "a.png").read_bytes()).hexdigest()
    found = read(folder, f"path,score\n{digest},2\nin/c.png,6\n")
    assert {Path(path).name: score.target for path, score in found.items()} == {"a.png": 0, "b.png": 0, "c.png": 1}
    with pytest.raises(DataError, match=f"2 rows name an image that another row names, too: {digest}, b.png"):
        read(folder, f"path,score\n{digest},2\nb.png,6\n")
    (photos / "b.png").unlink()
    (photos / "b.png").symlink_to("a.png")
    found = read(folder, "path,score\na.png,2\nin/c.png,6\n")
    assert {Path(path).name: score.target for path, score in found.items()} == {"a.png": 0, "b.png": 0, "c.png": 1}


def test_a_score_beyond_the_scale_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match=r"1 rows have a score that is not in 0 to 5: b\.png"):
        read(folder, "path,score\na.png,1\nb.png,6\n", score_range=(0.0, 5.0))


def test_it_must_be_clear_who_teaches(folder: Path) -> None:
    scores = folder / "scores.csv"
    scores.write_text("path,score\na.png,1\nb.png,2\n")
    begin = {"run_dir": folder / "run", "dataset": "", "method": "distillation", "teacher_scores": scores}
    for changes, said in (
        ({"teachers": ("qfm-iqm",)}, "takes the place of --teacher"),
        ({}, "add --images DIR, or a set"),
        ({"unlabeled": (folder / "photos",), "teacher_range": (1.0,)}, "teacher_range is the lower and the upper end"),
    ):
        with pytest.raises(UsageError, match=said):
            make_plan(TrainingOptions(**begin, **changes))  # type: ignore[arg-type]
    assert not (folder / "run").exists()


def test_scores_may_be_about_labeled_images(folder: Path) -> None:
    photos = folder / "photos"
    (photos / "mine.csv").write_text("image,score\na.png,1\nb.png,2\nin/c.png,3\n")
    (folder / "scores.csv").write_text(f"path,score\n{photos / 'a.png'},1\n{photos / 'in' / 'c.png'},5\n")
    options = TrainingOptions(
        run_dir=folder / "run", dataset="csv", data_root=photos, method="distillation", teacher_scores=folder / "scores.csv",
        own=OwnRatings(photos / "mine.csv"), validation=0.0, loop=LoopOptions(epochs=0, head_epochs=1),
    )  # fmt: skip
    scores = make_plan(options).scores
    assert {Path(path).name: score.target for path, score in scores.items()} == {"a.png": 0, "c.png": 1}


# ---- a training ----


def draw(path: Path, quality: float, rng: np.random.Generator) -> None:
    """A picture of waves, the noisier the lower its quality."""
    y, x = np.mgrid[:64, :64] / 20
    waves = np.sin(x * rng.uniform(0.5, 2) + rng.uniform(0, 6)) + np.cos(y * rng.uniform(0.5, 2) + rng.uniform(0, 6))
    rgb = 128 + 50 * waves[..., None] * rng.uniform(0.4, 1, 3) + rng.normal(0, 40 * (1 - quality), (64, 64, 3))
    Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).save(path)


@pytest.mark.slow
def test_noise_planted_in_the_scores_is_averaged_out(tmp_path: Path) -> None:
    """On photos held out the student agrees with the clean part of its teacher's scores, which it never saw without noise."""
    pytest.importorskip("torch", reason="needs the [train] extra")
    from iqa_cli import ScoreOptions, score_images
    from iqa_cli.evaluation.metrics import srcc
    from iqa_cli.training import run

    rng = np.random.default_rng(0)
    clean = {}
    for side, count in (("train", 900), ("test", 60)):
        (tmp_path / side).mkdir()
        for number in range(count):
            clean[f"{side}/{number}.png"] = quality = rng.uniform(0, 1)
            draw(tmp_path / side / f"{number}.png", quality, rng)
    noisy = {name: 10 * (quality + rng.normal(0, 0.2)) for name, quality in clean.items() if name.startswith("train")}
    rows = "".join(f"{name.removeprefix('train/')},{score:.3f}\n" for name, score in noisy.items())
    (tmp_path / "scores.csv").write_text(f"path,score\n{rows}")
    assert srcc([*noisy.values()], [clean[name] for name in noisy]) < 0.9
    options = TrainingOptions(
        run_dir=tmp_path / "run", dataset="", method="distillation", unlabeled=(tmp_path / "train",), validation=0.0,
        teacher_scores=tmp_path / "scores.csv", teacher_licence="CC0", backbone="test_efficientnet", backbone_weights="none",
        size=64, fit="whole", width=32, distillation=DistillationOptions(ranking_weight=0.0),
        samples=SampleOptions(versions=0, max_zoom=1.0),
        loop=LoopOptions(head_epochs=9, epochs=0, batch_size=16, precision="fp32"),
    )  # fmt: skip
    list(run.train(make_plan(options)))
    card = json.loads((tmp_path / "run" / "model.json").read_text())
    assert card["training"]["teachers"] == [{"name": "scores.csv", "summary": "900 scores", "licence": "CC0"}]
    given = ScoreOptions(model=str(tmp_path / "run" / "model.json"), backend=BackendChoice.TORCH)
    records = list(score_images(tmp_path / "test", given))
    found = {f"test/{Path(record.path).name}": record.score for record in records}
    names = sorted(found)
    assert srcc([found[name] or 0.0 for name in names], [clean[name] for name in names]) > 0.95
