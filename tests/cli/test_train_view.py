"""What is said of a training that runs in the background, where no terminal shows a bar."""

from __future__ import annotations

from pathlib import Path

import pytest

from iqa_cli.cli.views.train import TrainingView
from iqa_cli.training.events import FeaturesExtracted, StepDone, TeachersPredicted, TrialStarted
from iqa_cli.training.plan import Trial


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("kind", "said"),
    [(FeaturesExtracted, "extracting features, view 1"), (TeachersPredicted, "teacher predictions, epoch 1")],
)
def test_a_log_gets_a_line_every_half_minute(
    capfd: pytest.CaptureFixture[str], kind: type[FeaturesExtracted | TeachersPredicted], said: str
) -> None:
    clock = Clock()
    view = TrainingView(quiet=False, clock=clock)
    with view.running(Path("run")):
        for done in range(8, 1001, 8):
            clock.now += 4.0
            view.show(kind(0, done, 1000))
    lines = capfd.readouterr().err.splitlines()
    assert lines[:2] == [f"{said}: 72 of 1000 images, 0:07:44 left", f"{said}: 136 of 1000 images, 0:07:12 left"]
    assert lines[-1] == f"{said}: 1000 images"
    assert len(lines) == 1 + 500 // 32


def test_what_was_there_before_does_not_count_as_speed(capfd: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    view = TrainingView(quiet=False, clock=clock)
    for done in (900, 910):
        view.show(FeaturesExtracted(1, done, 1000))
        clock.now += 40
    view.show(FeaturesExtracted(1, 910, 1000))
    assert capfd.readouterr().err.splitlines() == [
        "extracting features, view 2: 910 of 1000 images, 0:06:00 left",
        "extracting features, view 2: 910 of 1000 images, 0:12:00 left",
    ]


def test_a_long_epoch_says_how_far_it_is_and_each_begins_anew(capfd: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    view = TrainingView(quiet=False, clock=clock)
    for epoch in range(2):
        for step in range(1, 4):
            view.show(StepDone(epoch, step, 4, 0.5))
            clock.now += 20
        view.end_progress()
    assert capfd.readouterr().err.splitlines() == [f"epoch {n}: 3 of 4 steps, 0:00:20 left" for n in (1, 2)]


def test_too_few_images_to_validate_on_are_said_to_be(capfd: pytest.CaptureFixture[str]) -> None:
    for held in ([], [9], [8, 9], [7, 8, 9]):
        TrainingView(quiet=False).show(TrialStarted(0, 1, Trial(Path("run"), [0, 1], held, [])))
    said = capfd.readouterr().err.splitlines()
    assert ["too few to validate on" in line for line in said] == [False, True, True, False]


def test_quiet_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    view = TrainingView(quiet=True, clock=clock)
    for done in (1, 2, 3):
        view.show(FeaturesExtracted(0, done, 3))
        clock.now += 100
    assert capfd.readouterr() == ("", "")
