"""What outputs say where a whole run has nothing to say, where a run fails, and what no output is written over."""

import json
import os
import shutil
from pathlib import Path

import pytest
from conftest import Run, read_rows

from iqa_cli.cli.views.kept import Kept
from iqa_cli.errors import DataError, WriteError
from iqa_cli.records import COLUMNS, ScoreRecord, Status
from iqa_cli.scoring.tally import Tally

HEADER = (",".join(COLUMNS) + "\n").encode()
NONE = {"csv": HEADER, "jsonl": b"", "json": b"[]\n"}
KINDS = ["csv", "jsonl", "json", "parquet", "html"]


@pytest.fixture
def own(photos: Path, tmp_path: Path) -> Path:
    """A folder of one photo."""
    (tmp_path / "own").mkdir()
    shutil.copy(photos / "01.jpg", tmp_path / "own")
    return tmp_path / "own"


# ---- a run that chooses nothing ----


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_chosen_is_in_no_older_output(iqa: Run, model: Path, own: Path, tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="needs the [parquet] extra")
    out, new = tmp_path / "out", tmp_path / "new"
    assert iqa("score", own, "-m", model, f"--{kind}", out).returncode == 0
    before = out.read_bytes()
    for path in (out, new):
        assert iqa("score", own, "-m", model, f"--{kind}", path, "--min", "100").returncode == 0
        assert b"01.jpg" in before
        assert b"01.jpg" not in path.read_bytes()
        assert path.read_bytes() == NONE.get(kind, path.read_bytes())
    assert iqa("score", own, "-m", model, f"--{kind}", out).returncode == 0  # over what is empty
    assert b"01.jpg" in out.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_fails_leaves_the_older_output(iqa: Run, model: Path, own: Path, tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="needs the [parquet] extra")
    out, nothing = tmp_path / "out", tmp_path / "nothing"
    nothing.mkdir()
    assert iqa("score", own, "-m", model, f"--{kind}", out).returncode == 0
    before = out.read_bytes()
    assert iqa("score", own, "-m", "no-such-model", f"--{kind}", out).returncode == 3
    assert iqa("score", nothing, "-m", model, f"--{kind}", out).returncode == 4
    assert out.read_bytes() == before


@pytest.mark.parametrize("kind", NONE)
def test_stdout_says_that_nothing_is_chosen(iqa: Run, model: Path, own: Path, kind: str) -> None:
    for options in (["--format", kind], [f"--{kind}", "-"]):
        assert iqa("score", own, "-m", model, "--min", "100", *options).stdout == NONE[kind]
    assert iqa("score", own, "-m", model, "--min", "100").stdout == HEADER
    assert iqa("score", own, "-m", model, "--min", "100", "--no-header").stdout == b""
    assert iqa("score", own, "-m", "no-such-model", "--format", kind).stdout == b""


def test_a_list_of_nothing_takes_the_place_of_an_older_one(iqa: Run, model: Path, own: Path, tmp_path: Path) -> None:
    scores, kept, none = (tmp_path / name for name in ("s.csv", "kept.txt", "none.csv"))
    iqa("score", own, "-m", model, "--csv", scores)
    assert iqa("filter", scores, "--min", "0", "--list", kept).returncode == 0
    before = kept.read_bytes()
    assert b"01.jpg" in before
    none.write_bytes(HEADER)
    done = iqa("filter", none, "--min", "0", "--list", kept, "--force")
    assert (done.returncode, kept.read_bytes()) == (4, before)
    done = iqa("filter", scores, "--min", "100", "--list", kept, "--force")
    assert (done.returncode, kept.read_bytes()) == (0, b"")
    assert iqa("filter", scores, "--min", "0", "--list", kept).returncode == 0  # an empty file is no loss


def test_an_output_that_is_not_told_from_other_files_is_not_said_to_be_one(
    iqa: Run, model: Path, own: Path, tmp_path: Path
) -> None:
    scores, table = tmp_path / "s.csv", tmp_path / "table.csv"
    iqa("score", own, "-m", model, "--csv", scores)
    table.write_text(f"file\n{own}/01.jpg\n")
    commands = (
        ["filter", scores, "--min", "0", "--list", tmp_path / "kept.txt"],
        ["join", scores, table, "--on", "file", "--output", tmp_path / "joined.csv"],
    )
    for command in commands:
        assert iqa(*command).returncode == 0
        done = iqa(*command)
        assert done.returncode == 2
        said = f"{command[-2]} {command[-1]}: there is a file already: name another file, or add --force\n"
        assert done.stderr.decode() == f"iqa: error: {said}"
        assert iqa(*command, "--force").returncode == 0


# ---- below /dev ----


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json", "html"])
def test_a_file_below_dev_survives_a_run_that_fails(iqa: Run, model: Path, own: Path, shared: Path, kind: str) -> None:
    out = shared / "out"
    assert iqa("score", own, "-m", model, f"--{kind}", out).returncode == 0
    before = out.read_bytes()
    if kind == "html":
        assert f'"href":"{os.path.relpath(own, shared)}/01.jpg"'.encode() in before
    assert iqa("score", own, "-m", "no-such-model", f"--{kind}", out).returncode == 3
    assert out.read_bytes() == before


def test_records_are_appended_to_a_file_below_dev(iqa: Run, model: Path, own: Path, shared: Path) -> None:
    for _ in range(2):
        assert iqa("score", own, "-m", model, "--csv", shared / "out", "--append").returncode == 0
    assert len(read_rows((shared / "out").read_bytes())) == 2


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.process
def test_stdout_by_another_name_is_written_where_it_stands(
    iqa_process: Run, model: Path, own: Path, tmp_path: Path, name: str
) -> None:
    with (tmp_path / "out").open("wb", buffering=0) as file:
        file.write(b"before\n")
        state = os.fstat(file.fileno())
        done = iqa_process("score", own, "-m", model, "--csv", name, stdout=file, stderr=None, capture_output=False)
    assert done.returncode == 0
    before, rows = (tmp_path / "out").read_bytes().split(b"\n", 1)
    assert before == b"before"
    assert len(read_rows(rows)) == 1
    assert (tmp_path / "out").stat().st_ino == state.st_ino
    assert len(read_rows(iqa_process("score", own, "-m", model, "--csv", name).stdout)) == 1  # a pipe


# ---- files of other kinds ----


POLICY = "schema_version = 1\n[score]\nfail_under = 1\n"


def test_verdicts_and_scores_take_no_place_of_each_other(iqa: Run, model: Path, own: Path, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(POLICY)
    scores, verdicts = tmp_path / "s.jsonl", tmp_path / "v.jsonl"
    score = ("score", own, "-m", model, "--jsonl")
    gate = ("gate", own, "-m", model, "--policy", tmp_path / "policy.toml", "--jsonl")
    for _ in range(2):
        assert iqa(*score, scores).returncode == 0
        assert iqa(*gate, verdicts).returncode in (0, 5)
    for command, path in ((score, verdicts), (gate, scores)):
        before = path.read_bytes()
        assert iqa(*command, path).returncode == 2
        assert path.read_bytes() == before
    for command, path in ((score, scores), (gate, verdicts)):
        path.write_text(json.dumps(json.loads(path.read_bytes()) | {"label": "mine"}) + "\n")
        before = path.read_bytes()
        assert iqa(*command, path).returncode == 2
        assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json"])
def test_outputs_of_other_options_are_earlier_ones_and_more_columns_are_the_users(
    iqa: Run, model: Path, own: Path, tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "out"
    for options in ([], ["--detail"], ["--explain"], ["--group"], []):
        assert iqa("score", own, "-m", model, f"--{kind}", out, *options).returncode == 0
    lines = {
        "csv": lambda text: "\n".join(f"{line},mine" for line in text.splitlines()),
        "jsonl": lambda text: text.replace("}\n", ', "label": "mine"}\n'),
        "json": lambda text: text.replace("}\n", ', "label": "mine"}\n'),
    }
    out.write_text(lines[kind](out.read_text()))
    before = out.read_bytes()
    done = iqa("score", own, "-m", model, f"--{kind}", out)
    assert done.returncode == 2
    assert b"of an earlier run: name another file, or add --force" in done.stderr
    assert out.read_bytes() == before


# ---- what is said to be kept ----


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_said_to_be_kept_where_it_could_not_be_written(iqa: Run, model: Path, own: Path, kind: str) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="needs the [parquet] extra")
    done = iqa("score", own, "-m", model, f"--{kind}", "/dev/full")
    assert done.returncode == 4
    assert b"No space left on device" in done.stderr
    assert b"kept" not in done.stderr


def test_only_what_was_written_is_said_to_be_kept(tmp_path: Path) -> None:
    tally = Tally(found=3)
    tally.add(ScoreRecord("a.jpg", Status.OK, "toy", 50.0))
    written, failed = tmp_path / "written", tmp_path / "failed"
    failed.write_text("older")
    kept = Kept([written, failed])
    assert kept.describe(tally, WriteError("full")) == ""
    assert kept.describe(tally, KeyboardInterrupt()) == ""
    written.write_text("new")
    assert kept.describe(tally, WriteError("full")) == f"interrupted: what was written before is kept in {written}"
    images = "interrupted: 1 of the 3 images found so far are kept"
    assert kept.describe(tally, DataError("gone")) == f"{images} in {written}"
    assert Kept([Path("/dev/null")]).describe(tally, KeyboardInterrupt()) == f"{images} in /dev/null"
    assert Kept([Path("/dev/null")]).describe(tally, WriteError("full")) == ""
    assert Kept(["s3://bucket/scores"]).describe(tally, KeyboardInterrupt()) == f"{images} in s3://bucket/scores"
    assert Kept([]).describe(tally, KeyboardInterrupt()) == Kept([Path("-")]).describe(tally, KeyboardInterrupt()) == images
    assert Kept([]).describe(tally, WriteError("full")) == Kept([]).describe(Tally(), KeyboardInterrupt()) == ""
