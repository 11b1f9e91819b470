"""Decoder: a decoding worker as its client sees it. `decode_worker` is the other end.

Its answers are checked as foreign bytes are, and never unpickled.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from math import isfinite
from threading import Event
from time import monotonic
from typing import Any

import numpy as np

from iqa_cli.detail.native import FOCUSED, RANDOM, SIDE, NativePatches
from iqa_cli.errors import DataError
from iqa_cli.explain.reasons import find_reasons
from iqa_cli.images.crops import MIN_NATIVE, Rgb
from iqa_cli.records import Capture, ScoreRecord, Status, Undecodable
from iqa_cli.scoring.decode_protocol import LENGTH, DecodeOptions, WorkerProcess, pack
from iqa_cli.scoring.sources import FileBytes

POLL_INTERVAL = 0.1  # seconds between checks of whether the run was stopped
START_TIMEOUT = 60.0  # seconds that a process may take to start; a busy machine needs one
MAX_PREVIEW_BYTES = 4 << 20  # of the largest preview, of noise
MEASURED = ("moment", "seconds", "aperture", "iso", "bias")  # the numbers of a capture
MAX_MESSAGE = 1 << 16  # bytes of an answer before its pixels


class Stopped(Exception):  # noqa: N818  nothing went wrong
    """The run was stopped while a decoder worked."""


class WorkerDied(Exception):  # noqa: N818  `decode_pool` deals with it
    """A worker has ended, or has sent what no healthy one would."""


@dataclass(frozen=True)
class PreparedImage:
    """The crops of an image before they are normalised, uint8 [n, h, w, 3], and its upright size in px.

    preview: a JPEG of all of it, where one was asked for; capture: how it was then taken. native: its native patches, and
    measured: what tells reasons, where those were asked for.
    """

    views: Rgb
    width: int
    height: int
    preview: bytes | None = None
    capture: Capture | None = None
    native: NativePatches | None = None
    measured: Mapping[str, float] | None = None

    def complete(self, record: ScoreRecord) -> ScoreRecord:
        """A record with what the decoder sent along for it, and what that means; as it is where there is no score."""
        if record.score is None:
            return record
        if self.measured is not None:
            record = replace(record, measured=self.measured, reasons=find_reasons(self.measured))
        return replace(record, preview=self.preview, capture=self.capture) if self.preview else record


class Decoder:
    """A decoding process, and what it has to do."""

    def __init__(self, options: DecodeOptions, worker: WorkerProcess) -> None:
        self.options = options
        self.worker = worker
        self.process, self.channel = worker.process, worker.channel
        self.ready = False
        self.in_sync = True  # between an answer and the next request; else its state is unknown

    def prepare(self, image: str | FileBytes, stop: Event) -> PreparedImage:
        """One image, by its path or as a file in memory.

        Raises Undecodable where it has no crops or took too long, WorkerDied where the process did, Stopped where the run was,
        DataError where the process did not start.
        """
        self.in_sync = False
        if not self.ready:
            self._await_start(stop)
        began = monotonic()
        try:
            self.channel.settimeout(START_TIMEOUT)
            if isinstance(image, str):
                self.channel.sendall(pack({"path": image}))
            else:
                self.channel.sendall(pack({"size": len(image.data), "suffix": os.path.splitext(image.name)[1]}))  # noqa: PTH122
                self.channel.sendall(image.data)
            answer = self._read_message(began + self.options.timeout, stop)
        except TimeoutError:
            detail = f"decoding took longer than {self.options.timeout:g} s"
            raise Undecodable(Status.TIMEOUT, detail) from None
        except OSError as error:
            raise WorkerDied from error
        return self._read_outcome(answer, stop)

    def _await_start(self, stop: Event) -> None:
        try:
            self._read_message(monotonic() + START_TIMEOUT, stop)
            self.channel.sendall(pack(self.options.encode()))
        except (OSError, WorkerDied) as error:  # TimeoutError among them
            self.process.kill()
            raise DataError(f"cannot start a process for decoding: {self._read_complaint()}") from error
        self.ready = True
        if self.process.stderr:
            self.process.stderr.close()

    def _read_complaint(self) -> str:
        """The last line on stderr of a process that did not start."""
        lines = self.process.stderr.read().decode("utf-8", "replace").split("\n") if self.process.stderr else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "it ended without a word")

    def _read_outcome(self, answer: dict[str, Any], stop: Event) -> PreparedImage:
        """Parse an answer. Raises WorkerDied for one that no healthy worker would send."""
        try:
            shape = answer.get("shape")
            if shape is None:
                failure = read_failure(answer)
                self.in_sync = True
                raise failure
            count, rows, columns, channels = map(int, shape)
            crops = self.options.crops
            longest = max(4 * crops.size, crops.width, MIN_NATIVE) + 2 * crops.multiple
            if (count, channels) != (crops.count, 3) or not (0 < rows <= longest and 0 < columns <= longest):
                raise WorkerDied
            size = int(answer["preview"])
            if not 0 <= size <= (MAX_PREVIEW_BYTES if self.options.preview else 0):
                raise WorkerDied
            pixels = self._read(count * rows * columns * channels, monotonic() + START_TIMEOUT, stop)
            views = np.frombuffer(pixels, np.uint8).reshape(shape)
            preview = bytes(self._read(size, monotonic() + START_TIMEOUT, stop)) or None
            capture = parse_capture(answer["capture"]) if preview else None
            native = self._read_native(answer["native"], stop) if self.options.detail else None
            measured = parse_measured(answer["measured"]) if self.options.reasons else None
            prepared = PreparedImage(views, int(answer["width"]), int(answer["height"]), preview, capture, native, measured)
            self.in_sync = True
            return prepared
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise WorkerDied from error

    def _read_native(self, answer: dict[str, Any], stop: Event) -> NativePatches:
        """The patches that an answer announces. Raises WorkerDied, ValueError, TypeError or KeyError for nonsense."""
        places = tuple((int(x), int(y)) for x, y in answer["places"])
        height, width = int(answer["height"]), int(answer["width"])
        if not 0 < len(places) <= FOCUSED + RANDOM or not 0 < height * width <= self.options.max_pixels or height < 0:
            raise WorkerDied
        if not all(0 <= x < width and 0 <= y < height for x, y in places):
            raise WorkerDied
        pixels = self._read(len(places) * SIDE * SIDE, monotonic() + START_TIMEOUT, stop)
        return NativePatches(np.frombuffer(pixels, np.uint8).reshape(-1, SIDE, SIDE), places, height, width)

    def _read_message(self, deadline: float, stop: Event) -> dict[str, Any]:
        length = int.from_bytes(self._read(LENGTH, deadline, stop), "big")
        if length > MAX_MESSAGE:
            raise WorkerDied
        try:
            message = json.loads(self._read(length, deadline + START_TIMEOUT, stop))
        except ValueError as error:
            raise WorkerDied from error
        if not isinstance(message, dict):
            raise WorkerDied
        return message

    def _read(self, size: int, deadline: float, stop: Event) -> bytearray:
        """So many bytes. What has arrived is read even after the deadline: then it was this side that was late.

        Raises TimeoutError, WorkerDied at the end of the stream, Stopped, OSError.
        """
        data = bytearray(size)
        rest = memoryview(data)
        while rest:
            left = deadline - monotonic()
            self.channel.settimeout(min(POLL_INTERVAL, max(left, 0.001)))
            try:
                arrived = self.channel.recv_into(rest)
            except TimeoutError:
                if stop.is_set():
                    raise Stopped from None
                if left <= 0:
                    raise
                continue
            if not arrived:
                raise WorkerDied
            rest = rest[arrived:]
        return data

    def close(self) -> None:
        """End the process, now."""
        self.worker.close()

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
    """The failure that an answer tells. Raises ValueError, TypeError or KeyError for an answer that does not say so."""
    status, detail = Status(answer["status"]), str(answer["detail"])
    if status is Status.OK or not detail:
        raise ValueError("neither crops nor a reason")
    width, height = (None if answer[side] is None else int(answer[side]) for side in ("width", "height"))
    return Undecodable(status, detail, width, height)


def parse_measured(answer: Mapping[str, Any]) -> dict[str, float]:
    """What was measured, from an answer. Raises ValueError, TypeError or AttributeError for what is no numbers by name."""
    measured = {str(name): float(value) for name, value in answer.items()}
    if not all(map(isfinite, measured.values())):
        raise ValueError("no numbers")
    return measured


def parse_capture(answer: dict[str, Any]) -> Capture:
    """How a photo was taken, from an answer. Raises ValueError, TypeError or KeyError for one that does not say so."""
    numbers = {name: None if answer[name] is None else float(answer[name]) for name in MEASURED}
    if not all(number is None or isfinite(number) for number in numbers.values()):
        raise ValueError("no numbers")
    return Capture(camera=str(answer["camera"]), bracketing=answer["bracketing"] is True, **numbers)
