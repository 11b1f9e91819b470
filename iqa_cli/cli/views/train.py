"""The view of a training: a bar for the epoch under way, a line for each that is done, a table of results."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from iqa_cli.cli.views.evaluate import HEADS
from iqa_cli.cli.views.progress import show_time
from iqa_cli.cli.views.terminal import open_console, print_rows, show
from iqa_cli.evaluation.run import FIGURES
from iqa_cli.files.atomic import open_stdout
from iqa_cli.training.data.sides import MIN_VALIDATION
from iqa_cli.training.events import (
    BackboneRead,
    CurvesDrawn,
    EpochDone,
    Event,
    FeaturesExtracted,
    Noted,
    PhaseStopped,
    StepDone,
    TeachersPredicted,
    TrialDone,
    TrialStarted,
)
from iqa_cli.training.plan import SIDES, Plan, describe_plan

INTERVAL = 30.0  # s between two lines of progress in a log


class TrainingView:
    """Shows the events of a training on stderr: progress as a bar at a terminal, else now and then as a line.

    clock: seconds from whenever.
    """

    def __init__(self, *, quiet: bool, clock: Callable[[], float] = monotonic) -> None:
        self.quiet = quiet
        self.clock = clock
        self.begun: tuple[str, float, int] | None = None  # what is under way, since when, and what of it was done then
        self.spoken = 0.0  # when a line of progress was last due
        console = open_console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[loss]}"))
        self.progress = Progress(
            *columns, TimeRemainingColumn(), console=console, disable=quiet or not console.is_terminal, transient=True
        )
        self.task: TaskID | None = None

    @contextmanager
    def running(self, run_dir: Path) -> Iterator[TrainingView]:
        """Shown while the block lasts; Ctrl-C says how to go on."""
        try:
            with self.progress:
                yield self
        except KeyboardInterrupt:
            self.say(f"stopped; the finished epochs are in {run_dir}: repeat the command with --resume to go on")
            raise

    def show(self, event: Event) -> None:
        """Any event, by its type."""
        match event:
            case BackboneRead(line) | Noted(line):
                self.say(line)
            case TeachersPredicted():
                self.show_view(f"teacher predictions, epoch {event.epoch + 1}", event.done, event.images)
            case FeaturesExtracted():
                self.show_view(f"extracting features, view {event.view + 1}", event.done, event.images)
            case StepDone():
                self.show_step(event)
            case EpochDone():
                self.show_epoch(event)
            case PhaseStopped():
                self.show_stop(event)
            case CurvesDrawn():
                self.show_curves(event)
            case TrialStarted():
                self.show_trial(event)
            case TrialDone():
                self.show_end(event)

    def show_view(self, what: str, done: int, images: int) -> None:
        """A bar that makes way for a line once it is full."""
        if self.task is None:
            self.task = self.progress.add_task(what, total=images, loss="")
        self.progress.update(self.task, completed=done)
        self.log_progress(what, done, images, "images")
        if done == images:
            self.end_progress()
            self.say(f"{what}: {images} images")

    def log_progress(self, what: str, done: int, total: int, unit: str) -> None:
        """How far that is, with the time it still takes: a line every half minute, where no bar shows it."""
        now = self.clock()
        if self.begun is None or self.begun[0] != what:
            self.begun, self.spoken = (what, now, done), now
        if self.progress.console.is_terminal or now - self.spoken < INTERVAL or done == total:
            return
        _, since, before = self.begun
        left = f", {show_time((now - since) * (total - done) / (done - before))} left" if done > before else ""
        self.say(f"{what}: {done} of {total} {unit}{left}")
        self.spoken = now

    def end_progress(self) -> None:
        """The bar goes."""
        if self.task is not None:
            self.progress.remove_task(self.task)
        self.task = self.begun = None

    def show_step(self, event: StepDone) -> None:
        """The bar moves on; its time left is that of the epoch."""
        if self.task is None:
            self.task = self.progress.add_task(f"epoch {event.epoch + 1}", total=event.steps, loss="")
        self.progress.update(self.task, completed=event.step, loss=f"loss {event.loss:.4f}")
        self.log_progress(f"epoch {event.epoch + 1}", event.step, event.steps, "steps")

    def show_epoch(self, event: EpochDone) -> None:
        """A line an epoch."""
        self.end_progress()
        correlations = "" if event.srcc is None else f"  validation SRCC {event.srcc:.4f} PLCC {event.plcc:.4f}"
        losses = "  ".join(f"{name} {value:.4f}" for name, value in (event.losses | event.rates).items())
        speed = f"{event.images_per_second:.0f} images/s"
        self.say(f"epoch {event.epoch}/{event.epochs} {event.phase}{correlations}  {losses}  {speed}  {event.seconds:.0f} s")

    def show_stop(self, event: PhaseStopped) -> None:
        """Why a phase is over before its last epoch."""
        self.say(f"{event.phase} ends after epoch {event.epoch}: validation SRCC has not risen since epoch {event.best}")

    def show_curves(self, event: CurvesDrawn) -> None:
        """Where the learning curves are; a line only where there is no picture."""
        if event.picture is None:
            self.say(f"learning curves: {event.table}; for a picture, install matplotlib (it is in the [train] extra)")

    def show_trial(self, event: TrialStarted) -> None:
        """What begins."""
        trial = event.trial
        sides = {side: len(getattr(trial, side)) for side in SIDES}
        counts = ", ".join(f"{count} {side}" for side, count in sides.items() if count)
        text = f"training {event.number + 1} of {event.trials} in {trial.folder}" + (f": {counts}" if counts else "")
        too_few = 0 < len(trial.validation) < MIN_VALIDATION
        self.say(text + ("; too few to validate on, so the last epoch is kept" if too_few else ""))

    def show_end(self, event: TrialDone) -> None:
        """What came of it."""
        self.say(f"wrote {event.card}")
        for each in event.measurements:
            srcc = f"{each.srcc.value:.4f} ({each.srcc.low:.4f}, {each.srcc.high:.4f})"
            self.say(f"test on {each.images} images of {each.dataset}: SRCC {srcc} PLCC {each.plcc.value:.4f}")

    def say(self, text: str) -> None:
        """A line on stderr."""
        if not self.quiet:
            self.progress.console.print(Text(show(text)), soft_wrap=True)


def print_plan(plan: Plan) -> None:
    """What would be trained, on stdout: the options as a recipe, and below it, as its comments, on what."""
    from iqa_cli.training.recipes import write_recipe

    text = write_recipe(plan.options) + "\n" + "".join(f"# {show(line)}\n" for line in describe_plan(plan))
    open_stdout().write(text.encode("utf-8", "backslashreplace"))


# ---- results ----


def print_results(path: Path) -> None:
    """What was measured on test images, from results.json: a row a trial and set, then the median, mean and range a set."""
    if not path.exists():
        return
    results = json.loads(path.read_text(encoding="utf-8"))
    rows = [list_row(trial["trial"], each) for trial in results["trials"] for each in trial["sets"]]
    for summary in results["summary"]:
        for kind in ("median", "mean", "low", "high"):
            figures = {name: {"value": (summary[name] or {}).get(kind)} for name in FIGURES}
            rows.append(list_row(kind, {"dataset": summary["dataset"], "images": summary["images"], **figures}))
    if rows and sys.stdout.isatty():
        rows = [shorten_row(row) for row in rows]
    if rows:
        print_rows(rows)


def list_row(trial: str, facts: Mapping[str, Any]) -> dict[str, str]:
    """The figures of one trial or summary in a flat row, each with the ends of its interval, where it has one."""
    row = {"trial": trial, "dataset": str(facts["dataset"]), "images": str(facts["images"])}
    for name in FIGURES:
        for end in ("value", "low", "high"):
            value = facts[name].get(end)
            row[name if end == "value" else f"{name}_{end}"] = "" if value is None else f"{round(value, 4) + 0.0:.4f}"
    return row


def shorten_row(row: Mapping[str, str]) -> dict[str, str]:
    """The same for a terminal: SRCC with its interval, and the other figures."""
    ends = [row[f"srcc_{end}"] for end in ("low", "high")]
    shown = {HEADS[name]: row[name] for name in FIGURES}
    return {**{key: row[key] for key in ("trial", "dataset", "images")}, **shown, "SRCC, 95 %": ", ".join(filter(None, ends))}
