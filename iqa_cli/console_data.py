"""What a person sees of rated sets and of evaluations: a bar while images are scored, tables, facts, what a check found."""

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

from iqa_cli.catalogue import DatasetSpec
from iqa_cli.console import Row, open_console, print_rows, show
from iqa_cli.datasets import DATASETS, Finding, LabelReport, find_spec
from iqa_cli.evaluation import Estimate
from iqa_cli.options import OWN
from iqa_cli.published import ROWS, Published
from iqa_cli.results import find_worst, list_rows
from iqa_cli.workbench import FIGURES, Evaluation, Scored

HEADS = {"srcc": "SRCC", "plcc": "PLCC", "plcc_fitted": "fitted", "krcc": "KRCC", "rmse": "RMSE"}
NOTHING = "-"


class EvaluationView:
    """Shows on stderr how far an evaluation is."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        console = open_console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[failed]}"))
        self.progress = Progress(
            *columns, TimeRemainingColumn(), console=console, disable=quiet or not console.is_terminal, transient=True
        )
        self.task: TaskID | None = None

    @contextmanager
    def running(self) -> Iterator[EvaluationView]:
        """Shown while the block lasts."""
        with self.progress:
            yield self

    def show(self, event: Scored | Evaluation) -> None:
        """The bar moves on, or makes way for the figures."""
        if isinstance(event, Scored):
            failed = f"{event.failed:,} failed" if event.failed else ""
            if self.task is None:
                self.task = self.progress.add_task(show(f"{event.dataset} {event.model}"), total=event.images, failed=failed)
            self.progress.update(self.task, completed=event.done, failed=failed)
        elif self.task is not None:
            self.progress.remove_task(self.task)
            self.task = None

    def warn(self, text: str) -> None:
        """Something went wrong that is no error."""
        if not self.quiet:
            self.progress.console.print(f"iqa: warning: {show(text)}", style="yellow", soft_wrap=True)

    def conclude(self, evaluations: Iterable[Evaluation], plots: Iterable[Path]) -> None:
        """What is odd about the outcome, and where pictures of it are."""
        for text in find_hints(evaluations):
            self.warn(text)
        for path in () if self.quiet else plots:
            self.progress.console.print(f"wrote {show(str(path))}", soft_wrap=True)


# ---- evaluations ----


def print_evaluations(evaluations: Sequence[Evaluation]) -> None:
    """A table a set, models side by side, if stdout is a terminal; else CSV with a row a model and set. Nothing for none."""
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
    """Those of one set together, sets in the order of their first."""
    groups: dict[int, list[Evaluation]] = {}
    for evaluation in evaluations:
        groups.setdefault(id(evaluation.labels), []).append(evaluation)
    return list(groups.values())


def print_set(console: Console, evaluations: Sequence[Evaluation]) -> None:
    """All models on one set, and the published figures that may stand beside theirs."""
    first = evaluations[0]
    spec, images = first.labels.spec, first.measurement.images
    of = f" of {spec.images:,}" if first.protocol == "all images" and images != spec.images else ""
    console.print()
    console.print(Text(show(spec.title), style="bold"))
    console.print(Text(show(f"{first.protocol}: {images:,}{of}"), style="dim"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", overflow="fold")
    for name in FIGURES:
        table.add_column(HEADS[name], no_wrap=True)
    for evaluation in evaluations:
        add_evaluation(table, evaluation)
    for row in dict.fromkeys(row for evaluation in evaluations for row in evaluation.published):
        table.add_row(Text(row.title), show_figure(row.srcc), show_figure(row.plcc), *[NOTHING] * 3)
        table.add_row(Text(f"trained on {row.trained_on}", style="dim"))
    console.print(table)


def add_evaluation(table: Table, evaluation: Evaluation) -> None:
    """Two lines: the figures, and below them their intervals."""
    figures = evaluation.figures
    table.add_row(Text(show(evaluation.model)), *(show_figure(figures[name].value, name) for name in FIGURES))
    failed = f"{evaluation.measurement.failed:,} images failed" if evaluation.measurement.failed else ""
    notes = Text("; ".join(filter(None, (evaluation.exposure, failed))), style="yellow")
    table.add_row(notes, *(Text(show_ends(figures[name], name), style="dim") for name in FIGURES))


def show_figure(value: float | None, name: str = "srcc") -> str:
    """A correlation in three decimals, an RMSE in one."""
    if value is None or isnan(value):
        return NOTHING
    return f"{value:.1f}" if name == "rmse" else f"{value:.3f}"


def show_ends(estimate: Estimate, name: str) -> str:
    """Both ends of an interval: .791, .850."""
    ends = [show_figure(end, name) for end in (estimate.low, estimate.high)]
    return "" if NOTHING in ends else ", ".join(end if name == "rmse" else end.replace("0.", ".", 1) for end in ends)


def explain(evaluations: Sequence[Evaluation]) -> Iterator[str]:
    """What the figures are, below the tables."""
    yield ""
    yield f"Below each figure: {'; '.join(dict.fromkeys(evaluation.interval for evaluation in evaluations))}."
    yield "fitted: PLCC after a logistic curve of four parameters. RMSE: after it, in points of opinions brought to 0 to 100."
    own = [evaluation for evaluation in evaluations if not evaluation.labels.spec.home]
    yield from dict.fromkeys(f"{e.labels.spec.name}: {note}" for e in own for note in e.labels.spec.notes)
    for row in dict.fromkeys(row for evaluation in evaluations for row in evaluation.published):
        yield f"{row.title}: {row.paper}; not measured by this project."


def print_worst(evaluations: Sequence[Evaluation], count: int) -> None:
    """The images on which each model and people disagree most: on stdout at a terminal, else on stderr, beside the CSV."""
    console = open_console(stderr=not sys.stdout.isatty())
    for evaluation in evaluations if count else ():
        console.print()
        title = f"Where {evaluation.model} and people disagree most: {evaluation.labels.spec.name}"
        console.print(Text(show(title), style="bold"))
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for head in ("opinion", "score", "fitted", "off by"):
            table.add_column(head, justify="right", no_wrap=True)
        table.add_column("image", overflow="fold")
        for row in find_worst(evaluation, count):
            numbers = (f"{row.opinion:.1f}", f"{row.score:.1f}", f"{row.fitted:.1f}", f"{row.residual:+.1f}")
            table.add_row(*numbers, Text(show(row.path)))
        console.print(table)


def find_hints(evaluations: Iterable[Evaluation]) -> Iterator[str]:
    """What is odd about the outcome and can be mended."""
    for evaluation in evaluations:
        spec, failed = evaluation.labels.spec, evaluation.comparison.failed
        if failed:
            first = f"{failed[0].path}: {failed[0].detail}"
            images = f"{len(failed):,} {'image has' if len(failed) == 1 else 'images have'} no score"
            yield f"{spec.name}, {evaluation.model}: {images}, and no part in the figures; the first: {first}"
        if not spec.home and evaluation.measurement.srcc.value < 0:
            other = "leave out" if not spec.higher_is_better else "add"
            yield f"{spec.name}: scores fall as ratings rise; if low ratings mean good images, {other} --lower-is-better"


# ---- rated sets ----


def print_sets(specs: Iterable[DatasetSpec], found: dict[str, Path] | None) -> None:
    """The sets, as `print_rows` does. found: where those are that are there; None where nobody said where to look."""
    print_rows([describe_row(spec, found) for spec in specs])
    if sys.stdout.isatty():
        open_console(stderr=False).print(Text(f"And {OWN}: ratings of your own. More: iqa datasets show NAME", style="dim"))


def describe_row(spec: DatasetSpec, found: dict[str, Path] | None) -> Row:
    """One set in a row."""
    low, high = spec.score_range
    return {
        "name": spec.name,
        "images": str(spec.images),
        "kind": "damaged" if spec.synthetic else "photos",
        "scale": f"{low:g} to {high:g}",
        "best is": "highest" if spec.higher_is_better else "lowest",
        "split": "official" if spec.official_split else "by reference" if spec.synthetic else "by image",
        **({} if found is None else {"found": str(found.get(spec.name, ""))}),
        "title": spec.title,
    }


def print_facts(name: str) -> None:
    """All that is known of a set. Raises UsageError for an unknown one."""
    print_pairs(OWN_FACTS if name == OWN else [(fact, text) for fact, text in list_facts(find_spec(name)) if text])


OWN_FACTS = (
    ("name", f"{OWN}: ratings of your own"),
    (
        "layout",
        "--labels FILE: CSV with a header, one column of image paths, --image-column (image), and one of scores, --score-column"
        " (score). Paths are relative to --data-root, else to the folder of the file. Several rows of an image are several"
        " opinions, and their mean counts.",
    ),
    (
        "score",
        "--score-range LOW HIGH. Without it the lowest and the highest score are the ends, which changes the RMSE but no"
        " correlation. Higher is better, unless --lower-is-better.",
    ),
    ("split", "80/20, drawn by a seed, by image; or by the entries of --group-column, as references or photographers."),
)


def list_facts(spec: DatasetSpec) -> list[tuple[str, str]]:
    """What is known of a set of the catalogue."""
    low, high = spec.score_range
    better = "higher is better" if spec.higher_is_better else "lower is better"
    kind = "damaged versions of few references" if spec.synthetic else "photos as they were taken"
    return [
        ("name", f"{spec.name}: {spec.title}"),
        ("images", f"{spec.images:,}, {kind}"),
        ("score", f"{spec.score}, {low:g} to {high:g}, {better}"),
        ("reference", spec.reference),
        ("split", spec.split_rule),
        ("customary input", spec.customary_input),
        ("layout", spec.layout),
        ("get it from", spec.home),
        ("licence", spec.licence),
        ("paper", spec.paper),
        *(("note", note) for note in spec.notes),
        *(("shares photos with", DATASETS[name].title) for name in spec.shares),
        *(("published", describe_published(row)) for row in ROWS if row.dataset == spec.name),
    ]


def describe_published(row: Published) -> str:
    """A figure of a paper with its protocol."""
    figures = [f"{name} {value:.3f}" for name, value in (("SRCC", row.srcc), ("PLCC", row.plcc)) if value is not None]
    trained = "" if row.trained_on == row.dataset else f", trained on {row.trained_on}"
    return f"{row.model}: {', '.join(figures)} ({row.protocol}{trained})"


def print_report(report: LabelReport) -> None:
    """What a check found, and the first few images of each kind of trouble."""
    low, high = report.spec.score_range
    of = "" if report.images == report.expected else f" of {report.expected:,}"
    splits = ", ".join(f"{count:,} {side}" for side, count in sorted(report.splits.items(), reverse=True))
    groups = f"{report.references:,}" + (f" for {report.images:,} images" if report.references != report.images else "")
    print_pairs(
        [
            ("folder", str(report.root)),
            ("rated images", f"{report.images:,}{of}"),
            ("ratings", f"{report.score_low:g} to {report.score_high:g}; the scale is {low:g} to {high:g}"),
            ("groups", groups),
            *([("official split", splits)] if splits else []),
            ("missing", show_finding(report.missing)),
            ("unreadable", show_finding(report.unreadable)),
            ("rated twice", show_finding(report.repeated)),
            ("verdict", "whole" if report.intact else "not whole"),
        ]
    )


def show_finding(finding: Finding) -> str:
    """How many, and the first."""
    more = ", ..." if finding.count > len(finding.first) else ""
    return f"{finding.count:,}: {', '.join(finding.first)}{more}" if finding.count else "none"


def print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Names and texts side by side at a terminal, else `name: text` a line."""
    console = open_console(stderr=False)
    if not sys.stdout.isatty():
        for name, text in pairs:
            console.print(Text(show(f"{name}: {text}")), soft_wrap=True)
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in pairs:
        table.add_row(name, Text(show(text)))
    console.print(table)
