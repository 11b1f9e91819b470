"""Decoding workers for tests, each a fork of one that has loaded its libraries: a tenth of the time that a new one takes.

Most of what a command on a few small pictures costs is the start of Python, NumPy and Pillow in its decoders. A fork is as much
a process of its own: it has its own memory, limits and end, and is told as much as a new one of the folder and the environment.
Tests that are marked `process` have workers that are really started.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO, NoReturn

from iqa_cli.scoring import decode_protocol

PROGRAM = "import sys; sys.path[:] = sys.argv[2:]; from forked import serve_forks; serve_forks(int(sys.argv[1]))"
MOST = 1 << 18  # bytes of a request: the environment
NUMBER = 8  # bytes of a process's number or status
really_start = decode_protocol.start_process


class ForkedWorker:
    """What a `subprocess.Popen` is for a decoding worker: a process that is a fork of a fork of another one.

    told: where first its number is read, and at its end its status.
    """

    def __init__(self, told: int, stderr: BinaryIO) -> None:
        self.told = told
        self.stderr = stderr
        self.pid = self._read_number()
        self.returncode: int | None = None

    def _read_number(self) -> int:
        data = os.read(self.told, NUMBER)
        assert len(data) == NUMBER, "the process that forks workers is gone"
        return int.from_bytes(data, "big", signed=True)

    def poll(self) -> int | None:
        """How it ended: its exit code, or less than 0 the signal; None while it runs."""
        return self._look(0)

    def _look(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self.told], [], [], seconds)[0]:
            self.returncode = self._read_number()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("a forked worker", timeout or 0)
        return code

    def kill(self) -> None:
        """End it, now."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, signal.SIGKILL)

    def __del__(self) -> None:
        os.close(self.told)


class Forks:
    """The process that forks workers, started with the first of them."""

    def __init__(self) -> None:
        self.starting = Lock()
        self.server: tuple[subprocess.Popen[bytes], socket.socket] | None = None

    def start(self, channel: socket.socket, program: str) -> subprocess.Popen[bytes] | ForkedWorker:
        """Start a worker, as `decode_protocol.start_process` does. Programs other than its are really started."""
        if program != decode_protocol.WORKER_PROGRAM:
            return really_start(channel, program)
        with self.starting:
            self.server = self.server or open_server()
        told, telling = os.pipe()
        complaints, complaining = os.pipe()
        here = os.open(".", os.O_RDONLY)
        try:
            request = json.dumps(dict(os.environ)).encode("ascii")
            socket.send_fds(self.server[1], [request], [channel.fileno(), telling, complaining, here])
        finally:
            for number in (telling, complaining, here):
                os.close(number)
        return ForkedWorker(told, os.fdopen(complaints, "rb"))

    def close(self) -> None:
        """End the process that forks, not its forks."""
        if self.server is not None:
            process, channel = self.server
            channel.close()
            process.wait()


def open_server() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start the process that forks workers; it, and the channel to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MOST)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", PROGRAM, str(theirs.fileno()), str(Path(__file__).parent), *sys.path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, **decode_protocol.SINGLE_THREADED, **decode_protocol.KEEP_FREED_MEMORY},
            pass_fds=(theirs.fileno(),),
            process_group=0,
        )
    return process, ours


# ---- in the process that forks ----


def serve_forks(number: int) -> None:
    """Fork a worker for each request on the socket of that number, until its other end is closed."""
    from iqa_cli.detail import take  # noqa: F401  which a worker loads only when it is asked for patches, as the next
    from iqa_cli.explain import measure  # noqa: F401
    from iqa_cli.scoring import decode_worker

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests = socket.socket(fileno=number)
    while True:
        data, numbers, _, _ = socket.recv_fds(requests, MOST, 4)
        if not data:
            return
        if os.fork() == 0:
            requests.close()
            watch_worker(json.loads(data), decode_worker.serve, *numbers)
        for each in numbers:
            os.close(each)
        reap()


def reap() -> None:
    """Let those go that have watched a worker to its end."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def watch_worker(
    environment: Mapping[str, str], serve: Callable[[str], None], channel: int, telling: int, complaining: int, here: int
) -> NoReturn:
    """Fork a worker, tell its number, and at its end its status. Never returns."""
    worker = os.fork()
    if worker == 0:
        code = 1
        try:
            os.close(telling)
            os.setpgid(0, 0)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.dup2(complaining, 2)
            os.fchdir(here)
            for number in (complaining, here):
                os.close(number)
            os.environ.clear()
            os.environ.update(environment)
            serve(str(channel))
            code = 0
        except BaseException:  # which ends it as it would a program
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    for number in (channel, complaining, here):
        os.close(number)
    try:
        os.write(telling, worker.to_bytes(NUMBER, "big", signed=True))
        code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
        os.write(telling, code.to_bytes(NUMBER, "big", signed=True))
    finally:
        os._exit(0)
