"""Decoder: one decoding process, and the conversation with it. `decoder` is the other end.

What comes from there is checked as foreign bytes are, and never unpickled.
"""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from threading import Event
from time import monotonic
from typing import Any

import numpy as np

from iqa_cli.errors import DataError
from iqa_cli.images.crops import Rgb
from iqa_cli.records import Status, Undecodable
from iqa_cli.scoring.decode_protocol import LENGTH, Work, pack
from iqa_cli.scoring.launching import Launched

SLICE = 0.1  # seconds between two looks at whether the run has been stopped
STARTING = 60.0  # seconds that a process may take to start; a busy machine needs one
LONGEST = 1 << 16  # bytes of an answer before its pixels


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
    """A decoding process, and what it has to do."""

    def __init__(self, work: Work, launched: Launched) -> None:
        self.work = work
        self.launched = launched
        self.process, self.channel = launched.process, launched.channel
        self.ready = False
        self.sound = True  # between an answer and the next request; else nobody knows what it is at

    def prepare(self, path: str, stop: Event) -> Prepared:
        """One image.

        Raises Undecodable where it has no crops or took too long, Died where the process did, Stopped where the run was,
        DataError where the process did not start.
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
            self.channel.sendall(pack(self.work.encode()))
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
        """End the process, now."""
        self.launched.close()

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
