"""Runs on Ray as processes of their own: started, watched, killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from conftest import wait_until
from in_process import environment

MARK = "IQA_TEST_RUN"  # an environment variable that all processes of a run inherit


class RayRun:
    """A command under way. log: the file of its stderr."""

    def __init__(self, arguments: tuple[object, ...], log: Path) -> None:
        self.mark, self.log = uuid4().hex, log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "iqa_cli", *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=environment(**{MARK: self.mark}),
            )

    def wait(self, seconds: float = 300) -> int:
        """The exit code."""
        return self.process.wait(seconds)

    def find_processes(self, name: bytes = b"") -> list[int]:
        """The processes of the run, all that are left, or those whose command line has a name in it."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                marked = f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes()
                if marked and name in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
        return found


@contextmanager
def running(*arguments: object, log: Path) -> Iterator[RayRun]:
    """A command under way; at the end of the block nothing is left of it."""
    run = RayRun(arguments, log)
    try:
        yield run
        wait_until(lambda: not run.find_processes(), 180)  # agents of Ray end a minute after what they serve
    finally:
        for number in run.find_processes():
            with suppress(OSError):
                os.kill(number, 9)
        run.process.wait(60)
