"""Work: a bounded queue of images between the event loop and the threads that score."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from iqa_cli.server.bodies import Upload
from iqa_cli.server.limits import Limits
from iqa_cli.server.refusals import Refusal

Result = TypeVar("Result")


class WorkQueue:
    """Images that wait or are worked on: no more than the limit, of all requests together.

    Only the thread of the event loop calls it, so nothing is locked.
    """

    def __init__(self, limits: Limits, threads: int) -> None:
        self.limits = limits
        self.unfinished = 0
        self.workers = ThreadPoolExecutor(threads, thread_name_prefix="serve")

    def refuse_if_full(self, images: int = 1) -> None:
        """Raises Refusal where so many more would be too many."""
        if self.unfinished + images > self.limits.queue:
            raise Refusal("queue-full")

    async def run(self, task: Callable[[Upload], Result], uploads: Sequence[Upload]) -> list[Result]:
        """The result of each, in order. Raises Refusal where there is no room or no time, and what the task raises."""
        self.refuse_if_full(len(uploads))
        loop = asyncio.get_running_loop()
        jobs: list[Future[Result]] = []
        try:
            jobs.extend(self._submit(loop, task, upload) for upload in uploads)  # one by one: the last may raise
            async with asyncio.timeout(self.limits.timeout):
                return await asyncio.gather(*(asyncio.wrap_future(job) for job in jobs))
        except TimeoutError:
            raise Refusal("timeout", f"more than {self.limits.timeout:g} s") from None
        finally:
            for job in jobs:
                job.cancel()  # those that have begun go on, and keep their place as long

    def _submit(self, loop: asyncio.AbstractEventLoop, task: Callable[[Upload], Result], upload: Upload) -> Future[Result]:
        job = self.workers.submit(task, upload)  # it may raise, where no thread can be started
        self.unfinished += 1
        job.add_done_callback(lambda _: self._note_done(loop))
        return job

    def _note_done(self, loop: asyncio.AbstractEventLoop) -> None:
        """In the thread that did it."""
        with suppress(RuntimeError):  # of a loop that has ended: the server stops
            loop.call_soon_threadsafe(self._free_place)

    def _free_place(self) -> None:
        self.unfinished -= 1

    def close(self) -> None:
        """Drop what has not begun."""
        self.workers.shutdown(wait=False, cancel_futures=True)
