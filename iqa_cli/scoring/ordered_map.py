"""map_ordered: a bounded, ordered, cancellable map over several threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from threading import Condition, Event, Thread
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_WAITING = 1000  # results that may wait behind a slow one
JOIN_TIMEOUT = 0.1  # seconds; the producer may be stuck in an iterator that never continues


def split_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of that size, the last perhaps shorter; as lazily as they come."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def map_ordered(
    items: Iterable[Item], task: Callable[[Item, Event], Result], *, threads: int, name: str = "map"
) -> Generator[Result]:
    """Yield the result of the task for each item, in order, each as soon as it and those before it are done.

    Items are drawn in a thread of their own, so that a result never waits for the next item, and at most `threads` of them
    ahead of the consumer; more only while it waits for a slow result. Closing the generator sets the event
    that tasks get, and drops those that have not begun. Raises what the items and the tasks raise, after the results before it.
    """
    queue: OrderedQueue[Item, Result] = OrderedQueue(threads)
    workers = ThreadPoolExecutor(threads, thread_name_prefix=name)
    producer = Thread(target=queue.produce, args=(items, task, workers), name=f"{name}-producer", daemon=True)
    workers.submit(int)  # one thread there must be
    producer.start()
    try:
        while (future := queue.get()) is not None:
            yield future.result()
    finally:
        queue.stop()
        producer.join(JOIN_TIMEOUT)
        workers.shutdown(cancel_futures=True)


class OrderedQueue(Generic[Item, Result]):
    """Futures of the items in progress, in order. capacity: how many items may be in progress at a time."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.changed = Condition()
        self.stopped = Event()
        self.futures: deque[Future[Result]] = deque()
        self.unfinished = 0
        self.awaited = False  # whether the consumer waits for the next result
        self.ended = False  # whether there are no more items
        self.failure: BaseException | None = None  # of the iterator of items

    def produce(self, items: Iterable[Item], task: Callable[[Item, Event], Result], workers: ThreadPoolExecutor) -> None:
        """Draw and submit items as there is capacity for them, until they end or `stop` is called."""
        try:
            rest = iter(items)
            while self._await_capacity():
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
        except BaseException as failure:  # `get` raises it
            self.failure = failure
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def _await_capacity(self) -> bool:
        """Wait until one more item may be drawn; False once `stop` was called."""
        with self.changed:
            self.changed.wait_for(lambda: self.stopped.is_set() or self._has_capacity())
        return not self.stopped.is_set()

    def _has_capacity(self) -> bool:
        waiting = len(self.futures)
        return self.unfinished < self.capacity and (waiting < self.capacity or (self.awaited and waiting < MAX_WAITING))

    def _note_done(self, _: Future[Result]) -> None:
        with self.changed:
            self.unfinished -= 1
            self.changed.notify_all()

    def get(self) -> Future[Result] | None:
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
        """Make `produce` end."""
        with self.changed:
            self.stopped.set()
            self.changed.notify_all()


def submit(
    workers: ThreadPoolExecutor, future: Future[Result], task: Callable[[Item, Event], Result], item: Item, stopped: Event
) -> None:
    """Queue a task. Where no more threads can be started, those running take it: a limit costs speed, not the run."""
    try:
        workers.submit(run_task, future, task, item, stopped)
    except RuntimeError as error:
        if "start new thread" not in str(error):  # else it has been queued already
            raise


def run_task(future: Future[Result], task: Callable[[Item, Event], Result], item: Item, stopped: Event) -> None:
    """Run a task and put its result or its exception into a future."""
    try:
        future.set_result(task(item, stopped))
    except BaseException as failure:
        future.set_exception(failure)
