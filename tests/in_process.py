"""Run the command line in this process: what a child process would do, without the time that starting one takes.

The command is the real one; streams, folder, environment and arguments are swapped while it runs. What is about processes
(signals, closed streams, limits) is tested with real ones: see the fixture `iqa_process`.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from typing import TextIO
from unittest import mock

import iqa_cli
from iqa_cli.cli import app, interrupts

STREAMS = ("stdin", "stdout", "stderr")


def environment(**changes: str) -> dict[str, str]:
    """This process's environment with some variables changed; in it, this very package is found from any folder."""
    package = str(Path(iqa_cli.__file__).parent.parent)
    plain = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "NO_COLOR", "COLUMNS")}
    return {**plain, "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")])), **changes}


def run_here(
    *args: str | bytes | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes = b"",  # noqa: A002  as `subprocess.run` calls it
) -> subprocess.CompletedProcess[bytes]:
    """Run a command as `subprocess.run` would: arguments, folder, environment, and the bytes on stdin."""
    with ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in STREAMS]
        files[0].write(input)
        files[0].seek(0)
        with swapped_streams([file.fileno() for file in files]), chdir(cwd or "."):
            code = run_main(args, environment() if env is None else env)
        for file in files:
            file.seek(0)
        return subprocess.CompletedProcess(args, code, files[1].read(), files[2].read())


def run_at_terminal(*args: str | Path, columns: int = 100) -> tuple[int, str]:
    """Run a command at a terminal of its own: exit code, and what the terminal showed."""
    ours, theirs = pty.openpty()
    shown = bytearray()
    reader = threading.Thread(target=read_terminal, args=(ours, shown))
    reader.start()
    try:
        with swapped_streams([theirs] * 3):
            code = run_main(args, environment(COLUMNS=str(columns), TERM="xterm"))
    finally:
        os.close(theirs)
        reader.join()
        os.close(ours)
    return code, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


def read_terminal(number: int, shown: bytearray) -> None:
    """Read what a terminal shows until its other end is closed, which Linux says by an error."""
    try:
        while block := os.read(number, 65536):
            shown += block
    except OSError:
        pass


def run_main(args: Sequence[str | bytes | Path], env: Mapping[str, str]) -> int:
    """Run a command with these arguments and in this environment; its exit code."""
    code: object = None
    with (
        mock.patch.dict(os.environ, env, clear=True),
        mock.patch.object(sys, "argv", ["iqa", *map(os.fsdecode, args)]),
        mock.patch.object(interrupts, "received", []),
    ):
        try:
            app.main()
        except SystemExit as ended:
            code = ended.code
    assert code is None or isinstance(code, int), code
    return code or 0


@contextmanager
def swapped_streams(numbers: Sequence[int]) -> Iterator[None]:
    """Use these open files as the three standard streams in the block."""
    objects = [getattr(sys, name) for name in STREAMS]
    before = [os.dup(number) for number in range(3)]
    try:
        for number, name in enumerate(STREAMS):
            os.dup2(numbers[number], number)
            setattr(sys, name, open_stream(number))
        yield
    finally:
        for number, name in enumerate(STREAMS):
            if number:
                getattr(sys, name).flush()
            setattr(sys, name, objects[number])
            os.dup2(before[number], number)
            os.close(before[number])


def open_stream(number: int) -> TextIO:
    """A standard stream as Python opens it in a UTF-8 locale."""
    errors = "backslashreplace" if number == 2 else "surrogateescape"
    return open(number, "w" if number else "r", encoding="utf-8", errors=errors, closefd=False)
