"""What was measured, put into a model's card: the one way by which a figure gets there.

    python -m tests.benchmarks.card weights/NAME.json --cross-validation FILE --command TEXT --damage FILE --steadiness FILE

--cross-validation: the results.json of `iqa train --folds`, or the --results of `blended`; --command says what printed it.
--damage, --steadiness: the --json of those programs, which must have measured this model. What the card held before is gone.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from iqa_cli.errors import DataError, UsageError
from iqa_cli.models.card import read_card, write_card
from iqa_cli.training.report import quote_results

from .scored import run_whole

Result = dict[str, Any]


def read_measured(path: Path) -> Result:
    """What a program wrote. Raises DataError."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not what was measured: {error}") from error


def find_own(path: Path, measured: Result, name: str) -> tuple[str, list[Result]]:
    """The model of that name, as it was called on the command line, and its lines. Raises UsageError where there is none."""
    for called, lines in measured["models"].items():
        if Path(called).stem == name:
            return called, lines
    raise UsageError(f"{path}: {name} was not measured there, only {', '.join(measured['models'])}")


def quote_damage(measured: Result, name: str, lines: Sequence[Result]) -> Result:
    """Whether more damage scores lower."""
    count = len(measured["photos"])
    chosen = f"--held-out {measured['held_out']:g} --limit {count}"
    return {
        "dataset": f"{count} clean photos that no training saw, damaged at five levels",
        "protocol": "srcc: rank correlation of the level with minus the score, mean over the photos; "
        "above: share of the pairs in which the clean photo beats its damaged version of level 3 to 5",
        "command": f"python -m tests.benchmarks.damage --photos DIR {chosen} --model {name}",
        "damage": {line["name"]: {figure: round(line[figure], 3) for figure in ("srcc", "above")} for line in lines},
    }


def quote_steadiness(measured: Result, name: str, called: str, lines: Sequence[Result]) -> Iterator[Result]:
    """How far scores move when photos hardly change, and how far the model agrees with others."""
    count = len(measured["photos"])
    command = f"python -m tests.benchmarks.steadiness --photos DIR --limit {count} --model {name}"
    yield {
        "dataset": f"{count} photos without labels",
        "protocol": "change of the score in points when a photo is changed in ways that hardly show",
        "command": command,
        "moved": {line["change"]: {figure: round(line[figure], 2) for figure in ("median", "high")} for line in lines},
    }
    for own in measured["agreement"]:
        if called in (own["first"], own["second"]):
            other = Path(own["second"] if called == own["first"] else own["first"]).stem
            yield {
                "dataset": f"{count} photos without labels",
                "protocol": f"agreement with {other}; mean_difference: of the scores in points, without sign",
                "command": f"{command} --model {other}",
                **{figure: round(own[figure], 4) for figure in ("srcc", "plcc")},
                "mean_difference": round(own["absolute"], 2),
            }


def quote_all(given: argparse.Namespace, name: str) -> Iterator[Result]:
    """Every measurement that was named, as the card holds it. Raises DataError, UsageError."""
    if given.cross_validation is not None:
        yield from quote_results(given.cross_validation, given.command)
    if given.damage is not None:
        measured = read_measured(given.damage)
        yield quote_damage(measured, name, find_own(given.damage, measured, name)[1])
    if given.steadiness is not None:
        measured = read_measured(given.steadiness)
        yield from quote_steadiness(measured, name, *find_own(given.steadiness, measured, name))


def run(given: argparse.Namespace) -> None:
    """Read, quote, write. Raises IqaError."""
    if given.cross_validation is not None and not given.command:
        raise UsageError("say by --command what printed the cross-validation")
    card = read_card(given.card)
    results = tuple(quote_all(given, card.name))
    if not results:
        raise UsageError("name what was measured: --cross-validation, --damage, --steadiness")
    path = write_card(replace(card, results=results), given.card.parent)
    sys.stdout.write(f"wrote {path}: {len(results)} measurements\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; its exit code."""
    parser = argparse.ArgumentParser(description="Put what was measured into a model's card.", allow_abbrev=False)
    parser.add_argument("card", type=Path, metavar="CARD", help="the card to change")
    parser.add_argument("--cross-validation", type=Path, metavar="FILE", help="results.json, or of blended --results")
    parser.add_argument("--command", default="", metavar="TEXT", help="what printed it, with DIR and FILE for places")
    parser.add_argument("--damage", type=Path, metavar="FILE", help="--json of tests.benchmarks.damage")
    parser.add_argument("--steadiness", type=Path, metavar="FILE", help="--json of tests.benchmarks.steadiness")
    parser.set_defaults(json=None)
    return run_whole(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
