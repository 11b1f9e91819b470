"""`iqa evaluate` and `iqa datasets` as a person runs them."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import CARD, Run, toy_nodes, write_model
from in_process import environment, run_at_terminal
from official import write_set
from test_startup import HEAVY, find_loaded

from iqa_cli.cli.views.evaluate import EvaluationView
from iqa_cli.datasets.catalog import DATASETS
from iqa_cli.datasets.find import find_root
from iqa_cli.errors import DataError, UsageError


def read_rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode())))


def without_data() -> dict[str, str]:
    return {name: value for name, value in environment().items() if name != "IQA_DATA"}


# ---- evaluate ----


def test_in_a_pipe_csv_and_all_files(iqa: Run, sets: Path, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    files = ["--csv", tmp_path / "x.csv", "--json", tmp_path / "x.json", "--plot", tmp_path / "x.svg", "--worst", "2"]
    chosen = ["-d", "livec", "-d", "tid2013", "--split", "test", "-m", model, "--rounds", "50", "--workers", "1"]
    done = iqa("evaluate", *chosen, *files, env=environment(IQA_DATA=str(sets), XDG_CACHE_HOME=str(tmp_path)))
    assert done.returncode == 0, done.stderr
    rows = read_rows(done.stdout)
    assert [(row["dataset"], row["protocol"], row["measured_on"], row["source"]) for row in rows] == [
        ("livec", "random split by images", "test part of the 80/20 split by image of seed 0", "measured"),
        ("tid2013", "random split by content", "test part of the 80/20 split by reference of seed 0", "measured"),
    ]
    assert rows[0]["images"] == "4"
    assert b"\x1b" not in done.stdout + done.stderr
    data = json.loads((tmp_path / "x.json").read_text())
    for row, entry in zip(rows, data, strict=True):
        assert float(row["srcc"]) == pytest.approx(entry["srcc"]["value"], abs=1e-4)
        assert row["protocol"] == entry["protocol"]
        assert float(row["rmse_high"]) == pytest.approx(entry["rmse"]["high"], abs=1e-4)
    with (tmp_path / "x.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == sum(int(row["images"]) for row in rows)
    said = done.stderr.decode()
    assert f"Where {model} and people disagree most: livec" in said
    assert "wrote " in said
    assert len(list(tmp_path.glob("x-*.svg"))) == 2


@pytest.mark.parametrize("columns", [80, 120])
def test_at_a_terminal_a_table_that_fits(sets: Path, model: Path, columns: int) -> None:
    chosen = ["-d", "csiq", "-d", "tid2013", "--data-root", str(sets), "-m", str(model), "--rounds", "50"]
    code, shown = run_at_terminal("evaluate", *chosen, "--no-cache", "-q", "--workers", "1", columns=columns)
    assert code == 0, shown
    assert max(map(len, shown.splitlines())) <= columns
    for text in (
        "Categorical Subjective Image Quality",
        "Tampere",
        "SRCC",
        "protocol",
        "all images: 15 of 866",
        "95 % bootstrap",
        "Below each",
    ):
        assert text in shown
    assert "\\n" not in shown


def test_a_split_is_published_and_taken_again(iqa: Run, sets: Path, model: Path, tmp_path: Path) -> None:
    chosen = ["-d", "livec", "--data-root", sets, "-m", model, "--rounds", "20", "--workers", "1", "--no-cache"]
    first = iqa("evaluate", *chosen, "--split", "test", "--seed", "3", "--predictions", tmp_path / "p.csv")
    again = iqa("evaluate", *chosen, "--seed", "3", "--fold-file", tmp_path / "p.csv", "--predictions", "-")
    assert (first.returncode, again.returncode) == (0, 0), again.stderr
    assert again.stdout == (tmp_path / "p.csv").read_bytes()
    figures = read_rows(iqa("evaluate", *chosen, "--seed", "3", "--fold-file", tmp_path / "p.csv").stdout)[0]
    same = read_rows(first.stdout)[0]
    assert (figures.pop("protocol"), same.pop("protocol")) == ("folds", "random split by images")
    assert (figures.pop("measured_on"), same.pop("measured_on")) == (
        "the folds of p.csv",
        "test part of the 80/20 split by image of seed 3",
    )
    assert figures == same
    lost = iqa("evaluate", *chosen, "--fold-file", tmp_path / "p.csv", "--predictions", tmp_path / "p.csv")
    assert (lost.returncode, b"this is also an input" in lost.stderr) == (2, True)
    many = iqa("evaluate", *chosen, "--split", "test", "--repeats", "3", "--predictions", tmp_path / "q.csv")
    assert (many.returncode, many.stdout) == (2, b"")
    assert b"--predictions gives each image one fold, and --repeats draws several splits" in many.stderr
    official = ["-d", "biq2021", *chosen[2:], "--split", "test", "--repeats", "3"]
    refused = iqa("evaluate", *official)
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert b"--repeats draws several splits, and biq2021 came with one: leave out --repeats" in refused.stderr


def test_subsets_have_figures_of_their_own(iqa: Run, sets: Path, model: Path) -> None:
    chosen = ["-d", "biq2021", "-d", "csiq", "--data-root", str(sets), "-m", str(model), "--rounds", "5", "--workers", "1"]
    code, shown = run_at_terminal("evaluate", *chosen, "--no-cache", "-q", columns=80)
    assert code == 0, shown
    lines = [line.split() for line in shown.splitlines()]
    rows = [row for row in read_rows(iqa("evaluate", *chosen, "--no-cache").stdout) if row["subset"]]
    assert [(row["dataset"], row["subset"], row["images"]) for row in rows] == [
        ("biq2021", name, "8") for name in ("ss01", "ss02", "ss03")
    ]
    for row in rows:
        (line,) = (line for line in lines if line[:1] == [f"{row['subset']}:"])
        assert (line[1:3], line[5:]) == (["8", "images"], ["-"] * 3)
        assert [float(figure) for figure in line[3:5]] == pytest.approx([float(row["srcc"]), float(row["plcc"])], abs=6e-4)
    assert "Below a model: correlations within each subset, of at least 3 images." in shown


def test_subsets_of_own_ratings(iqa: Run, photos: Path, model: Path, tmp_path: Path) -> None:
    names = [f"{i:02}.jpg" for i in (1, 2, 4, 5, 7, 8)]
    scored = [
        (row["path"], row["score"]) for row in read_rows(iqa("score", *(photos / name for name in names), "-m", model).stdout)
    ]
    kinds = ["day", "day", "day", "", "night", "night"]
    rows = [f"{path},{score},{kind}" for (path, score), kind in zip(scored, kinds, strict=True)]
    (tmp_path / "mine.csv").write_text("\n".join(["image,score,kind", *rows]))
    chosen = ["-d", "csv", "--labels", tmp_path / "mine.csv", "-m", model, "--rounds", "5", "--workers", "1"]
    done = iqa("evaluate", *chosen, "--subset-column", "kind")
    assert done.returncode == 0, done.stderr
    shown = [[row[name] for name in ("subset", "images", "srcc")] for row in read_rows(done.stdout)]
    assert shown == [["", "6", "1.0"], ["day", "3", "1.0"], ["night", "2", ""]]
    done = iqa("evaluate", *chosen, "--subset-column", "place")
    assert (done.returncode, done.stdout) == (4, b"")
    said = f"iqa: error: {tmp_path / 'mine.csv'}: no column place; there are image, score, kind (separated by commas"
    assert done.stderr.decode().startswith(said)
    assert done.stderr.count(b"\n") == 1
    done = iqa("datasets", "show", *chosen[1:4], "--subset-column", "kind")
    assert "subsets: 3 day, 2 night" in done.stdout.decode().splitlines()


def test_a_model_that_saw_the_images_is_told_apart(iqa: Run, sets: Path, tmp_path: Path) -> None:
    seen = [{"set": "livec", "images": 1162, "title": DATASETS["livec"].title}]
    model = write_model(tmp_path, toy_nodes(), replace(CARD, training={"trained_on": seen}))
    done = iqa("evaluate", "-d", "livec", "--data-root", sets, "-m", model, "--rounds", "5", "--no-cache", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert read_rows(done.stdout)[0]["note"] == "trained on these images"


def test_own_ratings_with_a_broken_image(iqa: Run, photos: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_text("no picture")
    names = [f"{i:02}.jpg" for i in (1, 2, 4, 5, 7, 8)]
    rows = [f"{photos / name},{number}" for number, name in enumerate(names)]
    (tmp_path / "mine.csv").write_text("\n".join(["image,score", *rows, "broken.jpg,3"]))
    done = iqa(
        "evaluate", "-d", "csv", "--labels", tmp_path / "mine.csv", "-m", model, "--rounds", "5", "--no-cache", "--workers", "1"
    )
    assert done.returncode == 1, done.stderr
    (row,) = read_rows(done.stdout)
    assert (row["dataset"], row["images"], row["failed"]) == ("mine", "6", "1")
    assert "mine, " in done.stderr.decode()
    assert "1 image has no score, and no part in the figures; the first: " in done.stderr.decode()


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ([], 2, "on which set"),
        (["-d", "ava"], 2, "no data set 'ava'; there are livec"),
        (["-d", "livec"], 2, "where is LIVE In the Wild"),
        (["-d", "livec", "--data-root", "nowhere"], 4, "nowhere: no such folder"),
        (["-d", "livec", "--data-root", "."], 4, "https://live.ece.utexas.edu/research/ChallengeDB/"),
        (["-d", "csv"], 2, "--labels FILE"),
        (["-d", "livec", "-d", "livefb", "--split", "test"], 2, "run -d livefb and -d livec each by itself"),
        (["-d", "livec", "--score-column", "zz"], 2, "--score-column is for ratings of your own: add --dataset csv"),
        (
            ["-d", "livec", "--lower-is-better", "--group-column", "g", "--subset-column", "s"],
            2,
            "--lower-is-better and --subset-column are",
        ),
        (["-d", "livec", "--lower-is-better", "--score-range", "1", "5"], 2, "--lower-is-better are for ratings of your own"),
        (["-d", "csv", "--score-column", "zz"], 2, "--labels FILE"),
        (["--robustness", ".", "--score-column", "zz"], 2, "photos without ratings: leave out --score-column"),
        (["--robustness", ".", "--labels", "x.csv", "--no-cache"], 2, "leave out --labels and --no-cache"),
        (["-d", "livec", "--fold", "1"], 2, "add --fold-file FILE"),
        (["-d", "csv", "--labels", "none.csv"], 4, "none.csv: cannot read the labels"),
        (["-d", "livec", "--plot", "x.gif"], 2, "plots are .png or .svg files"),
        (["-d", "livec", "--csv", "none/x.csv"], 4, "cannot write"),
    ],
)
def test_what_is_wrong_is_one_line_and_a_code(iqa: Run, tmp_path: Path, args: list[str], code: int, said: str) -> None:
    done = iqa("evaluate", *args, cwd=tmp_path, env=without_data())
    assert done.returncode == code, done.stderr
    assert done.stdout == b""
    assert done.stderr.startswith(b"iqa: error: ")
    assert said in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_evaluating_with_onnx_loads_no_torch(sets: Path, model: Path) -> None:
    chosen = ("-d", "kadid10k", "--data-root", sets, "-m", model, "--rounds", "5", "--no-cache", "--workers", "1")
    loaded = find_loaded("-m", "iqa_cli", "evaluate", *chosen)
    assert {"onnxruntime", "numpy"} <= loaded
    assert not {"torch", "timm", "matplotlib", "scipy", "huggingface_hub"} & loaded


def test_help_loads_nothing_heavy_and_fits(iqa_process: Run) -> None:
    assert not HEAVY & find_loaded("-m", "iqa_cli", "evaluate", "--help")
    for command in (("evaluate",), ("datasets",), ("datasets", "show")):
        text = iqa_process(*command, "--help", env=environment(COLUMNS="80", TERMINAL_WIDTH="80")).stdout.decode()
        assert max(map(len, text.splitlines())) <= 80
        assert "--data-root" in text


@pytest.mark.parametrize(("cached", "said"), [(True, "repeat the command to go on"), (False, "stopped\n")])
def test_ctrl_c_says_whether_a_repetition_goes_on(cached: bool, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), EvaluationView(quiet=False, cached=cached).running():
        raise KeyboardInterrupt
    assert said in capsys.readouterr().err


def test_ratings_that_run_the_other_way_are_pointed_out(iqa: Run, photos: Path, model: Path, tmp_path: Path) -> None:
    """The toy's own scores, turned round, are ratings where low is good."""
    names = [f"{i:02}.jpg" for i in (1, 2, 4, 5, 7, 8)]
    scored = read_rows(iqa("score", *(photos / name for name in names), "-m", model).stdout)
    rows = [f"{row['path']},{100 - float(row['score'])}" for row in scored]
    (tmp_path / "mine.csv").write_text("\n".join(["image,score", *rows]))
    done = iqa("evaluate", "-d", "csv", "--labels", tmp_path / "mine.csv", "-m", model, "--rounds", "5", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert float(read_rows(done.stdout)[0]["srcc"]) == -1
    assert "add --lower-is-better" in done.stderr.decode()


# ---- datasets ----


def test_the_sets_are_listed_with_where_they_are(iqa: Run, tmp_path: Path) -> None:
    rows = read_rows(iqa("datasets", env=without_data()).stdout)
    assert [row["name"] for row in rows] == list(DATASETS)
    assert "found" not in rows[0]
    write_set("csiq", tmp_path)
    rows = read_rows(iqa("datasets", "--data-root", tmp_path).stdout)
    assert {row["name"]: row["found"] for row in rows if row["found"]} == {"csiq": str(tmp_path / "csiq")}


@pytest.mark.parametrize("columns", [80, 120])
def test_lists_and_facts_fit_a_terminal(columns: int) -> None:
    for args in (["datasets"], ["datasets", "show", "koniq10k"], ["datasets", "show", "csv"]):
        code, shown = run_at_terminal(*args, columns=columns)
        assert code == 0, shown
        assert max(map(len, shown.splitlines())) <= columns


def test_a_set_is_described(iqa: Run) -> None:
    done = iqa("datasets", "show", "spaq", env=without_data())
    assert done.returncode == 0, done.stderr
    facts = dict(line.split(": ", 1) for line in done.stdout.decode().splitlines())
    spec = DATASETS["spaq"]
    assert facts["get it from"] == spec.home
    assert facts["layout"] == spec.layout
    assert facts["score"] == "MOS, 0 to 100, higher is better"
    assert facts["split"] == "80/20 by image, drawn by a seed"
    assert "verdict" not in facts
    assert "80/20 splits, median of 10" in done.stdout.decode()  # published figures, with their protocol


def test_near_duplicates_of_biq2021_are_told(iqa: Run, sets: Path, model: Path) -> None:
    told = "200 images of the official test part have a near duplicate"
    assert told in iqa("datasets", "show", "biq2021", env=without_data()).stdout.decode()
    chosen = [
        "-d",
        "biq2021",
        "--data-root",
        str(sets),
        "-m",
        str(model),
        "--rounds",
        "5",
        "--workers",
        "1",
        "--no-cache",
        "-q",
    ]
    code, shown = run_at_terminal("evaluate", *chosen, "--split", "test", columns=120)
    assert (code, f"BIQ2021: {told}" in shown) == (0, True)
    code, shown = run_at_terminal("evaluate", *chosen, columns=120)
    assert (code, told in shown) == (0, False)


def test_a_folder_is_checked(iqa: Run, tmp_path: Path) -> None:
    root = write_set("tid2013", tmp_path)
    (root / "distorted_images/i01_01_1.bmp").unlink()
    (root / "distorted_images/i02_09_1.bmp").write_text("no picture")
    done = iqa("datasets", "show", "tid2013", "--data-root", tmp_path)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.decode().splitlines()
    assert f"folder: {root}" in lines
    assert "rated images: 20 of 3,000" in lines
    assert "groups: 10 for 20 images" in lines
    assert "missing: 1: distorted_images/I01_01_1.bmp" in lines
    assert "unreadable: 1: distorted_images/i02_09_1.bmp (not an image)" in lines
    assert lines[-1] == "verdict: not whole"
    gone = iqa("datasets", "show", "live", "--data-root", tmp_path)
    assert gone.returncode == 4
    assert b"neither a folder databaserelease2" in gone.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["livec", "--labels", "nosuch.csv"], "--labels is for ratings of your own: name csv in place of livec"),
        (
            ["csv", "--data-root", "set", "--score-column", "zz"],
            "--score-column and --data-root are about its images: add --labels",
        ),
        (["csv", "--lower-is-better"], "--lower-is-better is about its images: add --labels FILE"),
        (["spaq", "--decode"], "--decode is about its images: say where the set is with --data-root, or the variable IQA_DATA"),
    ],
)
def test_what_would_not_be_checked_is_refused(iqa: Run, args: list[str], said: str) -> None:
    done = iqa("datasets", "show", *args, env=without_data())
    assert (done.returncode, done.stdout) == (2, b"")
    assert said in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_several_test_parts_tell_their_sizes(sets: Path, model: Path) -> None:
    chosen = ["-d", "livec", "--data-root", str(sets), "-m", str(model), "--no-cache", "-q", "--workers", "1"]
    code, shown = run_at_terminal("evaluate", *chosen, "--split", "test", "--repeats", "3", columns=120)
    assert (code, "median of the test parts of 3 80/20 splits by image, seeds 0 to 2: 4\n" in shown.replace("\r", "")) == (
        0,
        True,
    )


def test_own_ratings_are_checked(iqa: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("image,score\n01.jpg,1\n02.jpg,4\n")
    done = iqa("datasets", "show", "csv", "--labels", tmp_path / "mine.csv", "--data-root", photos)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines()[-1] == "verdict: whole"


def test_real_livec_is_checked(iqa: Run) -> None:
    try:
        find_root("livec", None)
    except (DataError, UsageError) as error:
        pytest.skip(f"LIVE-C is not here: {error}")
    lines = iqa("datasets", "show", "livec").stdout.decode().splitlines()
    assert "missing: none" in lines
    assert "unreadable: none" in lines
