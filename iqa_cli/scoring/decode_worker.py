"""The decoding worker: files in, crops out, over one socket. `decode_protocol` starts it, `decode_client` reads its answers.

Pictures are foreign bytes, and decoders are written in C. Here one that crashes, hangs or swallows memory takes with it a
process that is easily replaced, and one that a forged picture has taken over can say nothing but some JSON and some pixels.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from iqa_cli.images.capture import read_capture
from iqa_cli.images.containers.jpeg import find_jpeg_quality
from iqa_cli.images.crops import cut_views
from iqa_cli.images.decode import Decoded, decode_image
from iqa_cli.images.preview import make_preview
from iqa_cli.records import Status, Undecodable
from iqa_cli.scoring.decode_protocol import LENGTH, DecodeOptions, pack

ALARM_MARGIN = 5.0  # seconds after the timeout when a worker ends itself, because the client that should have ended it is gone

DESCRIPTORS = "/proc/self/fd"  # where Linux shows the open files of a process
BLOCK = 1 << 20  # bytes


def prepare(path: str, options: DecodeOptions, suffix: str | None = None) -> tuple[dict[str, Any], list[memoryview | bytes]]:
    """The answer for one file, its pixels, uint8 [n, h, w, 3], its preview and its patches; without any, why it has none.

    suffix: as of `decode_image`.
    """
    try:
        image = decode_image(path, max_pixels=options.max_pixels, crops=options.crops, raw=options.raw, suffix=suffix)
        views = cut_views(image.region, options.crops)
        preview = make_preview(path, image, options.preview) if options.preview else b""
        answer: dict[str, Any] = {"width": image.width, "height": image.height, "shape": views.shape, "preview": len(preview)}
        answer |= {"capture": asdict(read_capture(path, suffix))} if preview else {}
        answer |= {"measured": measure_file(path, image)} if options.reasons else {}
        native, patches = cut_patches(path, image, options, suffix) if options.detail else ({}, b"")
        return answer | native, [views.data, preview, patches]
    except Undecodable as failure:
        refusal = failure
    except MemoryError:
        refusal = Undecodable(Status.TOO_LARGE, "not enough memory for it")
    except Exception as error:  # this process is a decoder: whatever it stumbles over, the file is the reason
        refusal = Undecodable(Status.DAMAGED, f"cannot be prepared: {type(error).__name__}")
    return {"status": refusal.status, "detail": refusal.detail, "width": refusal.width, "height": refusal.height}, []


def measure_file(path: str, image: Decoded) -> dict[str, float]:
    """What is measured for reasons, in the pixels that there are; nothing where measuring them fails."""
    from iqa_cli.explain.measure import measure_safely  # which loads OpenCV

    return measure_safely(image.rgb, image.region.width, find_jpeg_quality(path))


def cut_patches(
    path: str, image: Decoded, options: DecodeOptions, suffix: str | None
) -> tuple[dict[str, Any], memoryview | bytes]:
    """What the answer says of a file's native patches, and their pixels, uint8 [n, side, side]. Raises Undecodable."""
    from iqa_cli.detail.take import take_patches  # with OpenCV, which only those load who ask for patches

    native = take_patches(path, image, max_pixels=options.max_pixels, raw=options.raw, suffix=suffix)
    return {"native": {"places": native.places, "height": native.height, "width": native.width}}, native.patches.data


def limit_resources(memory: int) -> None:
    """Bound what a picture can make this process take; be the first to go where the system's memory runs out."""
    with suppress(ImportError, ValueError, OSError):  # where there are no such limits, or stricter ones
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        most = min(memory, sys.maxsize)  # above which Python cannot say a limit
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def set_alarm(seconds: float) -> None:
    """End this process after so long, in whatever C code it then is; 0 is never."""
    signal.setitimer(signal.ITIMER_REAL, seconds)


def read_messages(channel: BinaryIO) -> Iterator[dict[str, Any]]:
    """The messages of the client, until it closes its end."""
    while head := channel.read(LENGTH):
        yield json.loads(channel.read(int.from_bytes(head, "big")))


def serve(number: str) -> None:
    """Receive the options, and answer requests until the socket of that number is closed."""
    channel = socket.socket(fileno=int(number))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with channel, channel.makefile("rb") as stream, suppress(OSError):  # of a socket that is closed meanwhile
        channel.sendall(pack({"ready": True}))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders complain there; what matters is in the answers
        messages = read_messages(stream)
        first = next(messages, None)
        if first is None:  # the client is gone
            return
        options = DecodeOptions.decode(first)
        limit_resources(options.memory)
        for request in messages:
            if "path" in request:
                answer_request(request["path"], options, channel)
            else:
                with holding(stream, request["size"]) as path:
                    answer_request(path, options, channel, request["suffix"])


@contextmanager
def holding(stream: BinaryIO, size: int) -> Iterator[str]:
    """The path of a file that holds the next bytes of a stream while the block runs: in memory, where the system has those.

    So bytes are decoded by the very code that decodes files. Raises OSError.
    """
    with ExitStack() as stack:
        if hasattr(os, "memfd_create") and os.path.isdir(DESCRIPTORS):  # noqa: PTH112
            file: Any = stack.enter_context(open(os.memfd_create("picture"), "wb", buffering=0))  # noqa: PTH123
            path = f"{DESCRIPTORS}/{file.fileno()}"
        else:
            file = stack.enter_context(tempfile.NamedTemporaryFile(buffering=0))
            path = file.name
        while size:
            block = stream.read(min(size, BLOCK))
            if not block:
                raise OSError("the client is gone")
            file.write(block)
            size -= len(block)
        yield path


def answer_request(path: str, options: DecodeOptions, channel: socket.socket, suffix: str | None = None) -> None:
    """Send the answer for one file, and what belongs to it. suffix: as of `decode_image`. Raises OSError."""
    set_alarm(options.timeout + ALARM_MARGIN)
    answer, parts = prepare(path, options, suffix)
    set_alarm(0)
    channel.sendall(pack(answer))
    for part in parts:
        channel.sendall(part)
