"""Launch: a decoding process on its way, before anybody knows what it will have to do. `process` holds the conversation.

Little is imported here: so one process can load the libraries that decode while the other loads those that run the network.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from iqa_cli.errors import DataError

START = "import sys; sys.path[:] = sys.argv[2:]; from iqa_cli.scoring.decode_worker import serve; serve(sys.argv[1])"
ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}  # it has one thread, and needs no more
KEPT = {"MALLOC_TRIM_THRESHOLD_": "268435456", "MALLOC_MMAP_THRESHOLD_": "33554432"}
"""glibc gives freed pictures back to the system, which then clears their pages for the next one; this much it may keep."""


@dataclass(frozen=True)
class Launched:
    """A process, and this end of the channel to it."""

    process: subprocess.Popen[bytes]
    channel: socket.socket

    def close(self) -> None:
        """End the process, now. One that the system does not let go, such as over a dead network share, is not waited for."""
        self.channel.close()
        self.process.kill()
        if self.process.stderr:
            self.process.stderr.close()
        try:
            self.process.wait(1)
        except subprocess.TimeoutExpired:
            Thread(target=self.process.wait, daemon=True).start()  # or else it would stay in the system's list for ever


def launch(program: str = START) -> Launched:
    """A process that runs a Python program, which finds this very package. Raises DataError where it cannot be started."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            return Launched(start_process(theirs, program), ours)
        except OSError as error:
            ours.close()
            raise DataError(f"cannot start a process for decoding: {error.strerror}") from error


def start_process(channel: socket.socket, program: str) -> subprocess.Popen[bytes]:
    """A process with its end of the channel. Raises OSError."""
    places = [*sys.path, str(Path(__file__).parents[2])]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", program, str(channel.fileno()), *places],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **ALONE, **KEPT},
        pass_fds=(channel.fileno(),),
        process_group=0,  # Ctrl-C is meant for this process, which then ends those
    )
