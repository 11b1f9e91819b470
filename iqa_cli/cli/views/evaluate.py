"""Progress and tables of evaluations, and the images that a model is most wrong about."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import isnan
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from iqa_cli.cli.views.terminal import open_console, print_rows, show
from iqa_cli.evaluation.measure import FEWEST, Estimate
from iqa_cli.evaluation.protocol import Protocol
from iqa_cli.evaluation.report import find_worst, list_rows
from iqa_cli.evaluation.robustness import SEVERE, Robustness
from iqa_cli.evaluation.robustness_report import list_rows as list_robustness
from iqa_cli.evaluation.run import FIGURES, Evaluation, Scored
from iqa_cli.images.distortions import LEVELS

HEADS = {"srcc": "SRCC", "plcc": "PLCC", "plcc_fitted": "fitted", "krcc": "KRCC", "rmse": "RMSE"}
NOTHING = "-"
WIDE = 100  # columns of a terminal from which on models and protocols stand side by side
ROBUSTNESS_FIGURES = (
    "SRCC: rank correlation of the level with minus the score, mean over the photos. clean above: in how many pairs the clean"
    f" photo has a higher score than its version of level {SEVERE} to {LEVELS}. moved: absolute difference of the score, in"
    " points of 0 to 100."
)


class EvaluationView:
    """Progress of an evaluation on stderr. cached: scores are kept, so that a run that was stopped can go on."""

    def __init__(self, *, quiet: bool, cached: bool) -> None:
        self.quiet = quiet
        self.cached = cached
        console = open_console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[failed]}"))
        self.progress = Progress(
            *columns, TimeRemainingColumn(), console=console, disable=quiet or not console.is_terminal, transient=True
        )
        self.task: TaskID | None = None

    @contextmanager
    def running(self) -> Iterator[EvaluationView]:
        """Show progress while the block lasts; Ctrl-C says how to go on."""
        try:
            with self.progress:
                yield self
        except KeyboardInterrupt:
            self.warn("stopped" + ("; the scores so far are kept: repeat the command to go on" if self.cached else ""))
            raise

    def show(self, event: Scored | Evaluation | Robustness) -> None:
        """Move the bar on, or make way for the figures."""
        if isinstance(event, Scored):
            failed = f"{event.failed:,} failed" if event.failed else ""
            if self.task is None:
                self.task = self.progress.add_task(show(f"{event.dataset} {event.model}"), total=event.images, failed=failed)
            self.progress.update(self.task, completed=event.done, failed=failed)
        elif self.task is not None:
            self.progress.remove_task(self.task)
            self.task = None

    def warn(self, text: str) -> None:
        """Warn of something that is no error."""
        if not self.quiet:
            self.progress.console.print(f"iqa: warning: {show(text)}", style="yellow", soft_wrap=True)

    def conclude(self, evaluations: Iterable[Evaluation], plots: Iterable[Path]) -> None:
        """Say what is odd about the outcome, and where plots of it are."""
        for text in find_hints(evaluations):
            self.warn(text)
        for path in () if self.quiet else plots:
            self.progress.console.print(f"wrote {show(str(path))}", soft_wrap=True)


def print_evaluations(evaluations: Sequence[Evaluation]) -> None:
    """Print a table a set, models side by side, if stdout is a terminal, else CSV with a row a model and set."""
    if not evaluations:
        return
    if not sys.stdout.isatty():
        rows = [row for evaluation in evaluations for row in list_rows(evaluation)]
        print_rows([{key: "" if value is None else str(value) for key, value in row.items()} for row in rows])
        return
    console = open_console(stderr=False)
    for same in group_evaluations(evaluations):
        print_set(console, same)
    for line in explain(evaluations):
        console.print(Text(show(line), style="dim"))


def group_evaluations(evaluations: Iterable[Evaluation]) -> list[list[Evaluation]]:
    """Group the evaluations by set, sets in the order of their first."""
    groups: dict[int, list[Evaluation]] = {}
    for evaluation in evaluations:
        groups.setdefault(id(evaluation.labels), []).append(evaluation)
    return list(groups.values())


def print_set(console: Console, evaluations: Sequence[Evaluation]) -> None:
    """Print all models on one set, and the published figures that may stand beside theirs."""
    first = evaluations[0]
    spec, images = first.labels.spec, first.measurement.images
    of = f" of {spec.images:,}" if first.images == "all images" and images != spec.images else ""
    counts = " to ".join(f"{count:,}" for count in dict.fromkeys((min(first.sizes), max(first.sizes))))
    console.print()
    console.print(Text(show(spec.title), style="bold"))
    console.print(Text(show(f"{first.images}: {counts}{of}"), style="dim"))
    wide = console.width >= WIDE
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("", "protocol") if wide else ("protocol",):
        table.add_column(name, overflow="fold")
    for name in FIGURES:
        table.add_column(HEADS[name], no_wrap=True)
    for evaluation in evaluations:
        add_evaluation(table, evaluation, wide=wide)
    for row in dict.fromkeys(row for evaluation in evaluations for row in evaluation.published):
        note = Text(f"trained on {row.trained_on}", style="dim")
        begin = name_row(Text(row.title), row.protocol, note, wide=wide)
        table.add_row(*begin, show_figure(row.srcc), show_figure(row.plcc), *[NOTHING] * 3)
    console.print(table)


def name_row(title: Text, protocol: Protocol, note: Text, *, wide: bool) -> tuple[Text, ...]:
    """What a row begins with: model and protocol, side by side where there is room; below the model what is to be known."""
    named = (title, Text(protocol)) if wide else (Text("\n").join([title, Text(protocol)]),)
    first = Text("\n").join([named[0], note]) if note else named[0]
    return (first, *named[1:])


def add_evaluation(table: Table, evaluation: Evaluation, *, wide: bool) -> None:
    """Add a row: below the figures their intervals, below the model what is to be known of them."""
    failed = f"{evaluation.measurement.failed:,} images failed" if evaluation.measurement.failed else ""
    notes = Text("; ".join(filter(None, (evaluation.warning, failed))), style="yellow")
    figures = [
        Text(show_figure(estimate.value, name)).append(f"\n{show_ends(estimate, name)}", style="dim")
        for name, estimate in evaluation.figures.items()
    ]
    table.add_row(*name_row(Text(show(evaluation.model)), evaluation.protocol, notes, wide=wide), *figures)
    for row in evaluation.subsets:
        images = f"{row.images:,} {'image' if row.images == 1 else 'images'}"
        failed = f", {row.failed:,} failed" if row.failed else ""
        within = Text(show(f"  {row.subset}: {images}{failed}"))
        table.add_row(within, *[""] * wide, show_figure(row.srcc), show_figure(row.plcc), *[NOTHING] * 3)


def show_figure(value: float | None, name: str = "srcc") -> str:
    """Show a correlation in three decimals, an RMSE in one."""
    if value is None or isnan(value):
        return NOTHING
    return f"{value:.1f}" if name == "rmse" else f"{value:.3f}"


def show_ends(estimate: Estimate, name: str) -> str:
    """Show both ends of an interval: .791, .850."""
    ends = [show_figure(end, name) for end in (estimate.low, estimate.high)]
    return "" if NOTHING in ends else ", ".join(end if name == "rmse" else end.replace("0.", ".", 1) for end in ends)


def explain(evaluations: Sequence[Evaluation]) -> Iterator[str]:
    """Explain the figures below the tables."""
    yield ""
    yield f"Below each figure: {'; '.join(dict.fromkeys(evaluation.interval for evaluation in evaluations))}."
    yield "fitted: PLCC after a logistic curve of four parameters. RMSE: after it, in points of ratings brought to 0 to 100."
    if any(evaluation.subsets for evaluation in evaluations):
        yield f"Below a model: correlations within each subset, of at least {FEWEST} images."
    yield from dict.fromkeys(f"{e.labels.spec.short}: {e.caveat}." for e in evaluations if e.caveat)
    own = [evaluation for evaluation in evaluations if not evaluation.labels.spec.home]
    yield from dict.fromkeys(f"{e.labels.spec.name}: {note}" for e in own for note in e.labels.spec.notes)
    for row in dict.fromkeys(row for evaluation in evaluations for row in evaluation.published):
        yield f"{row.title}: {row.paper}; not measured by this project."


def print_robustness(outcomes: Sequence[Robustness]) -> None:
    """Print figures of models on clean photos: tables if stdout is a terminal, else CSV."""
    if not sys.stdout.isatty():
        rows = [row for outcome in outcomes for row in list_robustness(outcome)]
        print_rows([{name: "" if value is None else str(value) for name, value in row.items()} for row in rows])
        return
    console = open_console(stderr=False)
    for outcome in outcomes:
        console.print()
        console.print(Text(show(outcome.model), style="bold"))
        console.print(Text(f"{len(outcome.photos):,} clean photos, each distorted at {LEVELS} levels", style="dim"))
        console.print(tabulate_orders(outcome))
        console.print()
        console.print(tabulate_falls(outcome))
        console.print()
        console.print(tabulate_movements(outcome))
    console.print()
    console.print(Text(ROBUSTNESS_FIGURES, style="dim"))


def tabulate_orders(outcome: Robustness) -> Table:
    """Tabulate each kind of distortion, and the means over groups below."""
    table = Table("distortion", "SRCC", "clean above", box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for order in outcome.orders:
        table.add_row(order.name, show_figure(order.srcc), f"{order.clean_above:.1%}")
    for order in outcome.groups:
        name = f"mean of {order.chains}: {order.name}"
        table.add_row(Text(name, style="bold"), show_figure(order.srcc), f"{order.clean_above:.1%}")
    return table


def tabulate_falls(outcome: Robustness) -> Table:
    """Tabulate how often a distortion of a part of a photo lowers its score, and how far."""
    rows = [(fall.fault, f"{fall.lower:.1%}", f"{fall.median:.2f}") for fall in outcome.falls]
    return tabulate(("distortion of a part", "scored lower", "falls by, median"), rows)


def tabulate_movements(outcome: Robustness) -> Table:
    """Tabulate how far each harmless change moves scores."""
    rows = [(moved.change, f"{moved.median:.2f}", f"{moved.p95:.2f}") for moved in outcome.movements]
    return tabulate(("harmless change", "moved, median", "95th percentile"), rows)


def tabulate(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A plain table."""
    table = Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for row in rows:
        table.add_row(*row)
    return table


def print_worst(evaluations: Sequence[Evaluation], count: int, *, beside: bool = False) -> None:
    """The images on which each model and people disagree most: on stdout at a terminal, else on stderr, beside the CSV.

    Paths stay in one piece, however long. beside: something else is on stdout.
    """
    console = open_console(stderr=beside or not sys.stdout.isatty())
    for evaluation in evaluations if count else ():
        title = f"Where {evaluation.model} and people disagree most: {evaluation.labels.spec.name}"
        console.print()
        console.print(Text(show(title), style="bold"), soft_wrap=True)
        console.print(Text("    MOS   score  fitted  off by  image", style="bold"))
        for row in find_worst(evaluation, count):
            numbers = f"{row.mos:7.1f} {row.score:7.1f} {row.fitted:7.1f} {row.residual:+7.1f}"
            console.print(Text(f"{numbers}  {show(row.path)}"), soft_wrap=True)


def find_hints(evaluations: Iterable[Evaluation]) -> Iterator[str]:
    """Find what is odd about the outcome and can be mended."""
    for evaluation in evaluations:
        spec, failed = evaluation.labels.spec, evaluation.comparison.failed
        if failed:
            first = f"{failed[0].path}: {failed[0].detail}"
            images = f"{len(failed):,} {'image has' if len(failed) == 1 else 'images have'} no score"
            yield f"{spec.name}, {evaluation.model}: {images}, and no part in the figures; the first: {first}"
        if not spec.home and evaluation.measurement.srcc.value < 0:
            other = "leave out" if not spec.higher_is_better else "add"
            yield f"{spec.name}: scores fall as ratings rise; if low ratings mean good images, {other} --lower-is-better"
