"""What may be an image, and could not be looked at: the exit code says so, and so does stderr, however silent the run is."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run, read_rows
from in_process import environment
from unseen import UNPRIVILEGED, make_unreadable, may_be_refused

WARNING = b"iqa: warning: 1 folder that cannot be read: there may be images that have no score\n"


@pytest.fixture
def folder(photos: Path, tmp_path: Path) -> Path:
    """A folder of photos, and of what nobody can look into."""
    shutil.copytree(photos, tmp_path / "set")
    return make_unreadable(tmp_path / "set")


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text("schema_version = 1\n[score]\nfail_under = 0\n")
    return path


@pytest.mark.parametrize(
    "options", [(), ("--fail-under", "0"), ("--fail-under", "100"), ("--format", "json"), ("--sort", "score")]
)
def test_scores_are_not_all_there(iqa: Run, model: Path, folder: Path, options: tuple[str, ...]) -> None:
    silent = iqa("score", folder, "-m", model, "-q", *options)
    assert (silent.returncode, silent.stderr) == (1, WARNING)
    assert len(json.loads(silent.stdout) if "json" in options else read_rows(silent.stdout)) == 12
    told = iqa("score", folder, "-m", model, *options)
    assert (told.returncode, told.stdout) == (1, silent.stdout)
    assert b"left out: 1 folder that cannot be read\n" in told.stderr
    assert told.stderr.endswith(WARNING)


def test_a_run_in_parts_says_so_again_and_again(iqa: Run, model: Path, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs the [parquet] extra")
    for _ in range(2):
        done = iqa("score", folder, "-m", model, "--output", tmp_path / "out", "-q")
        assert (done.returncode, done.stdout, done.stderr) == (1, b"", WARNING)


def test_picks_are_not_of_all_photos(iqa: Run, model: Path, folder: Path) -> None:
    done = iqa("pick", folder, "-m", model, "--list", "-q")
    assert (done.returncode, done.stderr) == (1, WARNING)
    assert done.stdout.count(b"\n") == len({*done.stdout.splitlines()}) > 0


def test_a_gate_does_not_let_pass_what_it_has_not_seen(iqa: Run, model: Path, folder: Path, policy: Path) -> None:
    (folder / "nowhere.jpg").symlink_to("gone")
    (folder / ".hidden.jpg").touch()
    (folder / "notes.txt").touch()
    told = iqa("gate", folder, "-m", model, "--policy", policy)
    assert told.returncode == 5
    assert {json.loads(line)["band"] for line in told.stdout.splitlines()} == {"pass"}
    assert b"judged 12 photos: 12 pass" in told.stderr
    assert b"left out: 1 hidden, 1 *.txt, 1 broken link, 1 folder that cannot be read\n" in told.stderr
    assert told.stderr.endswith(WARNING)
    silent = iqa("gate", folder, "-m", model, "--policy", policy, "-q")
    assert (silent.returncode, silent.stdout, silent.stderr) == (5, told.stdout, WARNING)


def test_an_explanation_says_what_it_has_not_seen(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    shutil.copy(photos / "01.jpg", tmp_path / "set")
    done = iqa("explain", make_unreadable(tmp_path / "set"), "-m", model)
    assert (done.returncode, done.stderr) == (1, WARNING)
    assert b"01.jpg" in done.stdout
    (tmp_path / "set" / "01.jpg").unlink()
    (tmp_path / "set" / "notes.txt").touch()
    nothing = iqa("explain", tmp_path / "set", "-m", model)
    assert nothing.returncode == 4
    assert nothing.stderr.endswith(b"no photos found there; left out: 1 *.txt, 1 folder that cannot be read\n")


def test_a_gate_says_what_is_left_out_and_passes_the_rest(
    iqa: Run, model: Path, photos: Path, policy: Path, tmp_path: Path
) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / ".hidden.jpg").touch()
    nothing = iqa("gate", tmp_path / "set", "-m", model, "--policy", policy)
    assert nothing.returncode == 4
    assert b"; left out: 1 hidden\n" in nothing.stderr
    shutil.copy(photos / "01.jpg", tmp_path / "set")
    done = iqa("gate", tmp_path / "set", "-m", model, "--policy", policy)
    assert done.returncode == 0
    assert done.stderr.endswith(b"left out: 1 hidden\n")
    assert iqa("gate", tmp_path / "set", "-m", model, "--policy", policy, "-q").stderr == b""


def test_no_policy_is_made_without_some_of_the_photos(
    iqa: Run, model: Path, photos: Path, folder: Path, tmp_path: Path
) -> None:
    done = iqa("gate", "--calibrate", photos, folder, "-m", model, "-o", tmp_path / "new.toml")
    assert done.returncode == 4
    assert f"{folder}: 1 folder that cannot be read: a policy would be made without".encode() in done.stderr
    assert not (tmp_path / "new.toml").exists()


@pytest.mark.process
@pytest.mark.skipif(not may_be_refused(), reason="needs setpriv, where root runs this")
def test_folders_files_and_links_that_the_system_refuses(model: Path, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(photos, folder)
    for name in ("locked/in.jpg", "unknown", "sidecar.bin", "excluded"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(photos / "01.jpg", folder / name)
    (folder / "link.jpg").symlink_to("locked/in.jpg")
    for name in ("locked", "unknown", "sidecar.bin", "excluded"):
        (folder / name).chmod(0)
    score = ["score", str(folder), "-m", str(model), "-q", "--exclude", "excluded"]
    try:
        command = [*UNPRIVILEGED, sys.executable, "-m", "iqa_cli", *score]
        done = subprocess.run(command, capture_output=True, env=environment(), check=False)
    finally:
        (folder / "locked").chmod(0o700)
    assert done.returncode == 1
    assert b"warning: 3 file that cannot be read, 1 folder that cannot be read: there may be" in done.stderr
    assert {row["status"] for row in read_rows(done.stdout)} == {"ok"}
