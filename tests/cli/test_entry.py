"""The first and the last moments of a process: signals while libraries are loaded, standard streams that are closed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import read_rows, wait_until
from in_process import environment

from iqa_cli.cli import interrupts

pytestmark = [pytest.mark.process, pytest.mark.skipif(os.name != "posix", reason="needs signals and streams of POSIX")]
LONG = 300  # seconds; nobody waits for them unless something hangs

SLOW = """
import pathlib, time
pathlib.Path({marker!r}).touch()
for _ in range(12_000):  # two minutes: the process that decodes loads it, too, and nobody else ends that
    time.sleep(0.01)
"""
SWALLOWING = """
import pathlib, time
pathlib.Path({marker!r}).touch()
try:
    time.sleep(120)
except BaseException as error:
    raise ImportError("something else") from error
"""
STARTED = """
import os
from iqa_cli.cli.entry import main
os.write(1, b".")  # what comes before this Python itself may report, or swallow
main()
"""
INTERRUPTED = """
import os, runpy, signal, sys
class Late:
    def __del__(self):  # where Python reports an exception and goes on, as in the callbacks of its imports
        os.kill(os.getpid(), signal.SIGINT)
class Finder:
    @staticmethod
    def find_spec(name, *_):
        if name == {name!r}:
            {what}
sys.meta_path.insert(0, Finder)
"""
RAISED, SWALLOWED = "os.kill(os.getpid(), signal.SIGINT)", "Late()"
WAYS = {
    "module": 'runpy.run_module("iqa_cli", run_name="__main__", alter_sys=True)\n',
    "script": "from iqa_cli.__main__ import main\nmain()\n",  # what pip writes
}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("library", ["typer", "rich", "numpy", "onnxruntime"])
@pytest.mark.parametrize("program", [SLOW, SWALLOWING], ids=["slow", "swallowing"])
def test_a_signal_while_a_library_is_loaded_ends_it_without_a_word(
    model: Path, photos: Path, tmp_path: Path, library: str, program: str, number: signal.Signals, code: int
) -> None:
    marker, out = tmp_path / "loading", tmp_path / "out.csv"
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    (libraries / f"{library}.py").write_text(program.format(marker=str(marker)))
    env = environment()
    env["PYTHONPATH"] = f"{libraries}{os.pathsep}{env['PYTHONPATH']}"
    command = [sys.executable, "-m", "iqa_cli", "score", photos, "--model", model, "--csv", out]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    wait_until(lambda: marker.exists() or process.poll() is not None)
    process.send_signal(number)
    said = process.communicate(timeout=LONG)
    assert (process.returncode, *said) == (code, b"", b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["libraries", "loading"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("after", [0, 0.001, 0.002, 0.005, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5])
def test_a_signal_at_any_time_of_the_start_ends_without_a_traceback(
    model: Path, photos: Path, number: signal.Signals, code: int, after: float
) -> None:
    command = [sys.executable, "-c", STARTED, "score", "-", "--model", str(model)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(os.fsencode(photos / "01.jpg") + b"\n")
        process.stdin.flush()  # and it waits for more
        assert process.stdout.read(1) == b"."
        time.sleep(after)
        process.send_signal(number)
        process.wait(60)
        said = process.stderr.read()
    if process.returncode == -number:  # it had not come to `main`
        assert b"iqa_cli" not in said, said.decode()
    else:
        assert (process.returncode, b"Traceback" in said) == (code, False), said.decode()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", [RAISED, SWALLOWED], ids=["raised", "swallowed"])
@pytest.mark.parametrize("name", ["iqa_cli.cli", "iqa_cli.cli.entry", "iqa_cli.cli.interrupts", "iqa_cli.cli.app"])
def test_an_interrupt_while_our_first_modules_are_found_ends_without_a_word(name: str, what: str, way: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED.format(name=name, what=what) + WAYS[way], "--version"]
    done = subprocess.run(command, check=False, capture_output=True, env=environment())
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_an_ignored_signal_stays_ignored(name: str) -> None:
    """As under nohup, and behind & in a script."""
    code = (
        f"import os, signal; signal.signal(signal.{name}, signal.SIG_IGN)\n"
        "from iqa_cli.cli import interrupts; interrupts.end_at_once()\n"
        f"with interrupts.raised(): os.kill(os.getpid(), signal.{name})\n"
        f"os.kill(os.getpid(), signal.{name}); print('alive')"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=environment())
    assert done.stdout == b"alive\n"


@pytest.mark.parametrize("seconds", [0, 0.1])
def test_an_interrupt_in_a_finalizer_is_not_lost(seconds: float) -> None:
    """Even where starting the thread that sends it again takes long."""
    code = (
        f"import threading, time\nstart = threading.Thread.start\n"
        f"threading.Thread.start = lambda thread: (start(thread), time.sleep({seconds}))\n"
        "import os, signal, time\nfrom iqa_cli.cli import interrupts\n"
        "class Late:\n    def __del__(self): os.kill(os.getpid(), signal.SIGINT)\n"
        "with interrupts.raised():\n    late = Late()\n    del late\n    time.sleep(300)\n    print('swallowed')"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, env=environment())
    assert done.stdout == b""
    assert b"Exception ignored" not in done.stderr
    assert done.stderr.rstrip().endswith(b"KeyboardInterrupt")


def test_handlers_are_as_before_behind_the_block() -> None:
    before = [signal.getsignal(number) for number in interrupts.SIGNALS]
    with pytest.raises(KeyboardInterrupt), interrupts.raised():
        signal.raise_signal(signal.SIGINT)
    assert interrupts.received.pop() == signal.SIGINT
    with pytest.raises(SystemExit) as caught, interrupts.raised():
        signal.raise_signal(signal.SIGTERM)
    assert interrupts.received.pop() == signal.SIGTERM
    assert caught.value.code == 143
    assert [signal.getsignal(number) for number in interrupts.SIGNALS] == before


@pytest.mark.skipif(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, reason="the suite runs under nohup")
def test_a_terminal_that_goes_away_ends_a_command_as_any_signal_does() -> None:
    with pytest.raises(SystemExit) as caught, interrupts.raised():
        signal.raise_signal(signal.SIGHUP)
    assert interrupts.received.pop() == signal.SIGHUP
    assert caught.value.code == 129


# ---- streams ----


def run_closed(closing: str, *args: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run the command line from a shell that closes some of its streams."""
    command = ["bash", "-c", f'exec "$0" -m iqa_cli "$@" {closing}', sys.executable, *args]
    return subprocess.run(
        command, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=LONG, env=environment(), cwd=cwd
    )


def test_a_closed_stdin_is_an_empty_list(model: Path) -> None:
    done = run_closed("<&-", "score", "-", "--model", model)
    assert (done.returncode, done.stdout) == (4, b"")
    assert done.stderr == b"iqa: error: no images found; there is nothing at all\n"


def test_a_closed_stdout_is_the_null_device(model: Path, photos: Path) -> None:
    done = run_closed(">&-", "score", photos, "--model", model)
    assert done.returncode == 0
    assert done.stderr.startswith(b"scored 12 of 12 images in ")
    assert done.stderr.count(b"\n") == 1


def test_a_closed_stderr_is_the_null_device(model: Path, photos: Path) -> None:
    done = run_closed("2>&-", "score", photos, "--model", model)
    assert (done.returncode, len(read_rows(done.stdout))) == (0, 12)
    assert run_closed("2>&-", "score", photos, "--model", "no-such-model").returncode == 3


@pytest.mark.parametrize("closing", ["<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_files_are_written_with_any_streams_closed(model: Path, photos: Path, tmp_path: Path, closing: str) -> None:
    done = run_closed(closing, "score", photos, "--model", model, "--csv", tmp_path / "out.csv")
    assert done.returncode == 0
    rows = read_rows((tmp_path / "out.csv").read_bytes())
    assert [row["status"] for row in rows] == ["ok"] * 12
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["models"], ["cache", "info"], ["datasets"], ["no-such-command"]])
@pytest.mark.parametrize("closing", [">&-", "<&- >&- 2>&-"])
def test_every_command_bears_closed_streams(args: list[str], closing: str) -> None:
    done = run_closed(closing, *args)
    assert done.returncode == (2 if args == ["no-such-command"] else 0)
    assert b"Traceback" not in done.stderr


def test_where_there_are_no_such_locks_a_line_says_so() -> None:
    code = "import os, pathlib, tempfile; from iqa_cli.cli import entry; os.name = 'nt'; entry.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "iqa: error: iqa runs on Linux and macOS; on Windows, install it in WSL\n"
