"""The decoding process: paths in, crops out, over one socket. `process` starts it and reads what it says.

Pictures are foreign bytes, and decoders are written in C. Here one that crashes, hangs or swallows memory takes with it a
process that is easily replaced, and one that a forged picture has taken over can say nothing but some JSON and some pixels.

A message is a length (4 bytes, the highest first) and that many bytes of JSON; pixels follow behind an answer that has a shape.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from iqa_cli.crops import CropSpec, Rgb, cut_views
from iqa_cli.images import Undecodable, decode_image
from iqa_cli.records import Status

LENGTH = 4  # bytes that say how long a message is
BASE_MEMORY = 1 << 30  # bytes of address space: the interpreter, the libraries, and crops
BYTES_A_PIXEL = 16  # the worst: AVIF and progressive JPEG with their planes or coefficients, the picture, and its copy in sRGB
LATE = 5.0  # seconds after its time when a decoder ends itself, because whoever should have ended it is gone


@dataclass(frozen=True)
class Work:
    """What a decoding process has to do.

    crops: what to cut; max_pixels: larger pictures are refused; timeout: seconds an image.
    """

    crops: CropSpec
    max_pixels: int
    timeout: float

    @property
    def memory(self) -> int:
        """The bytes of address space that a process may have; a decoder that wants more fails."""
        return BASE_MEMORY + BYTES_A_PIXEL * self.max_pixels

    def encode(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> Work:
        """From JSON."""
        data: dict[str, Any] = json.loads(text)
        crops: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.pop("crops").items()}
        return cls(CropSpec(**crops), **data)


def pack(message: dict[str, Any]) -> bytes:
    """A message as it is sent. Undecodable bytes of file names survive as escaped surrogates."""
    data = json.dumps(message).encode("ascii")
    return len(data).to_bytes(LENGTH, "big") + data


def prepare(path: str, work: Work) -> tuple[dict[str, Any], Rgb | None]:
    """The answer for one file, and its pixels, uint8 [n, h, w, 3]; without any, why it has none."""
    try:
        image = decode_image(path, max_pixels=work.max_pixels, enough=work.crops.enough)
        views = cut_views(image.picture, work.crops)
        return {"width": image.width, "height": image.height, "shape": views.shape}, views
    except Undecodable as failure:
        refusal = failure
    except MemoryError:
        refusal = Undecodable(Status.TOO_LARGE, "not enough memory for it")
    except Exception as error:  # this process is a decoder: whatever it stumbles over, the file is the reason
        refusal = Undecodable(Status.DAMAGED, f"cannot be prepared: {type(error).__name__}")
    return {"status": refusal.status, "detail": refusal.detail, "width": refusal.width, "height": refusal.height}, None


def limit_resources(memory: int) -> None:
    """Bound what a picture can make this process take; be the first to go where the system's memory runs out."""
    with suppress(ImportError, ValueError, OSError):  # where there are no such limits, or stricter ones
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def set_alarm(seconds: float) -> None:
    """End this process after so long, in whatever C code it then is; 0 is never. Nothing where there are no alarms."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def open_channel(place: str) -> socket.socket:
    """The socket that was handed over: its number, or on Windows a description on stdin."""
    if sys.platform == "win32":
        return socket.fromshare(sys.stdin.buffer.read())
    return socket.socket(fileno=int(place))


def serve(place: str, text: str) -> None:
    """Answer until the socket is closed."""
    work = Work.decode(text)
    channel = open_channel(place)
    limit_resources(work.memory)
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with channel, channel.makefile("rb") as requests, suppress(OSError):  # of a socket that is closed meanwhile
        channel.sendall(pack({"ready": True}))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders complain there; what matters is in the answers
        while head := requests.read(LENGTH):
            request = json.loads(requests.read(int.from_bytes(head, "big")))
            set_alarm(work.timeout + LATE)
            answer, views = prepare(request["path"], work)
            set_alarm(0)
            channel.sendall(pack(answer))
            if views is not None:
                channel.sendall(views.data)
