"""How decoding workers are started, what they are told, and the messages between. Both ends know this module.

A message is a length (4 bytes, big-endian) and that many bytes of JSON; pixels follow an answer that has a shape, then its
preview and its native patches. A worker says that it is ready, is sent its options, and then answers a request at a time: a
path, or the size and the suffix of a file that follows.

Little is imported here: so one process can load the libraries that decode while the other loads those that run the network.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from iqa_cli.errors import DataError
from iqa_cli.options import RawChoice

if TYPE_CHECKING:
    from iqa_cli.images.crops import CropSpec

STDERR = 2  # the number of the last standard stream
LENGTH = 4  # bytes of a message's length
BASE_MEMORY = 1 << 30  # bytes of address space: the interpreter, the libraries, and crops
BYTES_A_PIXEL = 16  # the worst: AVIF and progressive JPEG with their planes or coefficients, the picture, and its copy in sRGB
WORKER_PROGRAM = "import sys; sys.path[:] = sys.argv[2:]; from iqa_cli.scoring.decode_worker import serve; serve(sys.argv[1])"
SINGLE_THREADED = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"),
    "MALLOC_ARENA_MAX": "1",
}
KEEP_FREED_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "268435456", "MALLOC_MMAP_THRESHOLD_": "33554432"}
"""glibc gives freed pictures back to the system, which then clears their pages for the next one; this much it may keep."""


@dataclass(frozen=True)
class DecodeOptions:
    """Options of a decoding worker.

    crops: what to cut; max_pixels: larger pictures are refused; timeout: seconds an image; preview: longer side in px of a
    small JPEG of all of the picture, 0: none; raw: which picture of a camera's RAW file; detail: whether native patches are
    cut; reasons: whether what tells them is measured.
    """

    crops: CropSpec
    max_pixels: int
    timeout: float
    preview: int = 0
    raw: RawChoice = RawChoice.PREVIEW
    detail: bool = False
    reasons: bool = False

    @property
    def memory(self) -> int:
        """The limit of a worker's address space in bytes; a decoder that wants more fails."""
        return BASE_MEMORY + BYTES_A_PIXEL * self.max_pixels

    def encode(self) -> dict[str, Any]:
        """As a message."""
        return asdict(self)

    @classmethod
    def decode(cls, message: Mapping[str, Any]) -> DecodeOptions:
        """From a message."""
        from iqa_cli.images.crops import CropSpec

        crops: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in message["crops"].items()}
        return cls(**{**message, "crops": CropSpec(**crops), "raw": RawChoice(message["raw"])})


def pack(message: Mapping[str, Any]) -> bytes:
    """A message as it is sent. Undecodable bytes of file names survive as escaped surrogates."""
    data = json.dumps(message).encode("ascii")
    return len(data).to_bytes(LENGTH, "big") + data


@dataclass(frozen=True)
class WorkerProcess:
    """A decoding worker's process, and this end of the channel to it."""

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

    def abandon(self) -> None:
        """Leave the process to the one that has started it: this one is a fork of that."""
        self.channel.close()
        self.process.returncode = 0  # it is no child of this process, which has nothing to wait for
        if self.process.stderr:
            self.process.stderr.close()


def start_worker(program: str = WORKER_PROGRAM) -> WorkerProcess:
    """Start a process that runs a Python program, which finds this very package. Raises DataError where that fails."""
    ours, theirs = map(lift, socket.socketpair())
    with theirs:
        try:
            return WorkerProcess(start_process(theirs, program), ours)
        except OSError as error:
            ours.close()
            raise DataError(f"cannot start a process for decoding: {error.strerror}") from error


def lift(channel: socket.socket) -> socket.socket:
    """The same socket, under none of the numbers of standard streams: in a daemon that has closed those, they are free."""
    low = []
    while channel.fileno() <= STDERR:
        low.append(channel)
        channel = channel.dup()
    for each in low:
        each.close()
    return channel


def find_python() -> str:
    """The Python that runs this program; where another program has one built in, as uWSGI has, the one beside its libraries."""
    version = "{}.{}".format(*sys.version_info)
    beside = Path(sys.base_exec_prefix, "bin", f"python{version}")
    built_in = not Path(sys.executable or "").name.lower().startswith(("python", "pypy"))
    return str(beside) if built_in and beside.exists() else sys.executable


def start_process(channel: socket.socket, program: str) -> subprocess.Popen[bytes]:
    """Start a process that inherits its end of the channel. Raises OSError."""
    places = [*sys.path, str(Path(__file__).parents[2])]
    return subprocess.Popen(
        [find_python(), "-I", "-S", "-c", program, str(channel.fileno()), *places],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **SINGLE_THREADED, **KEEP_FREED_MEMORY},
        pass_fds=(channel.fileno(),),
        process_group=0,  # Ctrl-C is meant for this process, which then ends its workers
    )
