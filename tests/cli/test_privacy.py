"""Nothing is ever sent, and nothing but our own cache is written to the user's home."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from in_process import environment

pytestmark = pytest.mark.process

ONCE_SWITCHED_OFF = ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY")
KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "OMP_NUM_THREADS")  # not CI, which libraries hush at


def live_in(home: Path) -> dict[str, str]:
    """The environment of somebody whose home is this folder, at a desk rather than in a CI."""
    return {name: value for name, value in environment().items() if name in KEPT} | {"HOME": str(home)}


def list_files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a cache lies in another place")
@pytest.mark.parametrize(
    ("command", "ours"),
    [(("score", "photos"), {".cache/iqa/scores-1.sqlite"}), (("score", "--no-cache", "photos"), set()), (("models",), set())],
)
def test_a_run_leaves_nothing_but_our_cache_in_an_empty_home(
    tmp_path: Path, model: Path, photos: Path, command: tuple[str, ...], ours: set[str]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    said = [str(photos) if word == "photos" else word for word in command]
    chosen = ["--model", str(model)] if "score" in command else []
    start = [sys.executable, "-m", "iqa_cli"]
    subprocess.run([*start, *said, *chosen], check=True, capture_output=True, env=live_in(home), cwd=tmp_path, timeout=120)
    assert list_files(home) == ours


def test_scoring_from_python_leaves_nothing_at_all(tmp_path: Path, model: Path, photos: Path) -> None:
    code = f"import iqa_cli; list(iqa_cli.score_images([{str(photos)!r}], iqa_cli.ScoreOptions({str(model)!r})))"
    subprocess.run([sys.executable, "-c", code], check=True, env=live_in(tmp_path), cwd=tmp_path, timeout=120)
    assert list_files(tmp_path) == set()


@pytest.mark.parametrize(
    "module", ["iqa_cli", "iqa_cli.cli.app", "iqa_cli.scoring.decode_worker", "iqa_cli.training", "iqa_cli.models.onnx_backend"]
)
@pytest.mark.parametrize("before", [{}, dict.fromkeys(ONCE_SWITCHED_OFF, "0")])
def test_every_process_and_its_children_have_telemetry_switched_off(module: str, before: dict[str, str]) -> None:
    code = f"import os, subprocess, sys, {module}; sys.exit(subprocess.run(['env']).returncode)"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={**environment(), **before}
    )
    assert {f"{name}=1" for name in ONCE_SWITCHED_OFF} <= set(done.stdout.splitlines())


def can_trace() -> bool:
    """Whether system calls can be watched here."""
    strace = shutil.which("strace")
    return strace is not None and subprocess.run([strace, "-f", "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not can_trace(), reason="needs strace, and the right to use it")
def test_no_name_is_looked_up_in_a_run_of_fifteen_seconds(tmp_path: Path, model: Path, photos: Path) -> None:
    watch = ["strace", "-f", "-e", "trace=socket,socketpair,connect,sendto,sendmsg,sendmmsg", "-o", str(tmp_path / "calls")]
    command = [*watch, sys.executable, "-m", "iqa_cli", "score", "-", "--model", str(model)]
    (tmp_path / "home").mkdir()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=live_in(tmp_path / "home")) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(os.fsencode(photos / "01.jpg") + b"\n")
        process.stdin.flush()
        time.sleep(15)
        process.stdin.close()
        assert b",ok," in process.stdout.read()
    assert process.returncode == 0
    calls = (tmp_path / "calls").read_text()
    assert "socketpair(AF_UNIX" in calls, "what was watched was nothing"
    assert "AF_INET" not in calls
    assert "nscd" not in calls
