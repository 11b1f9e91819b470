"""DecoderPool: files -> crops, by worker processes that may die.

A worker that hangs is killed after a timeout, one that crashes is noticed at once; both cost the file that caused it, and
nothing else: another worker takes its place.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from queue import Empty, LifoQueue
from threading import Event

from iqa_cli.errors import DataError
from iqa_cli.records import Status, Undecodable
from iqa_cli.scoring.decode_client import Decoder, PreparedImage, Stopped, WorkerDied
from iqa_cli.scoring.decode_protocol import DecodeOptions, WorkerProcess, start_worker
from iqa_cli.scoring.sources import FileBytes


class DecoderPool:
    """Up to `size` decoding processes, started as they are needed. For many threads. They end with the last user.

    first: a worker that was started before.
    """

    def __init__(self, options: DecodeOptions, size: int, first: WorkerProcess | None = None) -> None:
        self.options = options
        self.closed = Event()
        self.places: LifoQueue[Decoder | None] = LifoQueue()  # the last used first: a few images start few processes
        self.living: set[Decoder] = set()
        for _ in range(size - 1):
            self.places.put(None)
        self.places.put(self._open(first) if first else None)
        weakref.finalize(self, close_all, self.living)
        abandon_after_fork(self)

    def start(self) -> None:
        """Start the first process, without waiting for it."""
        decoder = self.places.get()
        self.places.put(decoder or self._open())

    def prepare(self, image: str | FileBytes, stop: Event) -> PreparedImage:
        """One image, by its path or as a file in memory, by whichever process is free, once one is.

        A process that dies is replaced and the file tried again: it may have been ended by something else. Raises Undecodable
        for the file, Stopped where `stop` is set meanwhile or the pool is closed, DataError where no process can be started.
        """
        if isinstance(image, str):
            with suppress(OSError):  # of a folder that is gone
                image = image and os.path.join(os.getcwd(), image)  # noqa: PTH109, PTH118  # theirs is another; not normalised
        for _ in range(2):
            with self._borrow(stop) as decoder:
                try:
                    return decoder.prepare(image, stop)
                except WorkerDied:
                    death = decoder.describe_death()
                except DataError:
                    if self.closed.is_set():  # which ended the process as it started
                        raise Stopped from None
                    raise
        raise Undecodable(Status.CRASHED, death)

    @contextmanager
    def _borrow(self, stop: Event) -> Iterator[Decoder]:
        """A process for the length of the block; back in its place, unless it has died or is no longer to be trusted."""
        place = self._take_place()
        decoder = None
        try:
            if stop.is_set() or self.closed.is_set():
                raise Stopped
            decoder = place or self._open()
            if decoder.process.poll() is not None:  # while it had nothing to do, which is nobody's fault
                self._discard(decoder)
                decoder = self._open()
            yield decoder
        finally:
            if decoder is not None and not decoder.in_sync:
                self._discard(decoder)
                decoder = None
            self.places.put(decoder)

    def _take_place(self) -> Decoder | None:
        """A place in the pool with its process, if it has one. Where no more can be started, those there are have to do."""
        place = self.places.get()
        while place is None and self.living:
            try:
                return self._open()
            except DataError:  # a limit of processes or of memory: the pool is a place smaller from now on
                place = self.places.get()
            except Stopped:  # others wait for the place, to hear the same
                self.places.put(None)
                raise
        return place

    def _open(self, worker: WorkerProcess | None = None) -> Decoder:
        decoder = Decoder(self.options, worker or start_worker())
        self.living.add(decoder)
        if self.closed.is_set():
            self._discard(decoder)
            raise Stopped
        return decoder

    def _discard(self, decoder: Decoder) -> None:
        decoder.close()
        self.living.discard(decoder)

    def close(self) -> None:
        """End all processes, now. Who waits for one gets Stopped, and so does who asks later."""
        self.closed.set()
        idle = []
        with suppress(Empty):
            while True:
                idle.append(self.places.get_nowait())
        for decoder in filter(None, idle):
            self._discard(decoder)
        for _ in idle:
            self.places.put(None)
        for decoder in list(self.living):
            decoder.process.kill()  # whoever has borrowed it discards it; its socket must stay open as long

    def abandon(self) -> None:
        """In a fork of the process that has started the decoders: forget them, and leave them to it."""
        self.closed = Event()  # whose lock a thread may have held, of which there is none here
        self.closed.set()
        for decoder in self.living:
            decoder.worker.abandon()
        self.living.clear()


POOLS: weakref.WeakSet[DecoderPool] = weakref.WeakSet()


@cache
def watch_forks() -> None:
    """Have the pools of this process abandoned by whatever is forked from it."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=abandon_all)


def abandon_after_fork(pool: DecoderPool) -> None:
    """Have a pool abandoned in a fork, which would end the processes of another one, and read their answers."""
    watch_forks()
    POOLS.add(pool)


def abandon_all() -> None:
    """Abandon all pools."""
    for pool in list(POOLS):
        pool.abandon()


def close_all(decoders: set[Decoder]) -> None:
    """End processes."""
    for decoder in decoders:
        decoder.close()
