"""Where the home folder cannot be found, or the current one is gone, a command does without it or says so in one line."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run, read_rows
from in_process import environment

NOWHERE = "~no-such-user/iqa"


@pytest.mark.parametrize("options", [[], ["--cache"]])
def test_images_are_scored_without_a_cache_and_it_is_said(iqa: Run, model: Path, photos: Path, options: list[str]) -> None:
    done = iqa("score", photos, "--model", model, *options, env=environment(IQA_CACHE=NOWHERE))
    assert (done.returncode, len(read_rows(done.stdout))) == (0, 12)
    (warning,) = done.stderr.decode().splitlines()[1:]
    assert warning.startswith("iqa: warning: the cache cannot be used: IQA_CACHE: no home folder can be found")


@pytest.mark.parametrize(
    ("variable", "command"),
    [
        ("IQA_CACHE", ["cache", "info"]),
        ("IQA_CACHE", ["cache", "clear"]),
        ("IQA_STATE", ["ratings"]),
        ("IQA_STATE", ["score", "--write-xmp"]),
        ("IQA_DATA", ["datasets"]),
        ("IQA_DATA", ["evaluate", "-d", "livec"]),
    ],
)
def test_a_command_about_a_folder_in_the_home_is_one_line(
    iqa: Run, model: Path, photos: Path, variable: str, command: list[str]
) -> None:
    if "--write-xmp" in command:
        pytest.importorskip("lxml", reason="needs the [xmp] extra")
        command = [*command, str(photos), "--model", str(model)]
    done = iqa(*command, env=environment(**{variable: NOWHERE}))
    assert (done.returncode, done.stdout) == (4, b"")
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"iqa: error: {variable}: no home folder can be found")


def test_nor_does_a_number_without_a_user_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from iqa_cli.errors import DataError
    from iqa_cli.scoring.cache import find_folder

    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for variable in ("IQA_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Path, "home", fail)
    with pytest.raises(DataError, match="set IQA_CACHE"):
        find_folder()


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a current folder cannot be removed")
@pytest.mark.parametrize("relative", [True, False])
def test_a_current_folder_that_is_gone_is_one_line(model: Path, photos: Path, tmp_path: Path, relative: bool) -> None:
    out, gone = tmp_path / "x.csv", tmp_path / "gone"
    gone.mkdir()
    name = "x.csv" if relative else str(out)
    command = ["bash", "-c", 'rmdir "$PWD"; exec "$0" "$@"', sys.executable, "-P", "-m", "iqa_cli", "score", photos]
    done = subprocess.run(
        [*command, "--model", model, "--csv", name], check=False, capture_output=True, env=environment(), cwd=gone
    )
    assert b"Traceback" not in done.stderr
    if relative:
        assert done.returncode == 4
        assert done.stderr.startswith(b"iqa: error: the current folder is not there any more")
        assert done.stderr.count(b"\n") == 1
    else:
        assert (done.returncode, len(read_rows(out.read_bytes()))) == (0, 12)
    assert [path.name for path in tmp_path.iterdir()] == ([] if relative else ["x.csv"])
