"""Run the command line in this process: what a child process would do, without the seconds that starting one takes.

Only the command is the real one; streams are files, and folder, environment and arguments are swapped while it runs. What is
about processes (signals, terminals, closed streams, limits) is tested with real ones: see the fixture `iqa_process`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from typing import TextIO
from unittest import mock

from iqa_cli.cli import app, interrupts

STREAMS = ("stdin", "stdout", "stderr")


def run_here(
    *args: str | bytes | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes = b"",  # noqa: A002  as `subprocess.run` calls it
) -> subprocess.CompletedProcess[bytes]:
    """Run a command as `subprocess.run` would: arguments, folder, environment, and the bytes on stdin."""
    words = ["iqa", *map(os.fsdecode, args)]
    code: object = 0
    with ExitStack() as stack:
        written = stack.enter_context(swapped_streams(input))
        stack.enter_context(mock.patch.dict(os.environ, os.environ if env is None else env, clear=True))
        stack.enter_context(mock.patch.object(sys, "argv", words))
        stack.enter_context(mock.patch.object(interrupts, "received", []))
        if cwd is not None:
            stack.enter_context(chdir(cwd))
        try:
            app.main()
        except SystemExit as ended:
            code = ended.code
    assert code is None or isinstance(code, int), code
    return subprocess.CompletedProcess(words, code or 0, *written)


@contextmanager
def swapped_streams(data: bytes) -> Iterator[list[bytes]]:
    """Files as the three standard streams, `data` on stdin; gives what is on stdout and stderr once the block has ended."""
    written: list[bytes] = []
    objects = [getattr(sys, name) for name in STREAMS]
    with ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in STREAMS]
        files[0].write(data)
        files[0].seek(0)
        before = [os.dup(number) for number in range(3)]
        try:
            for number, name in enumerate(STREAMS):
                os.dup2(files[number].fileno(), number)
                setattr(sys, name, open_stream(number))
            yield written
        finally:
            for number, name in enumerate(STREAMS):
                if number:
                    getattr(sys, name).flush()
                setattr(sys, name, objects[number])
                os.dup2(before[number], number)
                os.close(before[number])
        for file in files[1:]:
            file.seek(0)
            written.append(file.read())


def open_stream(number: int) -> TextIO:
    """A standard stream as Python opens it in a UTF-8 locale."""
    errors = "backslashreplace" if number == 2 else "surrogateescape"
    return open(number, "w" if number else "r", encoding="utf-8", errors=errors, closefd=False)
