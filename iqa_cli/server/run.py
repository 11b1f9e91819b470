"""Run the application on a socket until a signal comes; then finish what is under way."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import math
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from typing import Any, cast

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from iqa_cli.errors import DataError
from iqa_cli.server.limits import Limits

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KEEP_ALIVE = 5  # seconds that a connection may stay open without a request
CONNECTIONS = 1000  # open at a time; further ones get 503
BACKLOG = 128
M_MMAP_THRESHOLD = -3  # of glibc's mallopt
LARGE = 1 << 20  # bytes of a block that goes back to the system as soon as it is free


class Waited(Enum):
    """What a connection waits for: the head of a request, or the rest of a body that is of no more use."""

    HEAD = auto()
    REST = auto()


class PatientProtocol(H11Protocol):
    """HTTP that waits only so long for the head of a request, and for what comes of a body after its answer.

    Of both uvicorn would wait for ever, as long as a byte comes now and then.
    """

    limits = Limits()
    waiting: asyncio.TimerHandle | None = None
    waits_for: Waited | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Some bytes; wait on where they do not complete what is waited for."""
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop()
        super().connection_lost(exc)

    def _find_missing(self) -> Waited | None:
        """What has to come now, and is waited for by nobody else."""
        if self.conn.their_state is h11.IDLE:
            return Waited.HEAD
        answered = self.cycle is not None and self.cycle.response_complete
        return Waited.REST if answered and self.conn.their_state is h11.SEND_BODY else None

    def _wait(self) -> None:
        missing = self._find_missing()
        if missing is self.waits_for:
            return
        self._stop()
        if missing is not None:
            patience = self.limits.head_timeout if missing is Waited.HEAD else self.limits.body_timeout
            self.waits_for = missing
            self.waiting = self.loop.call_later(patience, self._give_up)

    def _stop(self) -> None:
        self.waits_for = None
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None

    def _give_up(self) -> None:
        missing = self.waits_for
        self._stop()
        if self._find_missing() is missing and not self.transport.is_closing():
            self.transport.close()


class GracefulServer(uvicorn.Server):
    """A server that a signal stops, after which the program goes on to its end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """In this block signals stop the server; uvicorn's own way raises them again afterwards."""
        outlived = signal.SIGHUP if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else None  # as under nohup
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS if number != outlived}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def open_socket(host: str, port: int) -> socket.socket:
    """A socket that listens there. port: 0 for any that is free. Raises DataError."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except BaseException:
            listener.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{host}:{port}: cannot listen there: {reason}; choose another --port or --host") from error
    return listener


def give_back_memory() -> None:
    """Have large blocks go back to the system once they are free: glibc would keep uploads' for the next ones."""
    with suppress(OSError, AttributeError):  # of another C library
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)


def run_app(app: Starlette, listener: socket.socket, limits: Limits) -> None:
    """Answer requests until one of SIGNALS; then no new ones, and those under way for as long as one may take."""
    give_back_memory()
    for library in ("uvicorn", "python_multipart"):
        logging.getLogger(library).setLevel(logging.CRITICAL)  # what requests do wrong, they are told
    config = uvicorn.Config(
        app,
        http=cast(Any, type("Protocol", (PatientProtocol,), {"limits": limits})),
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=math.ceil(limits.timeout),
    )
    asyncio.run(GracefulServer(config).serve(sockets=[listener]))
