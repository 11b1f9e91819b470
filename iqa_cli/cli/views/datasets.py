"""Tables of rated sets: the list, the facts of one, and what a check of its folder found."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from iqa_cli.cli.views.terminal import Row, has_no_room, open_console, print_pairs, print_rows, show
from iqa_cli.datasets.catalog import DATASETS, DatasetSpec
from iqa_cli.datasets.check import Finding, LabelReport
from iqa_cli.datasets.find import find_spec
from iqa_cli.evaluation.published import ROWS, Published
from iqa_cli.options import OWN, OwnRatings


def print_sets(specs: Sequence[DatasetSpec], found: Mapping[str, Path] | None) -> None:
    """Print the sets: a table if stdout is a terminal with room for it, else as `print_rows` does, with the titles in full.

    found: where those are that are there; None where nobody said where to look.
    """
    rows = [describe_row(spec) for spec in specs]
    places = [{} if found is None else {"found": str(found.get(spec.name, ""))} for spec in specs]
    if not sys.stdout.isatty() or has_no_room(len({**rows[0], **places[0]})):
        print_rows([{**row, "title": s.title, **place} for row, s, place in zip(rows, specs, places, strict=True)])
        return
    console = open_console(stderr=False)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in rows[0]:
        table.add_column(name, no_wrap=True)
    for name in places[0]:
        table.add_column(name, overflow="fold")
    for row, place in zip(rows, places, strict=True):
        table.add_row(*row.values(), *(Text(show(text)) for text in place.values()))
    console.print(table)
    text = f"And {OWN}: ratings of your own. Where to get a set, how its folder must look, whether it is whole:"
    console.print(Text(f"{text} iqa datasets show NAME", style="dim"))


def describe_row(spec: DatasetSpec) -> Row:
    """Describe a set in a row."""
    low, high = spec.score_range
    return {
        "name": spec.name,
        "set": spec.short,
        "images": str(spec.images),
        "scale": f"{low:g} to {high:g}",
        "best": "highest" if spec.higher_is_better else "lowest",
        "split": "official" if spec.official_split else "by reference" if spec.synthetic else "by image",
    }


def print_facts(name: str) -> None:
    """Print all that is known of a set. Raises UsageError for an unknown one."""
    print_pairs(OWN_FACTS if name == OWN else [(fact, text) for fact, text in list_facts(find_spec(name)) if text])


OWN_FACTS = (
    ("name", f"{OWN}: ratings of your own"),
    (
        "layout",
        f"--labels FILE: CSV with a header, one column of image paths, --image-column ({OwnRatings.image_column}), and one of"
        f" ratings, --score-column ({OwnRatings.score_column}). Paths are relative to --data-root where the images are there,"
        " else to the folder of the file. Several rows of an image are several ratings, and their mean counts.",
    ),
    (
        "score",
        "--score-range LOW HIGH. Without it the lowest and the highest rating are the ends, which changes the RMSE but no"
        " correlation. Higher is better, unless --lower-is-better.",
    ),
    ("split", "80/20, drawn by a seed, by image; or by the entries of --group-column, as references or photographers."),
    (
        "subsets",
        "iqa evaluate --subset-column NAME also measures the images of each entry alone; an empty cell is of no subset.",
    ),
)


def list_facts(spec: DatasetSpec) -> list[tuple[str, str]]:
    """List the facts of a set of the catalog."""
    low, high = spec.score_range
    better = "higher is better" if spec.higher_is_better else "lower is better"
    kind = "distorted versions of few references" if spec.synthetic else "photos as they were taken"
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
        ("caveat", spec.caveat),
        *(("shares photos with", DATASETS[name].title) for name in spec.shares),
        *(("published", describe_published(row)) for row in ROWS if row.dataset == spec.name),
    ]


def describe_published(row: Published) -> str:
    """Describe a figure of a paper with its protocol."""
    figures = [f"{name} {value:.3f}" for name, value in (("SRCC", row.srcc), ("PLCC", row.plcc)) if value is not None]
    trained = "" if row.trained_on == row.dataset else f", trained on {row.trained_on}"
    return f"{row.model}: {', '.join(figures)} ({row.protocol}{trained})"


def print_report(report: LabelReport) -> None:
    """Print what a check found, and the first few images of each kind of trouble."""
    low, high = report.spec.score_range
    of = "" if report.images == report.expected else f" of {report.expected:,}"
    splits = ", ".join(f"{count:,} {side}" for side, count in sorted(report.splits.items(), reverse=True))
    subsets = ", ".join(f"{count:,} {subset}" for subset, count in sorted(report.subsets.items()))
    groups = f"{report.references:,}" + (f" for {report.images:,} images" if report.references != report.images else "")
    print_pairs(
        [
            ("folder", str(report.root)),
            ("rated images", f"{report.images:,}{of}"),
            ("ratings", f"{report.lowest:g} to {report.highest:g}; the scale is {low:g} to {high:g}"),
            ("groups", groups),
            *([("official split", splits)] if splits else []),
            *([("subsets", subsets)] if subsets else []),
            ("missing", show_finding(report.missing)),
            ("unreadable", show_finding(report.unreadable)),
            ("rated twice", show_finding(report.repeated)),
            ("verdict", "whole" if report.intact else "not whole"),
        ]
    )


def show_finding(finding: Finding) -> str:
    """Show how many images, and the first."""
    more = ", ..." if finding.count > len(finding.first) else ""
    return f"{finding.count:,}: {', '.join(finding.first)}{more}" if finding.count else "none"
