"""What `map_ordered` promises: order, laziness, nobody waits for who is slow, and a clean end."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count

import pytest
from conftest import wait_until

from iqa_cli.scoring.ordered_map import MAX_WAITING, map_ordered

Event = threading.Event


def square(item: int, _: Event) -> int:
    time.sleep(0.001 * (item % 3))
    return item * item


def find_threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(name)]


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_results_come_in_order(threads: int) -> None:
    assert list(map_ordered(range(200), square, threads=threads)) == [i * i for i in range(200)]
    assert list(map_ordered([], square, threads=threads)) == []


def test_a_result_does_not_wait_for_the_next_item() -> None:
    taken = Event()

    def draw() -> Iterator[int]:
        yield 3
        assert taken.wait(30), "the result waits for the next item"
        yield 4

    results = map_ordered(draw(), square, threads=4)
    assert next(results) == 9
    taken.set()
    assert list(results) == [16]


def test_nothing_is_drawn_before_it_is_asked_for() -> None:
    drawn = count()
    results = map_ordered(drawn, square, threads=2)
    time.sleep(0.1)
    assert next(drawn) == 0
    results.close()


def test_who_stops_asking_stops_the_drawing() -> None:
    drawn: list[int] = []

    def draw() -> Iterator[int]:
        for item in count():
            drawn.append(item)
            yield item

    with closing(map_ordered(draw(), square, threads=2)) as results:
        for _ in range(5):
            next(results)
        wait_until(lambda: len(drawn) >= 5 + 2)  # one for each thread lies ready
        time.sleep(0.3)  # for one that was being drawn when the last result came
        so_far = len(drawn)
        time.sleep(0.3)
        assert len(drawn) == so_far


def test_others_pass_one_that_takes_long_but_not_without_end() -> None:
    go = Event()

    def wait_for_first(item: int, _: Event) -> int:
        if item == 0:
            assert go.wait(30)
        return item

    drawn: list[int] = []

    def draw() -> Iterator[int]:
        for item in range(5 * MAX_WAITING):
            drawn.append(item)
            if len(drawn) == MAX_WAITING:
                threading.Timer(0.3, go.set).start()  # later than more could have been drawn
            yield item

    results = map_ordered(draw(), wait_for_first, threads=3)
    assert next(results) == 0
    assert MAX_WAITING <= len(drawn) <= MAX_WAITING + 3
    assert list(results) == list(range(1, 5 * MAX_WAITING))


def test_closing_tells_the_tasks_and_drops_the_rest() -> None:
    begun: list[int] = []

    def linger(item: int, stop: Event) -> int:
        begun.append(item)
        if item:
            assert stop.wait(30), "nobody told"
        return item

    results = map_ordered(range(100), linger, threads=3, name="lingering")
    assert next(results) == 0
    results.close()
    assert len(begun) <= 5
    assert not find_threads("lingering")


def test_closing_does_not_wait_for_an_item_that_never_comes() -> None:
    never = Event()

    def draw() -> Iterator[int]:
        yield 1
        never.wait()

    results = map_ordered(draw(), square, threads=2)
    assert next(results) == 1
    results.close()  # returns, although whoever draws the items still waits
    never.set()


@pytest.mark.parametrize("where", ["items", "task"])
def test_an_error_comes_after_the_results_before_it(where: str) -> None:
    def draw() -> Iterator[int]:
        yield from range(10)
        if where == "items":
            raise OSError("the list broke off")
        yield from range(10, 20)

    def fail(item: int, _: Event) -> int:
        if item == 10:
            raise OSError("the task failed")
        return item

    results = map_ordered(draw(), fail, threads=4)
    assert [next(results) for _ in range(10)] == list(range(10))
    with pytest.raises(OSError, match="the list broke off" if where == "items" else "the task failed"):
        next(results)
