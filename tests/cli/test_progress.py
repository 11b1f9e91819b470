"""What is seen while a run goes on."""

from collections.abc import Callable

from rich.console import Console

from iqa_cli.cli.views.progress import Progress
from iqa_cli.records import ScoreRecord, Status
from iqa_cli.scoring.tally import Tally


class Clock:
    """Seconds that pass when somebody says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def draw(progress: Progress) -> list[str]:
    console = Console(width=120, record=True, file=None, quiet=False)
    with console.capture() as shown:
        console.print(progress.render())
    return [" ".join(line.split()) for line in shown.get().splitlines()]


def add(tally: Tally, path: str, score: float | None) -> None:
    if score is None:
        tally.add(ScoreRecord(path, Status.DAMAGED, "toy", detail="cut short"))
    else:
        tally.add(ScoreRecord(path, Status.OK, "toy", score, 50.0))


def begin(count: Callable[[], int] | None = None) -> tuple[Tally, Clock, Progress]:
    clock = Clock()
    tally = Tally(started=clock.now)
    return tally, clock, Progress(tally, count, clock)


def test_the_first_result_is_seen_at_once_and_then_the_worst() -> None:
    tally, clock, progress = begin()
    assert len(draw(progress)) == 1
    clock.now += 1
    add(tally, "a.jpg", 61.234)
    assert draw(progress)[1] == "worst so far: 61.23 a.jpg"
    for path, score in (("b.jpg", 80.0), ("c.jpg", None), ("\x1b[31md.jpg", 12.0), ("e.jpg", 12.0)):
        add(tally, path, score)
    assert draw(progress)[1] == "worst so far: 12.00 \\x1b[31md.jpg"
    assert "5 images" in draw(progress)[0]
    assert "1 failed" in draw(progress)[0]


def test_the_rate_is_that_of_late_and_so_is_the_time_that_is_left() -> None:
    tally, clock, progress = begin()
    progress.total = 1000
    clock.now += 60  # while the model is loaded
    draw(progress)
    for _ in range(20):  # from the cache
        clock.now += 0.1
        for _ in range(20):
            add(tally, "a.jpg", 50.0)
    assert "200.0 images/s" in draw(progress)[0]
    for _ in range(40):
        clock.now += 1
        for _ in range(5):
            add(tally, "a.jpg", 50.0)
        shown = draw(progress)[0]
    assert "600 of 1,000" in shown
    assert "5.0 images/s" in shown
    assert "0:01:20 left" in shown


def test_a_long_path_takes_one_line() -> None:
    tally, clock, progress = begin()
    clock.now += 1
    add(tally, "photos/" + "very long folder/" * 40 + "name.jpg", 3.0)
    lines = draw(progress)
    assert len(lines) == 2
    assert lines[1].endswith("name.jpg")
