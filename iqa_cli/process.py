"""Decoder: one decoding process, and the conversation with it. `decoder` is the other end.

What comes from there is checked as foreign bytes are, and never unpickled.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any

import numpy as np

from iqa_cli.crops import Rgb
from iqa_cli.decoder import LENGTH, Work, pack
from iqa_cli.errors import DataError
from iqa_cli.images import Undecodable
from iqa_cli.records import Status

START = "import sys; sys.path[:] = sys.argv[3:]; from iqa_cli.decoder import serve; serve(*sys.argv[1:3])"
SLICE = 0.1  # seconds between two looks at whether the run has been stopped
STARTING = 60.0  # seconds that a process may take to start; a busy machine needs one
LONGEST = 1 << 16  # bytes of an answer before its pixels
ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}  # it has one thread, and needs no more
KEPT = {"MALLOC_TRIM_THRESHOLD_": "268435456", "MALLOC_MMAP_THRESHOLD_": "33554432"}
"""glibc gives freed pictures back to the system, which then clears their pages for the next one; this much it may keep."""


class Stopped(Exception):  # noqa: N818  nothing went wrong
    """The run was stopped while a decoder worked."""


class Died(Exception):  # noqa: N818  `pool` deals with it
    """A decoding process is no more, or says what no sound one would."""


@dataclass(frozen=True)
class Prepared:
    """An image on its way to the network: its crops before they are normalised, uint8 [n, h, w, 3]; its size upright in px."""

    views: Rgb
    width: int
    height: int


class Decoder:
    """One decoding process. program: what it runs, in Python. Raises DataError where it cannot be started."""

    def __init__(self, work: Work, program: str = START) -> None:
        self.work = work
        self.channel, theirs = socket.socketpair()
        with theirs:
            try:
                self.process = start_process(work, theirs, program)
            except OSError as error:
                self.channel.close()
                raise DataError(f"cannot start a process for decoding: {error.strerror}") from error
        self.ready = False
        self.sound = True  # between an answer and the next request; else nobody knows what it is at

    def prepare(self, path: str, stop: Event) -> Prepared:
        """One image.

        Raises Undecodable where it has no crops or took too long, Died where the process did, Stopped where the run was.
        """
        self.sound = False
        if not self.ready:
            self._await_start(stop)
        began = monotonic()
        try:
            self.channel.settimeout(STARTING)
            self.channel.sendall(pack({"path": path}))
            answer = self._read_message(began + self.work.timeout, stop)
        except TimeoutError:
            detail = f"decoding took longer than {self.work.timeout:g} s"
            raise Undecodable(Status.TIMEOUT, detail) from None
        except OSError as error:
            raise Died from error
        return self._read_outcome(answer, stop)

    def _await_start(self, stop: Event) -> None:
        try:
            self._read_message(monotonic() + STARTING, stop)
        except (OSError, Died) as error:  # TimeoutError among them
            self.process.kill()
            raise DataError(f"cannot start a process for decoding: {self._read_complaint()}") from error
        self.ready = True
        if self.process.stderr:
            self.process.stderr.close()

    def _read_complaint(self) -> str:
        """What a process that did not start has to say."""
        lines = self.process.stderr.read().decode("utf-8", "replace").split("\n") if self.process.stderr else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "it ended without a word")

    def _read_outcome(self, answer: dict[str, Any], stop: Event) -> Prepared:
        """An answer as what it means. Raises Died where it means nothing, which no sound process would say."""
        try:
            shape = answer.get("shape")
            if shape is None:
                failure = read_failure(answer)
                self.sound = True
                raise failure
            count, rows, columns, channels = map(int, shape)
            longest = 4 * self.work.crops.size + 2 * self.work.crops.multiple
            if (count, channels) != (self.work.crops.count, 3) or not (0 < rows <= longest and 0 < columns <= longest):
                raise Died
            pixels = self._read(count * rows * columns * channels, monotonic() + STARTING, stop)
            prepared = Prepared(np.frombuffer(pixels, np.uint8).reshape(shape), int(answer["width"]), int(answer["height"]))
            self.sound = True
            return prepared
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise Died from error

    def _read_message(self, deadline: float, stop: Event) -> dict[str, Any]:
        length = int.from_bytes(self._read(LENGTH, deadline, stop), "big")
        if length > LONGEST:
            raise Died
        try:
            message = json.loads(self._read(length, deadline + STARTING, stop))
        except ValueError as error:
            raise Died from error
        if not isinstance(message, dict):
            raise Died
        return message

    def _read(self, size: int, deadline: float, stop: Event) -> bytearray:
        """So many bytes. What has arrived is read even after the deadline: then it was this side that was late.

        Raises TimeoutError, Died at the end of the stream, Stopped, OSError.
        """
        data = bytearray(size)
        rest = memoryview(data)
        while rest:
            left = deadline - monotonic()
            self.channel.settimeout(min(SLICE, max(left, 0.001)))
            try:
                arrived = self.channel.recv_into(rest)
            except TimeoutError:
                if stop.is_set():
                    raise Stopped from None
                if left <= 0:
                    raise
                continue
            if not arrived:
                raise Died
            rest = rest[arrived:]
        return data

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

    def describe_death(self) -> str:
        """How it ended, in words."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(1)
        code = self.process.poll()
        if code is not None and code < 0:
            with suppress(ValueError):
                return f"the decoder crashed on it ({signal.Signals(-code).name})"
        return "the decoder crashed on it"


def read_failure(answer: dict[str, Any]) -> Undecodable:
    """Why a picture has no crops. Raises ValueError, TypeError or KeyError for an answer that does not say so."""
    status, detail = Status(answer["status"]), str(answer["detail"])
    if status is Status.OK or not detail:
        raise ValueError("neither crops nor a reason")
    width, height = (None if answer[side] is None else int(answer[side]) for side in ("width", "height"))
    return Undecodable(status, detail, width, height)


def start_process(work: Work, channel: socket.socket, program: str) -> subprocess.Popen[bytes]:
    """A decoding process with its end of the channel, which finds this very package. Raises OSError."""
    windows = sys.platform == "win32"
    places = [*sys.path, str(Path(__file__).parent.parent)]
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", program, "stdin" if windows else str(channel.fileno()), work.encode(), *places],
        stdin=subprocess.PIPE if windows else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **ALONE, **KEPT},
        pass_fds=() if windows else (channel.fileno(),),
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        process_group=None if windows else 0,  # Ctrl-C is meant for this process, which then ends those
    )
    if sys.platform == "win32" and process.stdin:
        process.stdin.write(channel.share(process.pid))
        process.stdin.close()
    return process
