"""No output may be an input, or take the place of what no earlier run has written. Every command that writes files is asked."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import CARD, Run, write_photo
from in_process import environment
from PIL import Image

from iqa_cli.cli.flags.train_outputs import check_training_outputs
from iqa_cli.errors import UsageError
from iqa_cli.files.outputs import (
    Output,
    begins_json,
    begins_table,
    check_folders,
    check_outputs,
    holds_json,
    is_card,
    is_onnx,
    is_plot,
    is_safetensors,
    list_model_files,
)
from iqa_cli.models.card import WeightFile, write_card
from iqa_cli.options import OwnRatings
from iqa_cli.records import COLUMNS, DETAIL_COLUMNS, GROUP_COLUMNS, REASON_COLUMNS
from iqa_cli.scoring.writers import KINDS
from iqa_cli.training.options import TrainingOptions

HEADER = ",".join(COLUMNS)
ROW = "a.jpg,50.00,50.0,,ok,,1,1,toy"
OBJECT = json.dumps(dict.fromkeys(COLUMNS))


def write_object(**more: object) -> str:
    """A record as JSON, with other fields."""
    return json.dumps(dict.fromkeys(COLUMNS) | more)


WITH_ALL = write_object(**dict.fromkeys([*DETAIL_COLUMNS, *GROUP_COLUMNS, *REASON_COLUMNS, "reason_values"]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photos and ratings of them, of which nothing may be lost."""
    for seed, name in enumerate(("a.jpg", "b.jpg", "c.png")):
        write_photo(tmp_path / name, seed)
    (tmp_path / "own.csv").write_text("image,score\na.jpg,1\nb.jpg,4\nc.png,3\n")
    (tmp_path / "list.txt").write_text("a.jpg\n")
    (tmp_path / "notes.json").write_text('{"of": "somebody"}')
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    (tmp_path / "sub").mkdir()
    return tmp_path


def read_all(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


SCORE = [
    ["--csv", "a.jpg", "b.jpg", "c.png"],  # what a shell makes of --csv *.jpg
    ["a.jpg", "--csv", "a.jpg"],
    ["a.jpg", "--csv", "./sub/../a.jpg"],
    ["a.jpg", "--csv", "link.jpg"],
    ["link.jpg", "--jsonl", "a.jpg"],
    [".", "--json", "b.jpg"],
    ["gone.jpg", "--csv", "gone.jpg"],
    ["--files-from", "list.txt", "--csv", "list.txt"],
    ["a.jpg", "--csv", "own.csv"],
    ["a.jpg", "--json", "notes.json"],
    ["a.jpg", "--csv", "new.csv", "--json", "sub/../new.csv"],
]
EVALUATE = [
    ["--csv", "own.csv"],
    ["--json", "own.csv"],
    ["--json", "notes.json"],
    ["--csv", "a.jpg"],
    ["--plot", "c.png"],
]


@pytest.mark.parametrize("args", SCORE)
def test_score_leaves_every_file_as_it_was(iqa: Run, model: Path, folder: Path, args: list[str]) -> None:
    before = read_all(folder)
    done = iqa("score", *args, "--model", model, cwd=folder)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"iqa: error: ")
    assert done.stderr.count(b"\n") == 1
    assert read_all(folder) == before


@pytest.mark.parametrize("args", EVALUATE)
def test_evaluate_leaves_every_file_as_it_was(iqa: Run, model: Path, folder: Path, args: list[str]) -> None:
    before = read_all(folder)
    done = iqa("evaluate", "-d", "csv", "--labels", "own.csv", "-m", model, *args, cwd=folder)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert read_all(folder) == before


def test_the_list_on_stdin_is_an_input(iqa_process: Run, model: Path, folder: Path) -> None:
    with (folder / "list.txt").open("rb") as listing:
        done = iqa_process("score", "-", "--csv", "list.txt", "--model", model, cwd=folder, stdin=listing)
    assert done.returncode == 2
    assert b"this is also an input" in done.stderr


def test_the_model_is_an_input(iqa: Run, model: Path, folder: Path) -> None:
    before = model.with_name("toy.onnx").read_bytes()
    done = iqa("score", "a.jpg", "--model", model, "--csv", model.with_name("toy.onnx"), cwd=folder)
    assert done.returncode == 2
    assert model.with_name("toy.onnx").read_bytes() == before


def test_what_earlier_runs_wrote_is_replaced_and_an_empty_file_too(iqa: Run, model: Path, folder: Path) -> None:
    (folder / "empty").touch()  # as mktemp makes it
    outputs = ["--csv", "empty", "--jsonl", "x.jsonl", "--json", "x.json"]
    for photos in (["a.jpg", "b.jpg"], ["c.png"]):
        assert iqa("score", *photos, "--model", model, *outputs, cwd=folder).returncode == 0
    assert [row["path"] for row in json.loads((folder / "x.json").read_bytes())] == ["c.png"]
    outputs = ["--csv", "e.csv", "--json", "e.json", "--rounds", "5"]
    for _ in range(2):
        assert iqa("evaluate", "-d", "csv", "--labels", "own.csv", "-m", model, *outputs, cwd=folder).returncode == 0


def test_force_means_it(iqa: Run, model: Path, folder: Path) -> None:
    done = iqa("score", "a.jpg", "own.csv", "--csv", "own.csv", "--model", model, "--force", cwd=folder)
    assert done.returncode == 1  # own.csv is no image
    assert (folder / "own.csv").read_text().startswith(f"{HEADER}\na.jpg,")


# ---- training, blending, exporting ----


def test_a_run_folder_holds_nothing_but_the_run(iqa: Run, folder: Path) -> None:
    before = read_all(folder)
    named = ["train", "-d", "csv", "--labels", "own.csv", "--data-root", "sub"]
    for args in (["-r", "sub"], ["-r", ".", "--name", "notes"], ["-r", "new", "--unlabeled", "sub", "--features", "sub"]):
        done = iqa(*named, *args, cwd=folder)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count(b"\n") == 1
    assert read_all(folder) == before


def test_a_run_keeps_its_own_files_and_never_its_inputs(tmp_path: Path) -> None:
    options = TrainingOptions(run_dir=tmp_path, name="model")
    check_training_outputs(options)
    (tmp_path / "test.csv").write_text("mine")
    with pytest.raises(UsageError, match=r"test\.csv: there is a file that is not predictions"):
        check_training_outputs(options)
    check_training_outputs(options, force=True)
    (tmp_path / "options.json").write_text('{"backbone": 1, "samples": {}, "loop": {}}')  # a run was begun here
    check_training_outputs(options)
    table: Path = tmp_path / "test.csv"
    for read in ({"fold_file": table}, {"own": OwnRatings(table)}, {"teacher_scores": table}, {"initial_model": str(table)}):
        with pytest.raises(UsageError, match="also an input"):
            check_training_outputs(replace(TrainingOptions(run_dir=tmp_path), **read))  # type: ignore[arg-type]
    (tmp_path / "fold1").mkdir()
    (tmp_path / "fold1" / "best.safetensors").write_text("mine")
    with pytest.raises(UsageError, match=r"fold1/best\.safetensors"):
        check_training_outputs(options)


@pytest.mark.parametrize("name", ["options", "../away", "a/b", ".x", ""])
def test_a_name_that_would_be_another_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        check_training_outputs(TrainingOptions(run_dir=tmp_path, name=name))


def test_a_blend_never_replaces_its_members(iqa: Run, folder: Path) -> None:
    done = iqa("blend", "qfm-iqm-lite", "qfm-iqm-lite", "-o", folder, "--name", "notes", cwd=folder)
    assert done.returncode == 2
    assert b"notes.json: there is a file that is not a model card" in done.stderr


@pytest.mark.parametrize("output", ["a.jpg", "notes.onnx", "a.onnx"])
def test_an_exported_model_replaces_models_only(iqa: Run, folder: Path, output: str) -> None:
    (folder / "a.onnx").write_bytes((folder / "a.jpg").read_bytes())
    before = read_all(folder)
    done = iqa("export-onnx", "--photo", "a.jpg", "-o", output, cwd=folder)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert read_all(folder) == before


def test_a_blend_is_not_written_over_a_member(iqa: Run, tmp_path: Path) -> None:
    card = write_card(replace(CARD, files={"safetensors": WeightFile("toy.safetensors", 1, "0" * 64)}), tmp_path)
    (tmp_path / "toy.safetensors").write_bytes(b"x")
    done = iqa("blend", card, card, "-o", tmp_path, "--name", "toy")
    assert done.returncode == 2
    assert b"also an input" in done.stderr
    assert (tmp_path / "toy.safetensors").read_bytes() == b"x"


# ---- files by any name ----


def make(path: Path) -> Output:
    return Output(path, "--csv", *KINDS["csv"])


def test_a_hard_link_is_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(HEADER)
    os.link(tmp_path / "a", tmp_path / "b")
    with pytest.raises(UsageError, match="also an input"):
        check_outputs([make(tmp_path / "b")], [tmp_path / "a"])


def test_names_that_differ_in_case_are_one_where_the_file_system_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER)
    same = (tmp_path / "A.csv").exists()
    try:
        check_outputs([make(tmp_path / "A.csv")], [tmp_path / "a.csv"])
    except UsageError:
        assert same
    else:
        assert not same
    new = [make(tmp_path / "new"), make(tmp_path / "NEW")], [make(tmp_path / "no" / "new"), make(tmp_path / "no" / "NEW")]
    for outputs in new:  # which are not there: their folder is asked
        if same:
            with pytest.raises(UsageError, match="one file"):
                check_outputs(outputs, [])
        else:
            check_outputs(outputs, [])


def test_a_folder_that_takes_two_cases_for_one_file_takes_one_output_of_both(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER)
    with suppress(FileExistsError):  # where it does so; elsewhere a link looks alike
        os.link(tmp_path / "a.csv", tmp_path / "A.CSV")
    with pytest.raises(UsageError, match="one file"):
        check_outputs([make(tmp_path / "new"), make(tmp_path / "NEW")], [])


def test_pipes_and_devices_are_not_looked_into(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    check_outputs([make(tmp_path / "fifo"), make(Path("/dev/null"))], [tmp_path / "fifo", "/dev/null"])


def test_a_file_that_cannot_be_read_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(HEADER)
    (tmp_path / "a").chmod(0)
    if os.access(tmp_path / "a", os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(UsageError):
        check_outputs([make(tmp_path / "a")], [])


def test_folders_are_the_same_by_any_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(UsageError, match="also an input"):
        check_folders([tmp_path / "b"], [tmp_path / "a"])
    check_folders([tmp_path / "a" / "c"], [tmp_path / "a"])


# ---- first bytes ----


@pytest.mark.parametrize(
    ("kind", "text", "earlier"),
    [
        ("csv", HEADER + "\n", True),
        ("csv", "\ufeff" + HEADER + "\r\n" + ROW, True),
        ("csv", ROW, True),
        ("csv", '"a\nb.jpg",,,,damaged,"why, then",,,toy\n', True),
        ("csv", "path,score\n", False),
        ("csv", "a.jpg,50.00,50.0,,fine,,1,1,toy", False),
        ("csv", "image,score\na.jpg,4\n", False),
        ("csv", "\0\1\2", False),
        ("csv", OBJECT, False),
        ("jsonl", OBJECT + "\n", True),
        ("jsonl", '{"path": 1}\n', False),
        ("jsonl", f"[{OBJECT}]", False),
        ("json", f"[\n{OBJECT},\n", True),
        ("json", f"[ {OBJECT} ]", True),
        ("json", "[]\n", True),
        ("json", OBJECT, False),
        ("json", '[{"image": "a.jpg", "score": 4}]', False),
        ("json", "[1, 2]", False),
        ("jsonl", WITH_ALL, True),
        ("json", f"[{WITH_ALL}", True),
        ("jsonl", write_object(path="a\ufffd.jpg", path_base64="Yf8="), True),
        ("jsonl", write_object(bytes=1, modified=2.5), True),
        ("jsonl", write_object(path='"label": {[', detail='\\"label\\":'), True),
        ("jsonl", write_object(label="mine"), False),
        ("json", f"[{write_object(label='mine')}]", False),
        ("jsonl", json.dumps({"schema_version": 1, "values": dict.fromkeys(COLUMNS)}), False),
        ("jsonl", json.dumps({"values": dict.fromkeys(COLUMNS)} | dict.fromkeys(COLUMNS[1:])), False),
        ("jsonl", write_object(values={"a": [1, {"b": 2}]}), False),
        ("jsonl", OBJECT[:-20], False),
        ("jsonl", '{"' + "x" * 100, False),
    ],
)
def test_scores_are_told_from_other_files(kind: str, text: str, earlier: bool) -> None:
    assert KINDS[kind][1](text.encode()) is earlier


def test_other_kinds_are_told_by_their_first_bytes(model: Path, tmp_path: Path) -> None:
    assert is_onnx(model.with_name("toy.onnx").read_bytes())
    assert is_card(write_card(CARD, tmp_path).read_bytes())
    assert is_safetensors((64).to_bytes(8, "little") + b'{"__metadata__"')
    assert not any(check(b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1") for check in (is_onnx, is_card, is_safetensors, is_plot))
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    assert not is_plot((tmp_path / "photo.png").read_bytes())
    assert not is_plot(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    assert begins_table("a", "b")(b"a,b,c\n1,2,3\n")
    assert not begins_table("a", "b")(b"a\n")
    assert not begins_json("a")(b'{"b": 1}')
    assert begins_json("a", "c")(b'{"a": {"b": ["}"]}, "c": 1, "d": 2}')
    assert not begins_json("a", "b")(b'{"a": {"b": 1}}')
    assert not begins_json("a", "b")(b'{"a": "\\"b\\": 1"}')
    assert holds_json("ab", "a", also="c")(b'{"c": 1, "a": 2}')
    assert not holds_json("ab", "a", also="c")(b'{"b": 1}')
    assert [output.path.name for output in list_model_files(tmp_path, "toy", "onnx", "-o")] == ["toy.onnx", "toy.json"]
    other = list_model_files(tmp_path, "toy", "onnx", "-o", tmp_path / "own.json")
    assert [output.path.name for output in other] == ["toy.onnx", "own.json"]


@pytest.mark.parametrize("name", ["", ".x", "..", "a/b", "a\\b", "a\nb"])
def test_what_is_no_name_of_a_model_is_refused_before_anything_is_written(iqa: Run, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is to be the name of files in"):
        list_model_files(tmp_path, name, "safetensors", "-o")
    done = iqa("blend", "qfm-iqm-lite", "qfm-iqm-lite", "--average-weights", "-o", tmp_path / "out", "--name", name)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_blend_is_not_written_over_the_card_of_a_member_by_whatever_name(iqa: Run, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"x")
    card = write_card(replace(CARD, name="a", files={"safetensors": WeightFile.of(tmp_path / "a.safetensors")}), tmp_path)
    mine = card.rename(tmp_path / "mine.json")
    before = mine.read_bytes()
    done = iqa("blend", mine, mine, "-o", tmp_path, "--name", "mine")
    assert done.returncode == 2
    assert b"mine.json: this is also an input" in done.stderr
    assert mine.read_bytes() == before


@pytest.mark.parametrize("output", [None, "weights/other.onnx"])
def test_a_released_model_is_not_replaced_unasked(
    iqa: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, output: str | None
) -> None:
    released = folder / "weights"
    released.mkdir()
    (released / "toy.safetensors").write_bytes(b"x")
    facts = WeightFile.of(released / "toy.safetensors")
    write_card(replace(CARD, files={"safetensors": facts, "onnx": WeightFile("toy.onnx", 1, "0" * 64)}), released)
    monkeypatch.setattr("iqa_cli.models.find.released_folder", lambda: released)
    before = read_all(released)
    done = iqa("export-onnx", "toy", *(["-o", output] if output else []), cwd=folder)
    assert done.returncode == 2
    assert b"toy.json comes with the tool: write elsewhere by --output, or add --force" in done.stderr
    assert read_all(released) == before


def test_a_model_of_the_hub_is_not_written_into_its_cache(iqa: Run) -> None:
    done = iqa("export-onnx", "hf://owner/name")
    assert done.returncode == 2
    assert b"say by --output where to write" in done.stderr


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_plots_are_known_again(tmp_path: Path, ending: str) -> None:
    pytest.importorskip("matplotlib", reason="needs the [train] extra")
    from iqa_cli.evaluation.plots import plot_learning

    row = {"epoch": 1, "srcc": None, "losses": {"a": 1.0}, "rates": {}, "phase": "fine"}
    plot_learning(tmp_path / f"x.{ending}", [row])
    assert is_plot((tmp_path / f"x.{ending}").read_bytes())


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_plot_of_one_s_own_is_none_of_an_earlier_run(tmp_path: Path, ending: str) -> None:
    pytest.importorskip("matplotlib", reason="needs the [train] extra")
    from matplotlib.figure import Figure

    Figure().savefig(tmp_path / f"mine.{ending}")
    assert not is_plot((tmp_path / f"mine.{ending}").read_bytes())


def test_a_shell_that_expands_the_output_loses_nothing(model: Path, folder: Path) -> None:
    before = read_all(folder)
    command = f"{sys.executable} -m iqa_cli score --model {model} --csv *.jpg"
    done = subprocess.run(["bash", "-c", command], check=False, capture_output=True, cwd=folder, env=environment())
    assert done.returncode == 2
    assert done.stderr.startswith(b"iqa: error: --csv a.jpg: ")
    assert read_all(folder) == before
