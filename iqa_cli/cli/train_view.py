"""What a person sees of a training: a bar for the epoch under way, a line for each that is done, a table of results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from iqa_cli.cli.terminal import open_console, print_rows, show, show_time
from iqa_cli.targets import open_stdout

if TYPE_CHECKING:
    from iqa_cli.training.curves import CurvesDrawn
    from iqa_cli.training.distill import ViewAsked
    from iqa_cli.training.feature_cache import ViewMeasured
    from iqa_cli.training.loop import EpochDone, PhaseStopped, StepDone
    from iqa_cli.training.options import StudyOptions
    from iqa_cli.training.run import BackboneRead, Event, PartBegun, PartDone


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
        """Any event, by what it is."""
        handle = {
            "BackboneRead": self.show_backbone,
            "ViewAsked": self.show_asked,
            "ViewMeasured": self.show_measured,
            "StepDone": self.show_step,
            "EpochDone": self.show_epoch,
            "PhaseStopped": self.show_stop,
            "CurvesDrawn": self.show_curves,
            "PartBegun": self.show_part,
            "PartDone": self.show_end,
        }
        handle[type(event).__name__](event)  # type: ignore[operator]

    def show_backbone(self, event: BackboneRead) -> None:
        """What a file of pretrained weights had for the backbone."""
        self.say(event.found.describe())

    def show_asked(self, event: ViewAsked) -> None:
        """The bar of the teachers, an epoch's crops at a time."""
        self.show_view(f"asking teachers, epoch {event.epoch + 1}", event.done, event.photos)

    def show_measured(self, event: ViewMeasured) -> None:
        """The bar of a frozen backbone, a view of each photo at a time."""
        self.show_view(f"measuring features, view {event.view + 1}", event.done, event.photos)

    def show_view(self, what: str, done: int, photos: int) -> None:
        """A bar that makes way for a line once it is full."""
        if self.task is None:
            self.task = self.progress.add_task(what, total=photos, loss="")
        self.progress.update(self.task, completed=done)
        self.log_progress(what, done, photos, "photos")
        if done == photos:
            self.end_progress()
            self.say(f"{what}: {photos} photos")

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

    def show_part(self, event: PartBegun) -> None:
        """What begins."""
        from iqa_cli.training.plan import RANKED

        part = event.part
        counts = ", ".join(
            f"{len(getattr(part, kind))} {kind}" for kind in ("train", "validation", "test") if getattr(part, kind)
        )
        labelled = f": {counts}" if counts else ""
        labelled += "; too few to validate on, so the last epoch is kept" if 0 < len(part.validation) < RANKED else ""
        self.say(f"training {event.number + 1} of {event.parts} in {part.folder}{labelled}")

    def show_end(self, event: PartDone) -> None:
        """What came of it."""
        judged = "" if event.srcc is None else f": test SRCC {event.srcc:.4f} PLCC {event.plcc:.4f}"
        self.say(f"wrote {event.card}{judged}")

    def say(self, text: str) -> None:
        """A line on stderr."""
        if not self.quiet:
            self.progress.console.print(Text(show(text)), soft_wrap=True)


def print_plan(options: StudyOptions) -> None:
    """What would be trained, on stdout: the options as a recipe, and below it, as its comments, on what.

    Raises what `training.run.train` would raise before it trains.
    """
    from iqa_cli.training.data import find_photos, read_corpus
    from iqa_cli.training.plan import check_counts, check_study, check_teachers, choose_parts, plan_parts, show_parts
    from iqa_cli.training.recipes import write_recipe

    check_study(options)
    corpus = read_corpus(options)
    parts = choose_parts(plan_parts(corpus, options), options)
    unlabelled = len(find_photos(options))
    check_counts(corpus, parts, options)
    check_teachers(parts, options)
    lines = show_parts(corpus, parts)
    lines += [f"{unlabelled} photos without labels in each training"] if unlabelled else []
    text = write_recipe(options) + "\n" + "".join(f"# {show(line)}\n" for line in lines)
    open_stdout().write(text.encode("utf-8", "backslashreplace"))


def print_results(path: Path) -> None:
    """What was measured on test parts, from results.json: a row a fold or split, then the median, the mean and the range.

    Of several sets, each has a row of its own below that of the fold.
    """
    if not path.exists():
        return
    results = json.loads(path.read_text(encoding="utf-8"))
    rows = []
    for row in results["folds"]:
        rows.append(show_figures(row["fold"], row["images"], row))
        rows += [show_figures(f"{row['fold']} {name}", part["images"], part) for name, part in row.get("sets", {}).items()]
    total = sum(row["images"] for row in results["folds"])
    for kind in ("median", "mean", "low", "high"):
        rows.append(show_figures(kind, total, {name: results[name][kind] for name in ("srcc", "plcc")}))
    for name, figures in results.get("sets", {}).items():
        images = sum(row["sets"][name]["images"] for row in results["folds"])
        rows.append(show_figures(f"median {name}", images, {kind: figures[kind]["median"] for kind in ("srcc", "plcc")}))
    print_rows(rows)


def show_figures(name: str, images: int, figures: Mapping[str, float]) -> dict[str, str]:
    """A row of the table."""
    return {"fold": name, "images": str(images), "SRCC": f"{figures['srcc']:.4f}", "PLCC": f"{figures['plcc']:.4f}"}
