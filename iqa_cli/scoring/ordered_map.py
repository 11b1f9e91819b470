"""convey: items -> results, by several threads, in order, lazily."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition, Event, Thread
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

PASSING = 1000  # results that may wait behind one that takes long
LEAVING = 0.1  # seconds that the end waits for whoever draws items; it may be stuck in a list that nobody continues


def convey(
    items: Iterable[Item], task: Callable[[Item, Event], Result], *, threads: int, name: str = "convey"
) -> Generator[Result]:
    """What the task makes of each item, in order, each as soon as it and those before it are done.

    Items are drawn in a thread of their own, so that a result never waits for the next item, and no more of them than `threads`
    ahead of what is asked for; only while the next result takes long do others pass it. Closing the generator sets the event
    that tasks get, and drops those that have not begun. Raises what the items and the tasks raise, after the results before it.
    """
    belt: Belt[Item, Result] = Belt(threads)
    workers = ThreadPoolExecutor(threads, thread_name_prefix=name)
    feeder = Thread(target=belt.feed, args=(items, task, workers), name=f"{name}-feeder", daemon=True)
    workers.submit(int)  # one thread there must be
    feeder.start()
    try:
        while (future := belt.take()) is not None:
            yield future.result()
    finally:
        belt.stop()
        feeder.join(LEAVING)
        workers.shutdown(cancel_futures=True)


class Belt(Generic[Item, Result]):
    """What is on its way, in order. room: how many items may be under way at a time."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.changed = Condition()
        self.stopped = Event()
        self.futures: deque[Future[Result]] = deque()
        self.unfinished = 0
        self.awaited = False  # whether somebody waits for the next result
        self.ended = False  # whether there are no more items
        self.failure: BaseException | None = None  # of whoever drew the items

    def feed(self, items: Iterable[Item], task: Callable[[Item, Event], Result], workers: ThreadPoolExecutor) -> None:
        """Draw items as there is room for them, until they end or `stop`."""
        try:
            rest = iter(items)
            while self._await_room():
                try:
                    item = next(rest)
                except StopIteration:
                    break
                with self.changed:
                    if self.stopped.is_set():
                        break
                    self.unfinished += 1
                    future: Future[Result] = Future()
                    self.futures.append(future)
                future.add_done_callback(self._note_done)
                submit(workers, future, task, item, self.stopped)
        except BaseException as failure:  # it belongs to whoever takes the results
            self.failure = failure
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def _await_room(self) -> bool:
        """Wait until one more item may be drawn; whether one is still wanted."""
        with self.changed:
            self.changed.wait_for(lambda: self.stopped.is_set() or self._has_room())
        return not self.stopped.is_set()

    def _has_room(self) -> bool:
        waiting = len(self.futures)
        return self.unfinished < self.room and (waiting < self.room or (self.awaited and waiting < PASSING))

    def _note_done(self, _: Future[Result]) -> None:
        with self.changed:
            self.unfinished -= 1
            self.changed.notify_all()

    def take(self) -> Future[Result] | None:
        """The next result, once it is done; None after the last. Raises what drawing the items raised."""
        with self.changed:
            self.awaited = True
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.futures[0].done() if self.futures else self.ended)
            self.awaited = False
            if self.futures:
                return self.futures.popleft()
        if self.failure is not None:
            raise self.failure
        return None

    def stop(self) -> None:
        """Have `feed` end."""
        with self.changed:
            self.stopped.set()
            self.changed.notify_all()


def submit(
    workers: ThreadPoolExecutor, future: Future[Result], task: Callable[[Item, Event], Result], item: Item, stopped: Event
) -> None:
    """Have a task done by one of the threads that there are, if no more can be started: a limit costs speed, not the run."""
    try:
        workers.submit(run_into, future, task, item, stopped)
    except RuntimeError as error:
        if "start new thread" not in str(error):  # else it has been queued already, behind what the others do
            raise


def run_into(future: Future[Result], task: Callable[[Item, Event], Result], item: Item, stopped: Event) -> None:
    """Do a task, and put what becomes of it into a future."""
    try:
        future.set_result(task(item, stopped))
    except BaseException as failure:
        future.set_exception(failure)
