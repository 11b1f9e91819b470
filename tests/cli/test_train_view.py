"""What is said of a training that runs in the background, where no terminal shows a bar."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from iqa_cli.cli.train_view import TrainingView
from iqa_cli.training.plan import Part


def event(kind: str, **facts: Any) -> Any:
    return type(kind, (SimpleNamespace,), {})(**facts)


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [("ViewMeasured", "view", "measuring features, view 1"), ("ViewAsked", "epoch", "asking teachers, epoch 1")],
)
def test_a_log_gets_a_line_every_half_minute(capfd: pytest.CaptureFixture[str], kind: str, name: str, said: str) -> None:
    clock = Clock()
    view = TrainingView(quiet=False, clock=clock)
    with view.running(Path("run")):
        for done in range(8, 1001, 8):
            clock.now += 4.0
            view.show(event(kind, done=done, photos=1000, **{name: 0}))
    lines = capfd.readouterr().err.splitlines()
    assert lines[:2] == [f"{said}: 72 of 1000 photos, 0:07:44 left", f"{said}: 136 of 1000 photos, 0:07:12 left"]
    assert lines[-1] == f"{said}: 1000 photos"
    assert len(lines) == 1 + 500 // 32


def test_what_was_there_before_does_not_count_as_speed(capfd: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    view = TrainingView(quiet=False, clock=clock)
    for done in (900, 910):
        view.show(event("ViewMeasured", view=1, done=done, photos=1000))
        clock.now += 40
    view.show(event("ViewMeasured", view=1, done=910, photos=1000))
    assert capfd.readouterr().err.splitlines() == [
        "measuring features, view 2: 910 of 1000 photos, 0:06:00 left",
        "measuring features, view 2: 910 of 1000 photos, 0:12:00 left",
    ]


def test_a_long_epoch_says_how_far_it_is_and_each_begins_anew(capfd: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    view = TrainingView(quiet=False, clock=clock)
    for epoch in range(2):
        for step in range(1, 4):
            view.show(event("StepDone", epoch=epoch, step=step, steps=4, loss=0.5))
            clock.now += 20
        view.end_progress()
    assert capfd.readouterr().err.splitlines() == [f"epoch {n}: 3 of 4 steps, 0:00:20 left" for n in (1, 2)]


def test_too_few_images_to_validate_on_are_said_to_be(capfd: pytest.CaptureFixture[str]) -> None:
    for held in ([], [9], [8, 9], [7, 8, 9]):
        part = Part(Path("run"), [0, 1], held, [])
        TrainingView(quiet=False).show_part(event("PartBegun", number=0, parts=1, part=part))
    said = capfd.readouterr().err.splitlines()
    assert ["too few to validate on" in line for line in said] == [False, True, True, False]


def test_quiet_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    view = TrainingView(quiet=True, clock=clock)
    for done in (1, 2, 3):
        view.show(event("ViewMeasured", view=0, done=done, photos=3))
        clock.now += 100
    assert capfd.readouterr() == ("", "")
