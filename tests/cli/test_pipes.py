"""The command line among other tools: stdout by name, headers, appending, patterns, and what it says when it is mistaken."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run, read_rows, write_photo
from in_process import environment

from iqa_cli.cli import score as cli_score
from iqa_cli.errors import UsageError, WriteError
from iqa_cli.files.appended import AppendedFile
from iqa_cli.images.find import expand_pattern
from iqa_cli.records import COLUMNS, ScoreRecord, Status
from iqa_cli.scoring.writers import open_sinks

pytestmark = pytest.mark.process

HEADER = ",".join(COLUMNS)
GOOD = ScoreRecord("a.jpg", Status.OK, "toy", 74.3, 88.0, width=4, height=3)


# ---- stdout by name ----


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl"])
def test_a_dash_is_stdout_and_no_file(iqa: Run, model: Path, photos: Path, tmp_path: Path, kind: str) -> None:
    named = tmp_path / "named"
    iqa("score", photos, "--model", model, f"--{kind}", named)
    whole = named.read_bytes()
    named.unlink()
    done = iqa("score", photos, "--model", model, f"--{kind}", "-", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, whole)
    assert list(tmp_path.iterdir()) == []


def test_a_file_called_dash_is_named_with_its_folder(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    done = iqa("score", photos, "--model", model, "--csv", "./-", "--jsonl", "-", cwd=tmp_path)
    assert len(done.stdout.splitlines()) == 12
    assert len(read_rows((tmp_path / "-").read_bytes())) == 12


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--csv", "-", "--json", "-"], "only one of the outputs can be stdout"),
        (["--jsonl", "x", "--no-header"], "--no-header is about CSV"),
        (["--parquet", "x", "--no-header"], "--no-header is about CSV"),
        (["--imagefolder", "metadata.csv", "--no-header"], "--no-header is about CSV"),
        (["--shard-json", "x", "--no-header"], "--no-header is about CSV"),
        (["--append"], "--append is about files"),
        (["--append", "--csv", "-"], "--append is about files"),
        (["--append", "--json", "x"], "JSON array"),
        (["--format", "csv", "--json", "x"], "--format is about stdout"),
        (["--format", "paths", "--no-header"], "--no-header is about CSV"),
        (["--min", "60", "--max", "50"], "no score is at least 60"),
        (["--max", "nan"], "Invalid value for '--max': nan is no finite number"),
    ],
)
def test_flags_that_do_not_go_together_are_usage(iqa: Run, tmp_path: Path, args: list[str], message: str) -> None:
    done = iqa("score", "a.jpg", *args, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr.decode()
    assert list(tmp_path.iterdir()) == []


def test_an_evaluation_on_stdout_is_all_there_is(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("image,score\n01.jpg,1\n02.jpg,4\n04.jpg,2\n05.jpg,3\n")
    command = ("evaluate", "-d", "csv", "--labels", tmp_path / "own.csv", "--data-root", photos, "-m", model, "--rounds", "5")
    data = json.loads(iqa(*command, "--json", "-", "--worst", "1").stdout)
    assert [row["dataset"] for row in data] == ["own"]
    assert read_rows(iqa(*command, "--csv", "-").stdout)[0]["path"].endswith("01.jpg")
    assert iqa(*command, "--csv", "-", "--json", "-").returncode == 2


# ---- headers ----


def test_no_header_leaves_out_the_header_alone(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    whole = iqa("score", photos, "--model", model).stdout
    assert iqa("score", photos, "--model", model, "--no-header").stdout == whole.removeprefix(f"{HEADER}\n".encode())
    iqa("score", photos, "--model", model, "--no-header", "--csv", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == whole.removeprefix(f"{HEADER}\n".encode())


# ---- appending ----


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_what_is_appended_follows_what_is_there(iqa: Run, model: Path, photos: Path, tmp_path: Path, kind: str) -> None:
    once, twice = tmp_path / "once", tmp_path / "twice"
    iqa("score", photos, "--model", model, f"--{kind}", once)
    for _ in range(2):
        assert iqa("score", photos, "--model", model, f"--{kind}", twice, "--append").returncode == 0
    whole = once.read_bytes()
    assert twice.read_bytes() == whole + whole.removeprefix(f"{HEADER}\n".encode())
    assert {path.name for path in tmp_path.iterdir()} == {"once", "twice"}


@pytest.mark.parametrize(
    ("before", "between"),
    [
        (f"{HEADER}\nold.jpg,1.00,1.0,,ok,,1,1,toy", "\n"),
        ("old.jpg,1.00,1.0,,ok,,1,1,toy\n", ""),
        (f"\ufeff{HEADER}\r\nold.jpg,1.00,1.0,,ok,,1,1,toy\r\n", ""),
    ],
    ids=["no line end", "no header", "as Excel writes it"],
)
def test_csv_that_is_there_stays_byte_by_byte(tmp_path: Path, before: str, between: str) -> None:
    path = tmp_path / "out.csv"
    path.write_bytes(before.encode())
    path.chmod(0o600)
    with open_sinks({"csv": path}, append=True) as sink:
        sink.write(GOOD)
    assert path.read_bytes().decode() == f"{before}{between}a.jpg,74.30,88.0,,ok,,4,3,toy\n"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["image,score\na.jpg,4\n", f"{HEADER},extra\n", '{"path": 1}\n'])
@pytest.mark.parametrize("force", [[], ["--force"]])
def test_nothing_is_appended_to_other_columns(iqa: Run, photos: Path, tmp_path: Path, text: str, force: list[str]) -> None:
    (tmp_path / "own.csv").write_text(text)
    done = iqa("score", photos, "--csv", tmp_path / "own.csv", "--append", *force)
    assert done.returncode == 2
    assert b"--append: " in done.stderr
    assert (tmp_path / "own.csv").read_text() == text
    assert len(list(tmp_path.iterdir())) == 1


def test_nothing_is_appended_to_an_input(iqa: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(HEADER + "\n")
    done = iqa("score", photos, "--files-from", tmp_path / "list.csv", "--csv", tmp_path / "list.csv", "--append")
    assert done.returncode == 2
    assert b"also an input" in done.stderr


def test_a_run_that_fails_leaves_what_was_there(iqa: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text(HEADER + "\n")
    assert iqa("score", photos, "--model", "no-such-model", "--csv", tmp_path / "out.csv", "--append").returncode == 3
    assert (tmp_path / "out.csv").read_text() == HEADER + "\n"
    assert len(list(tmp_path.iterdir())) == 1


def test_two_runs_do_not_append_to_one_file_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"old\n")
    command = (
        "import sys, pathlib; from iqa_cli.files.appended import AppendedFile\n"
        "file = AppendedFile(pathlib.Path('out')); file.write(b'theirs\\n'); print('ready', flush=True)\n"
        "sys.stdin.read(); file.finish()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", command], cwd=tmp_path, env=environment(), **pipes) as other:
        assert other.stdout.readline() == b"ready\n"
        with pytest.raises(UsageError, match="another run is writing"):
            AppendedFile(tmp_path / "out")
        other.stdin.close()
    ours = AppendedFile(tmp_path / "out")
    ours.write(b"ours\n")
    ours.finish()
    assert (tmp_path / "out").read_bytes() == b"old\ntheirs\nours\n"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_others_have_written_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old\n")
    ours = AppendedFile(path)
    ours.write(b"ours\n")
    path.write_bytes(b"old, and edited since\n")
    ours.finish()
    assert path.read_bytes() == b"old, and edited since\nours\n"


def test_nothing_stays_aside_where_a_copy_has_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be it of what is there at first, or of what others have written meanwhile."""

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "out"
    path.write_bytes(b"old\n")
    ours = AppendedFile(path)
    ours.write(b"ours\n")
    path.write_bytes(b"old, and edited since\n")
    monkeypatch.setattr(AppendedFile, "_put_all", fail)
    with pytest.raises(WriteError, match="No space left on device"):
        ours.finish()
    with pytest.raises(WriteError, match="No space left on device"):
        AppendedFile(path)
    assert path.read_bytes() == b"old, and edited since\n"
    assert list(tmp_path.iterdir()) == [path]


# ---- patterns ----


def test_patterns_that_no_shell_expanded_are(iqa: Run, model: Path, photos: Path) -> None:
    done = iqa("score", "0*.jpg", "mo?e", "--model", model, cwd=photos)
    paths = [row["path"] for row in read_rows(done.stdout)]
    assert paths[:2] == ["01.jpg", "02.jpg"]
    assert [path for path in paths if path.startswith("more")] == [f"more/{n:02}.jpg" for n in (0, 3, 6, 9)]


def test_patterns_that_match_nothing_are_explained(iqa: Run, model: Path, photos: Path) -> None:
    done = iqa("score", "*.gif", "01.jpg", "--model", model, cwd=photos)
    assert [(row["path"], row["status"]) for row in read_rows(done.stdout)] == [("*.gif", "missing"), ("01.jpg", "ok")]
    assert b"iqa: warning: *.gif: no file is called so, and none matches this pattern\n" in done.stderr


def test_lists_name_files_and_no_patterns(iqa: Run, model: Path, photos: Path) -> None:
    done = iqa("score", "-", "--model", model, cwd=photos, input=b"*.jpg\n")
    assert [(row["path"], row["status"]) for row in read_rows(done.stdout)] == [("*.jpg", "missing")]


def test_a_file_is_itself_whatever_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("what?.jpg", "whatX.jpg", "a[1].jpg", "a1.jpg"):
        Path(name).touch()
    assert expand_pattern("what?.jpg") == ["what?.jpg"]
    assert expand_pattern("a[2].jpg") == ["a[2].jpg"]
    assert expand_pattern("*t?.jpg") == ["what?.jpg", "whatX.jpg"]


# ---- commands ----


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        (["photos"], "iqa score photos"),
        (["a photo.jpg", "--csv", "x"], "iqa score 'a photo.jpg' --csv x"),
        (["no/such/folder"], "iqa score no/such/folder"),
        (["*.jpg"], "iqa score '*.jpg'"),
        (["-"], "iqa score -"),
    ],
)
def test_photos_in_the_place_of_a_command_are_understood(iqa_process: Run, tmp_path: Path, args: list[str], meant: str) -> None:
    (tmp_path / "photos").mkdir()
    done = iqa_process(*args, cwd=tmp_path, env=environment(COLUMNS="200", TERMINAL_WIDTH="200"))
    assert done.returncode == 2
    assert f"Did you mean: {meant}" in done.stderr.decode()


def test_a_misspelt_command_is_none_of_photos(iqa: Run, tmp_path: Path) -> None:
    done = iqa("scor", "photos", cwd=tmp_path)
    assert done.returncode == 2
    assert b"'score'" in done.stderr
    assert b"iqa score" not in done.stderr


# ---- the cache ----


def test_clearing_the_cache_says_what_went(iqa: Run, model: Path, photos: Path, cache: Path) -> None:
    iqa("score", photos, "--model", model)
    done = iqa("cache", "clear")
    assert re.fullmatch(rf"removed 12 scores \(\d+\.\d MB\) from {cache}/scores-1\.sqlite\n", done.stdout.decode())
    assert read_rows(iqa("cache", "info").stdout)[0]["scores"] == "0"


def test_clearing_no_cache_says_so(iqa: Run, cache: Path) -> None:
    assert iqa("cache", "clear").stdout.decode() == f"there was nothing to remove in {cache}/scores-1.sqlite\n"


def test_clearing_a_damaged_cache_says_so(iqa: Run, cache: Path) -> None:
    (cache / "scores-1.sqlite").write_bytes(b"no database" * 1000)
    assert iqa("cache", "clear").stdout.startswith(b"removed a damaged cache (0.0 MB) from ")


# ---- the help ----


@pytest.mark.skipif(not all(map(shutil.which, ("awk", "sort", "bash"))), reason="needs awk and sort")
def test_the_example_of_the_help_sorts_right(model: Path, tmp_path: Path) -> None:
    (example,) = re.findall(r"\$ iqa score \. (.*sort.*)", cli_score.score.__doc__ or "")
    for seed, name in enumerate(("a,b.jpg", "c d.jpg", 'e"f.jpg', "g.jpg", "9,ok,1.jpg")):
        write_photo(tmp_path / name, seed)
    (tmp_path / "0 cut.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "empty.jpg").touch()
    command = f"{sys.executable} -m iqa_cli score . --model {model} {example}"
    done = subprocess.run(["bash", "-c", command], check=True, capture_output=True, env=environment(), cwd=tmp_path)
    lines = done.stdout.decode().splitlines()
    scores = [float(line.split()[0]) for line in lines]
    assert len(scores) == 5
    assert scores == sorted(scores)
    assert len(set(scores)) == 5


def test_help_tells_how_undecodable_names_come(iqa_process: Run) -> None:
    done = iqa_process("score", "--help", env=environment(COLUMNS="200", TERMINAL_WIDTH="200"))
    text = " ".join(done.stdout.decode().split())
    assert "path_base64" in text
    assert "- is stdout" in text


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of any bytes")
def test_strict_parsers_read_any_name(iqa: Run, model: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg", 1).rename(tmp_path / os.fsdecode(b"a\xff.jpg"))
    (row,) = json.loads(iqa("score", ".", "--model", model, "--json", "-", cwd=tmp_path).stdout.decode("utf-8", "strict"))
    row["path"].encode("utf-8", "strict")
    assert (row["path"], row["path_base64"]) == ("./a\ufffd.jpg", "Li9h/y5qcGc=")
