"""Bodies: the images of a request, within limits of bytes and of time. Nothing is ever read that a request only names."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import python_multipart  # noqa: F401  # which starlette would only miss at the first form
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from iqa_cli.server.limits import Limits
from iqa_cli.server.refusals import Refusal

LONGEST_NAME = 200  # characters
NAMELESS = "image"
PIECE = 1 << 20  # bytes of a form that are parsed at a time


@dataclass(frozen=True)
class Upload:
    """An image as it came. name: what the sender calls it, without folders; it names nothing here."""

    name: str
    data: bytes = field(repr=False)


@dataclass
class Body:
    """A body as it comes. counted: its bytes, of the memory of all; they count on where they have become uploads."""

    data: bytearray = field(default_factory=bytearray)
    counted: int = 0


class Memory:
    """Counts the bytes of bodies that are held, by all requests together."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    @contextmanager
    def holding(self) -> Iterator[Body]:
        """A body that grows by `add`; its bytes count until the block ends."""
        body = Body()
        try:
            yield body
        finally:
            self.held -= body.counted
            body.data.clear()

    def add(self, body: Body, chunk: bytes) -> None:
        """Raises Refusal where that would be too much."""
        if self.held + len(chunk) > self.limit:
            raise Refusal("queue-full")
        self.held += len(chunk)
        body.counted += len(chunk)
        body.data += chunk


async def read_uploads(request: Request, limits: Limits, memory: Memory, body: Body) -> list[Upload]:
    """The images of a request: of a form each file, else its body, which then is empty. Raises Refusal."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refusal("encoded-body")
    try:
        async with asyncio.timeout(limits.body_timeout):
            await read_body(request, limits, memory, body)
    except TimeoutError:
        raise Refusal("body-timeout", f"more than {limits.body_timeout:g} s") from None
    except ClientDisconnect:
        raise Refusal("incomplete-body") from None
    if not body.data:
        raise Refusal("empty-body")
    if request.headers.get("content-type", "").split(";")[0].strip().lower() == "multipart/form-data":
        uploads = await parse_form(request.headers, body.data, limits)
    else:
        uploads = [Upload(clean_name(request.query_params.get("name", "")), bytes(body.data))]
    body.data.clear()  # nothing is held twice while images wait
    return uploads


async def read_body(request: Request, limits: Limits, memory: Memory, body: Body) -> None:
    """Read all of a body. Raises Refusal where it is too large, as its head says or as it turns out."""
    announced = request.headers.get("content-length", "0")
    too_large = Refusal("body-too-large", f"more than {limits.max_body:,} bytes")
    if announced.isdecimal() and int(announced) > limits.max_body:
        raise too_large
    async for chunk in request.stream():
        if body.counted + len(chunk) > limits.max_body:
            raise too_large
        memory.add(body, chunk)


class WholeParser(MultiPartParser):
    """A parser that knows whether a form has come to its end, or was cut short."""

    ended = False

    def on_end(self) -> None:
        """The last boundary."""
        super().on_end()
        self.ended = True


async def parse_form(headers: Headers, body: bytearray, limits: Limits) -> list[Upload]:
    """The files of a form, in order. Raises Refusal."""

    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(body), PIECE):
            yield bytes(body[start : start + PIECE])

    parser = WholeParser(headers, stream(), max_files=limits.max_images, max_fields=limits.max_images)  # type: ignore[arg-type]
    parser.spool_max_size = limits.max_body  # in memory, where the body is already
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if "files" in error.message.lower() and "maximum" in error.message.lower():
            raise Refusal("too-many-images", f"more than {limits.max_images}") from None
        raise Refusal("bad-multipart", error.message) from None
    except Exception as error:  # of a parser that is fed anything
        raise Refusal("bad-multipart") from error
    if not parser.ended:
        raise Refusal("bad-multipart", "its last boundary has not come")
    async with AsyncClosing(form.multi_items()) as files:
        uploads = [Upload(clean_name(file.filename or ""), await file.read()) for file in files]
    if not uploads:
        raise Refusal("no-image")
    return uploads


class AsyncClosing:
    """The files of a form, closed when the block ends."""

    def __init__(self, items: list[tuple[str, UploadFile | str]]) -> None:
        self.files = [value for _, value in items if isinstance(value, UploadFile)]

    async def __aenter__(self) -> list[UploadFile]:
        return self.files

    async def __aexit__(self, *_: object) -> None:
        for file in self.files:
            await file.close()


def clean_name(name: str) -> str:
    """A name without folders and without what would upset a log or a terminal."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join(c for c in last if c.isprintable())[-LONGEST_NAME:].strip() or NAMELESS
