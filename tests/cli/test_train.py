"""`iqa train` and `iqa distill` as a person runs them."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import wait_until
from in_process import environment, run_here
from PIL import Image

pytest.importorskip("torch", reason="needs the [train] extra")
savemat = pytest.importorskip("scipy.io", reason="needs the [train] extra").savemat

from iqa_cli.evaluation.run import FIGURES
from iqa_cli.files.locks import lock_folder

QUICK = ["--backbone", "test_efficientnet", "--backbone-weights", "none", "-s", "size=64", "-s", "width=16", "-s", "heads=2"]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "iqa_cli", *map(str, arguments)]


def run(*arguments: object, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, as importing PyTorch takes seconds; stdout and stderr are text."""
    clean = {name: value for name, value in environment().items() if name != "IQA_DATA"} | changes
    done = run_here(*map(str, arguments), cwd=cwd, env=clean)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture(scope="module")
def livec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "ChallengeDB_release"
    (root / "Images").mkdir(parents=True)
    (root / "Data").mkdir()
    names = np.empty((6, 1), dtype=object)
    for number in range(6):
        names[number, 0] = f"{number}.bmp"
        noise = np.random.default_rng(number).normal(128, 10 * number + 1, (80, 80, 3))
        Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(root / "Images" / f"{number}.bmp")
    savemat(root / "Data" / "AllImages_release.mat", {"AllImages_release": names})
    savemat(root / "Data" / "AllMOS_release.mat", {"AllMOS_release": np.array([[80.0 - 10 * n for n in range(6)]])})
    savemat(root / "Data" / "AllStdDev_release.mat", {"AllStdDev_release": np.full((1, 6), 20.0)})
    return root


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--dataset", "livec"], 2, "IQA_DATA"),
        (["--dataset", "livec", "--data-root", "nowhere"], 4, "nowhere"),
        (["--dataset", "noset"], 2, "noset"),
        (["--recipe", "none.toml"], 2, "none.toml: cannot read the recipe"),
        (["--set", "loop.speed=1"], 2, "there is no option 'speed'"),
        (["--dataset", "csiq", "--score-column", "z"], 2, "--score-column is for ratings of your own: add --dataset csv"),
        (["--only", "1"], 2, "--only chooses among folds or repeats"),
    ],
)
def test_what_is_wrong_is_one_line_and_a_code(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    done = run("train", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("iqa: error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_folds_print_a_table_and_the_run_folder_has_a_name_of_its_own(tmp_path: Path, livec: Path) -> None:
    loop = ["-s", "loop.head_epochs=1", "--epochs", "0", "-s", "validation=0.0", "-s", "loop.batch_size=2"]
    done = run("train", "--dataset", "livec", "--folds", "2", *QUICK, *loop, cwd=tmp_path, IQA_DATA=str(livec))
    assert done.returncode == 0, done.stderr
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == [
        "trial",
        "fold0",
        "fold1",
        "median",
        "mean",
        "low",
        "high",
    ]
    assert (tmp_path / "runs" / "livec-folds" / "fold1" / "model.json").is_file()
    again = run("train", "--dataset", "livec", "--folds", "2", *QUICK, *loop, cwd=tmp_path, IQA_DATA=str(livec))
    assert again.returncode == 2
    assert "--resume" in again.stderr


def test_figures_of_an_earlier_training_are_not_printed_behind_one_without_a_test(
    tmp_path: Path, livec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iqa_cli.training.run.train", lambda _: iter(()))
    figures = {name: {"value": 0.5} for name in FIGURES}
    trials = [{"trial": "earlier", "sets": [{"dataset": "livec", "images": 2, **figures}]}]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "results.json").write_text(json.dumps({"protocol": "", "trials": trials, "summary": []}))
    given = ["train", "-d", "livec", "--data-root", livec, "-s", "validation=0", "-r", "run", *QUICK]
    tables = {}
    for folds in ([], ["--folds", "2"]):
        done = run(*given, *folds, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        tables[len(folds)] = [line.split(",")[0] for line in done.stdout.splitlines()]
    assert tables == {0: [], 2: ["trial", "earlier"]}


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path: Path, livec: Path) -> None:
    loop = ["-s", "loop.head_epochs=500", "-s", "validation=0.0", "-s", "loop.batch_size=2"]
    arguments = command("train", "-d", "livec", "--data-root", livec, "-r", tmp_path / "run", *QUICK, *loop)
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment()) as process:
        assert process.stderr is not None
        lines = list(itertools.takewhile(lambda line: not line.startswith("epoch 2"), process.stderr))
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert lines[-1].startswith("epoch 1/509 head training")
    assert "repeat the command with --resume" in rest
    assert "Traceback" not in rest
    assert (tmp_path / "run" / "state.safetensors").is_file()


def test_a_run_folder_in_use_is_left_alone_and_free_once_its_process_is_killed(tmp_path: Path, livec: Path) -> None:
    loop = ["-s", "loop.head_epochs=500", "-s", "validation=0.0", "-s", "loop.batch_size=2"]
    arguments = ["train", "-d", "livec", "--data-root", livec, "-r", "run", *QUICK, *loop]
    with subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment()) as process:
        assert process.stderr is not None
        assert any(line.startswith("epoch 1") for line in process.stderr)
        second = run(*arguments, "--resume", "--quiet", cwd=tmp_path)
        process.kill()
    assert second.returncode == 2
    assert second.stderr == (
        f"iqa: error: run: process {process.pid} is at work in this folder; wait until it ends, or name another folder\n"
    )
    with lock_folder(tmp_path / "run"):
        assert (tmp_path / "run" / "lock").read_text().split()[0] == str(os.getpid())


def test_folds_may_be_shared_out_among_processes_and_make_one_table(tmp_path: Path, livec: Path) -> None:
    loop = ["-s", "loop.head_epochs=1", "--epochs", "0", "-s", "validation=0.0", "-s", "loop.batch_size=2"]
    shared = ["train", "-d", "livec", "--data-root", livec, "--folds", "3", "-r", "cv", *QUICK, *loop]
    child = command(*shared, "--only", "0")
    with subprocess.Popen(child, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment()) as process:
        wait_until(lambda: (tmp_path / "cv" / "fold0").exists() or process.poll() is not None)
        here = run(*shared, "--only", "1", "--only", "2", cwd=tmp_path)
        tables = [process.communicate(timeout=600)[0], here.stdout]
    assert (process.returncode, here.returncode) == (0, 0)
    results = json.loads((tmp_path / "cv" / "results.json").read_text())
    rows = [json.loads((tmp_path / "cv" / f"fold{n}" / "test.json").read_text()) for n in range(3)]
    assert results["trials"] == rows
    assert [(row["trial"], row["sets"][0]["images"]) for row in rows] == [("fold0", 2), ("fold1", 2), ("fold2", 2)]
    assert results["summary"][0]["plcc"]["high"] == max(row["sets"][0]["plcc"]["value"] for row in rows)
    assert max(len(table.splitlines()) for table in tables) == 1 + 3 + 4
    other = run(*shared, "--only", "0", "--seed", "8", "--resume", cwd=tmp_path)
    assert other.returncode == 2
    assert "begun with other options" in other.stderr


def test_a_model_without_weights_for_pytorch_cannot_be_exported(tmp_path: Path) -> None:
    done = run("export-onnx", tmp_path, cwd=tmp_path)
    assert done.returncode == 3
    assert "no model card" in done.stderr


def test_a_student_is_taught_and_scores(tmp_path: Path, livec: Path) -> None:
    loop = ["-s", "loop.head_epochs=1", "--epochs", "1", "-s", "loop.batch_size=2"]
    teach = ["-s", "validation=0.0", "--dataset", "livec", "--data-root", livec, "-r", "teacher"]
    assert run("train", *QUICK, *loop, *teach, cwd=tmp_path).returncode == 0
    student = ["--student", *QUICK[1:], *loop, "-s", "teacher_epochs=1", "-r", "student", "--name", "small"]
    done = run("distill", "--teacher", "teacher", *student, "--images", livec / "Images", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "teacher predictions, epoch 1: 6 images" in done.stderr
    scored = run("score", livec / "Images", "--model", "student", "--csv", "out.csv", cwd=tmp_path)
    assert scored.returncode == 0, scored.stderr
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 7


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--images", "."], 2, "--teacher"),
        (["--teacher", "qfm-iqm"], 2, "--images"),
        (["--images", ".", "--lower-is-better"], 2, "--lower-is-better is for ratings of your own: add --dataset csv"),
        (["--teacher", "nothing", "--images", "."], 3, "nothing: no such model"),
        (["--teacher", "nothing", "--images", ".", "--dry-run"], 3, "nothing: no such model"),
        (["--teacher", "qfm-iqm", "--images", "nowhere", "--dry-run"], 4, "nowhere: no such folder of images"),
        (["--teacher", "qfm-iqm", "--images", ".", "--device", "abacus"], 2, "device abacus: not available"),
    ],
)
def test_what_is_wrong_with_a_distillation_is_one_line_and_a_code(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    for name in "ab":
        Image.fromarray(np.zeros((80, 80, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    done = run("distill", "--student", "test_efficientnet", *QUICK[2:], *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()  # so that the same command, put right, finds no run there


def test_a_dry_run_is_a_recipe_and_a_split_and_leaves_nothing_behind(tmp_path: Path, livec: Path) -> None:
    given = ["-d", "livec", "--repeats", "2", *QUICK, "--epochs", "0", "-s", "loop.head_epochs=1", "-s", "test_share=0.3"]
    done = run("train", *given, "--dry-run", "-r", "run", cwd=tmp_path, IQA_DATA=str(livec))
    assert (done.returncode, done.stderr, list(tmp_path.iterdir())) == (0, "", [])
    lines = done.stdout.splitlines()
    assert "size = 64" in lines
    assert lines[lines.index("size = 64") - 1] == "# px of a side of the crops"
    assert "# run/split1: test 2: Images/" in done.stdout
    (tmp_path / "again.toml").write_text(done.stdout)
    again = run("train", "--recipe", "again.toml", "--dry-run", "-r", "run", cwd=tmp_path, IQA_DATA=str(livec))
    assert again.stdout == done.stdout


@pytest.mark.parametrize(
    ("images", "given", "message"),
    [
        (2, [], "too few images to train on (1 train, 1 validation, 0 test): 2 at least"),
        (2, ["-s", "validation=0", "--folds", "2"], "fold0: too few images to train on (1 train, 0 validation, 1 test)"),
        (1, [], "no split of 1 groups"),
        (1, ["-s", "validation=0"], "too few images to train on (1 train, 0 validation, 0 test)"),
        (3, ["-s", "validation=0", "--folds", "3"], "fold0: too few images to test on (2 train, 0 validation, 1 test)"),
        (3, ["-s", "validation=0", "--repeats", "1"], "split0: too few images to test on"),
        (3, ["--folds", "4"], "no 4 folds of 3 groups"),
        (6, ["-s", "loop.patience=2"], "too few images for patience (5 train, 1 validation, 0 test)"),
        (6, ["-s", "loop.batch_size=0"], "loop.batch_size is 1 or more, not 0"),
        (6, ["--epochs", "0", "-s", "loop.head_epochs=0"], "nothing to train"),
    ],
)
@pytest.mark.parametrize("dry", [True, False])
def test_too_few_images_are_one_line_before_a_run_begins(
    tmp_path: Path, livec: Path, images: int, given: list[str], message: str, dry: bool
) -> None:
    rows = "".join(f"{livec}/Images/{n}.bmp,{n}\n" for n in range(images))
    (tmp_path / "own.csv").write_text(f"image,score\n{rows}")
    own = ["-d", "csv", "--labels", "own.csv", "-s", "own.score_range=[0, 9]", "-r", "run", *QUICK]
    done = run("train", *own, *given, *(["--dry-run"] if dry else []), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("given", [["validation=0"], ["loop.batch_size=1"]])
def test_as_few_images_as_can_be_are_trained_on(tmp_path: Path, livec: Path, given: list[str]) -> None:
    (tmp_path / "own.csv").write_text("image,score\n" + "".join(f"{livec}/Images/{n}.bmp,{n}\n" for n in range(3)))
    terms = ["-s", "loop.head_epochs=1", "--epochs", "1"]
    terms += ["-s", "matching.correlation_weight=0.5", "-s", "matching.ranking_weight=0.5"]
    terms += [part for setting in given for part in ("-s", setting)]
    done = run("train", "-d", "csv", "--labels", "own.csv", "-r", "run", *QUICK, *terms, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "model.json").is_file()


def test_repeats_of_several_sets_print_medians_and_keep_their_splits(tmp_path: Path, livec: Path) -> None:
    (tmp_path / "own.csv").write_text("image,score\n" + "".join(f"{livec}/Images/{n}.bmp,{n}\n" for n in range(6)))
    sets = ["--dataset", "livec", "--dataset", "csv", "--labels", "own.csv", "--repeats", "2", "-s", "test_share=0.5"]
    loop = ["-s", "loop.head_epochs=1", "--epochs", "0", "-s", "validation=0.0", "-s", "loop.batch_size=2"]
    done = run("train", *sets, *QUICK, *loop, cwd=tmp_path, IQA_DATA=str(livec))
    assert done.returncode == 0, done.stderr
    rows = [line.split(",")[:3] for line in done.stdout.splitlines()]
    assert rows[1:5] == [[f"split{n}", name, "3"] for n in range(2) for name in ("livec", "csv")]
    assert rows[5:] == [[kind, name, "6"] for name in ("livec", "csv") for kind in ("median", "mean", "low", "high")]
    folder = tmp_path / "runs" / "livec+csv-splits"
    split = json.loads((folder / "split1" / "split.json").read_text())
    assert (len(split["train"]), len(split["test"])) == (6, 6)
    results = json.loads((folder / "results.json").read_text())
    assert results["protocol"].startswith("seeded splits of livec and csv, 50% for the test")
