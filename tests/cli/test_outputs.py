"""No output takes the place of what is the user's: of an input, or of a file that is no earlier output of its kind."""

import json
import os
import shutil
from pathlib import Path

import pytest
from conftest import Run, read_rows


@pytest.fixture
def own(photos: Path, tmp_path: Path) -> Path:
    """Photos that a user would miss."""
    return Path(shutil.copytree(photos, tmp_path / "own"))


def read_all(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_photo_that_a_shell_puts_in_the_place_of_an_output_stays(iqa: Run, model: Path, own: Path) -> None:
    """As `iqa score --csv *.jpg` is expanded."""
    before = read_all(own)
    done = iqa("score", "--model", model, "--csv", *sorted(own.glob("*.jpg")))
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"01.jpg: there is a file that is not CSV of scores of an earlier run" in done.stderr
    assert read_all(own) == before


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json"])
@pytest.mark.parametrize("name", ["01.jpg", "./01.jpg", "../own/01.jpg", "link.jpg", "hard.jpg"])
def test_an_output_is_no_input_by_whatever_name(iqa: Run, model: Path, own: Path, kind: str, name: str) -> None:
    (own / "link.jpg").symlink_to("01.jpg")
    os.link(own / "01.jpg", own / "hard.jpg")
    before = read_all(own)
    done = iqa("score", "01.jpg", "--model", model, f"--{kind}", name, cwd=own)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert read_all(own) == before


def test_a_list_and_the_model_are_inputs(iqa: Run, model: Path, own: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text(f"{own}/01.jpg\n")
    done = iqa("score", "--files-from", listed, "--model", model, "--csv", listed)
    assert (done.returncode, listed.read_text()) == (2, f"{own}/01.jpg\n")
    card = model.read_bytes()
    assert iqa("score", own, "--model", model, "--json", model).returncode == 2
    assert model.read_bytes() == card


def test_two_outputs_of_one_name_are_refused(iqa: Run, model: Path, own: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = iqa("score", own, "--model", model, "--csv", out, "--jsonl", tmp_path / "." / "out")
    assert (done.returncode, out.exists()) == (2, False)


def test_labels_are_not_replaced_by_an_evaluation(iqa: Run, model: Path, own: Path) -> None:
    labels = own / "own.csv"
    labels.write_text("image,score\n" + "".join(f"{path.name},{n}\n" for n, path in enumerate(sorted(own.glob("*.jpg")))))
    before = read_all(own)
    done = iqa("evaluate", "-d", "csv", "--labels", labels, "--data-root", own, "-m", model, "--csv", labels)
    assert done.returncode == 2
    assert b"own.csv" in done.stderr
    assert read_all(own) == before


def test_an_earlier_output_and_an_empty_file_are_replaced_and_force_replaces_anything(
    iqa: Run, model: Path, own: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    out.touch()
    for _ in range(2):
        assert iqa("score", own, "--model", model, "--csv", out).returncode == 0
        assert len(read_rows(out.read_bytes())) == 12
    out.write_text("my own notes")
    assert iqa("score", own, "--model", model, "--csv", out).returncode == 2
    assert out.read_text() == "my own notes"
    assert iqa("score", own, "--model", model, "--csv", out, "--force").returncode == 0
    assert len(read_rows(out.read_bytes())) == 12


# ---- pipes ----


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json"])
def test_a_dash_is_stdout_and_no_file(iqa: Run, model: Path, own: Path, tmp_path: Path, kind: str) -> None:
    done = iqa("score", own, "--model", model, f"--{kind}", "-", cwd=tmp_path)
    assert done.returncode == 0
    assert not (tmp_path / "-").exists()
    if kind == "csv":
        rows = read_rows(done.stdout)
    else:
        rows = json.loads(done.stdout) if kind == "json" else [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["ok"] * 12


def test_two_outputs_to_stdout_are_refused(iqa: Run, model: Path, own: Path) -> None:
    assert iqa("score", own, "--model", model, "--csv", "-", "--json", "-").returncode == 2
    for other in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        for options in (("--csv", "-", "--jsonl", other), ("--csv", other, "--html", "-"), ("--html", other, "--json", "-")):
            done = iqa("score", own, "--model", model, *options)
            assert (done.returncode, done.stdout) == (2, b"")
            assert b"only one of the outputs can be stdout" in done.stderr


@pytest.mark.parametrize("kind", ["csv", "jsonl", "html", "parquet"])
def test_a_link_in_a_circle_is_an_output_that_cannot_be_written(
    iqa: Run, model: Path, own: Path, tmp_path: Path, kind: str
) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="needs the [parquet] extra")
    (tmp_path / "circle").symlink_to("circle")
    done = iqa("score", own, "--model", model, f"--{kind}", tmp_path / "circle")
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1].endswith(b"circle: cannot write the results: Too many levels of symbolic links")
    assert (tmp_path / "circle").is_symlink()


def test_an_output_that_may_only_be_read_is_said_before_anything_is_scored(
    iqa: Run, model: Path, own: Path, tmp_path: Path
) -> None:
    table = tmp_path / "scores.csv"
    assert iqa("score", own, "--model", model, "--csv", table).returncode == 0
    before = table.read_bytes()
    table.chmod(0o444)
    done = iqa("score", own, "--model", model, "--csv", table, "--jsonl", tmp_path / "scores.jsonl", "--force")
    assert done.returncode == 4
    assert b"scores.csv: cannot write the results: it may only be read: make it writable, or name another file" in done.stderr
    assert (table.read_bytes(), (tmp_path / "scores.jsonl").exists()) == (before, False)


def test_without_a_header(iqa: Run, model: Path, own: Path) -> None:
    plain = iqa("score", own, "--model", model).stdout.splitlines()
    assert iqa("score", own, "--model", model, "--no-header").stdout.splitlines() == plain[1:]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_records_are_appended_to_what_is_there(iqa: Run, model: Path, own: Path, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    for name in ("01.jpg", "02.jpg"):
        assert iqa("score", own / name, "--model", model, f"--{kind}", out, "--append").returncode == 0
    rows = read_rows(out.read_bytes()) if kind == "csv" else [json.loads(line) for line in out.read_text().splitlines()]
    assert [Path(row["path"]).name for row in rows] == ["01.jpg", "02.jpg"]


def test_nothing_is_appended_to_other_columns(iqa: Run, model: Path, own: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("a,b\n1,2\n")
    assert iqa("score", own, "--model", model, "--csv", out, "--append").returncode == 2
    assert out.read_text() == "a,b\n1,2\n"


def test_a_pattern_that_no_shell_expanded_is_expanded_or_explained(iqa: Run, model: Path, own: Path) -> None:
    done = iqa("score", "*.jpg", "--model", model, "--no-header", cwd=own)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == len([*own.glob("*.jpg")]) > 5
    gone = iqa("score", "*.xyz", "--model", model, cwd=own)
    assert gone.returncode == 1
    assert b"*.xyz" in gone.stderr


def test_who_names_photos_where_a_command_is_wanted_is_told(iqa: Run, own: Path) -> None:
    done = iqa("photos.jpg", cwd=own)
    assert done.returncode == 2
    text = " ".join(done.stderr.decode().replace("│", " ").split())
    assert "iqa score photos.jpg" in text


def test_clearing_the_cache_says_what_was_removed(iqa: Run, model: Path, own: Path, tmp_path: Path) -> None:
    env = {**os.environ, "IQA_CACHE": str(tmp_path / "cache")}
    assert iqa("score", own, "--model", model, env=env).returncode == 0
    said = iqa("cache", "clear", env=env)
    assert b"12 scores" in said.stdout + said.stderr
