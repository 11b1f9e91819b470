"""A standard stream that the caller has closed counts as the null device; a signal ends a run in its exit code, always."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import environment

pytestmark = pytest.mark.skipif(os.name != "posix", reason="closes numbers of files, and sends signals")


def start(closed: str, *args: object) -> subprocess.CompletedProcess[bytes]:
    """The command line with streams closed as a shell does it."""
    command = f'exec "$0" -m iqa_cli "$@" {closed}'
    return subprocess.run(
        ["sh", "-c", command, sys.executable, *map(str, args)],
        check=False, capture_output=True, env=environment(), stdin=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip


def test_without_stdin_a_list_is_empty(model: Path) -> None:
    done = start("<&-", "score", "-", "--model", model)
    assert done.returncode == 4
    assert done.stderr.startswith(b"iqa: error: no images found")


def test_without_stdout_files_are_written_all_the_same(model: Path, photos: Path, tmp_path: Path) -> None:
    done = start(">&-", "score", photos, "--model", model, "--csv", tmp_path / "out.csv")
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    assert (tmp_path / "out.csv").read_bytes().count(b",ok,") == 12
    assert start(">&-", "score", photos, "--model", model).returncode == 0
    assert start(">&-", "models").returncode == 0


def test_without_stderr_the_exit_code_stays(model: Path, photos: Path) -> None:
    done = start("2>&-", "score", photos, "--model", model)
    assert (done.returncode, done.stdout.count(b",ok,")) == (0, 12)
    assert start("2>&-", "score", photos, "--model", "no-such-model").returncode == 3
    assert start("<&- >&- 2>&-", "score", photos, "--model", model).returncode == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("after", [0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5])
def test_a_signal_at_any_time_of_the_start_ends_without_a_traceback(
    model: Path, photos: Path, number: signal.Signals, code: int, after: float
) -> None:
    command = [sys.executable, "-m", "iqa_cli", "score", "-", "--model", str(model)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdin is not None
        process.stdin.write(os.fsencode(photos / "01.jpg") + b"\n")
        process.stdin.flush()  # and it waits for more
        time.sleep(after)
        process.send_signal(number)
        process.wait(60)
        assert process.stderr is not None
        said = process.stderr.read()
    if b"iqa_cli" not in said and process.returncode not in (code, 1):  # Python itself had not come to our first line
        assert process.returncode == -number
    elif b"Traceback" in said:
        assert b"iqa_cli" not in said, said.decode()
    else:
        assert process.returncode == code
