"""What was measured, put into a model's card: the one way by which a figure gets there.

    python -m tests.benchmarks.card weights/NAME.json --cross-validation FILE --command TEXT --evaluation FILE --robustness FILE

--cross-validation: the results.json of `iqa train --folds`, or the --results of `blended`; --command says what printed it.
--evaluation: the --json of `iqa evaluate --split test`, or `--fold`, on images that training left out; may be repeated.
--twin: the same of a model of the same name that was trained in the same way without these images, where the model itself
learned from all; may be repeated. The card says whose figures they are.
--robustness: the --json of `iqa evaluate --robustness`, which must have measured this model; may be repeated. What was in
the card before is gone.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from iqa_cli.errors import DataError, UsageError
from iqa_cli.evaluation.metrics import plcc, srcc
from iqa_cli.models.card import read_card, write_card
from iqa_cli.training.report import quote_results

from .common import run_whole

Result = dict[str, Any]
FIGURES = ("srcc", "plcc")
DIGITS = 6  # so many that to round them again, to three, is to round once
OF_TWIN = "; by a network that was trained in the same way without these images"


def read_measured(path: Path) -> list[Result]:
    """What a program wrote. Raises DataError."""
    try:
        return list(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not what was measured: {error}") from error


def find_own(path: Path, measured: Sequence[Result], name: str) -> Result:
    """The entry of the model of that name. Raises UsageError where there is none."""
    for own in measured:
        if Path(own["model"]).stem == name:
            return own
    raise UsageError(f"{path}: {name} was not measured there, only {', '.join(own['model'] for own in measured)}")


def quote_robustness(measured: Sequence[Result], own: Result, name: str) -> Iterator[Result]:
    """Order by level, movements under harmless changes, and how far the model agrees with the others on the same photos."""
    count = len(own["photos"])
    chosen = f"--limit {count}" + (f" --held-out {own['held_out']:g}" if own["held_out"] < 1 else "")
    command = f"iqa evaluate --robustness DIR {chosen} -m {name}"
    figures = own["distortions"] | own["groups"]
    yield {
        "dataset": f"{count} clean photos that no training saw, distorted at five levels",
        "protocol": "srcc: rank correlation of the level with minus the score, mean over the photos; "
        "above: share of the pairs in which the clean photo beats its distorted version of level 3 to 5",
        "command": command,
        "distortions": {
            kind: {"srcc": round(row["srcc"], 3), "above": round(row["clean_above"], 3)} for kind, row in figures.items()
        },
    }
    yield {
        "dataset": f"{count} clean photos",
        "protocol": "change of the score in points when a photo is changed in ways that hardly show",
        "command": command,
        "moved": {
            change: {"median": round(row["median"], 2), "p95": round(row["p95"], 2)} for change, row in own["changes"].items()
        },
    }
    yield from (quote_agreement(own, other, command) for other in measured if other is not own)


def quote_agreement(own: Result, other: Result, command: str) -> Result:
    """How far two models agree on the photos as they are."""
    ours, theirs = (np.array(list(each["photos"].values())) for each in (own, other))
    return {
        "dataset": f"{len(ours)} clean photos",
        "protocol": f"agreement with {Path(other['model']).stem}; mean_difference: of the scores in points, without sign",
        "command": f"{command} -m {Path(other['model']).stem} --json FILE",
        "srcc": round(srcc(ours, theirs), DIGITS),
        "plcc": round(plcc(ours, theirs), DIGITS),
        "mean_difference": round(float(np.abs(ours - theirs).mean()), 2),
    }


def quote_evaluation(measured: Sequence[Result], name: str, *, twin: bool = False) -> Iterator[Result]:
    """How well the model, or its twin, agrees with people on each set that was evaluated, with the intervals.

    Raises UsageError where several models have that name.
    """
    chosen = [own for own in measured if own["card"] == name]
    models = dict.fromkeys(own["model"] for own in chosen)
    if len(models) > 1:
        raise UsageError(f"{' and '.join(models)} are both called {name}: evaluate one of them")
    for own in chosen:
        figures = {figure: {key: round(value, DIGITS) for key, value in own[figure].items()} for figure in FIGURES}
        protocol, part = own["protocol"], "--split test"
        if protocol == "folds":
            protocol = own["measured_on"]  # "fold 0 of folds.csv"
            part = f"--fold-file FILE --fold {protocol.split()[1]}"
        command = f"iqa evaluate -d {own['dataset']} --data-root DIR {part} -m {'TWIN' if twin else name}"
        protocol += OF_TWIN if twin else ""
        yield {"dataset": own["dataset"], "protocol": protocol, "images": own["images"], "command": command, **figures}


def quote_all(given: argparse.Namespace, name: str) -> Iterator[Result]:
    """Every measurement that was named, as the card holds it. Raises DataError, UsageError."""
    if given.cross_validation is not None:
        yield from quote_results(given.cross_validation, given.command)
    for path in given.evaluation:
        yield from quote_evaluation(read_measured(path), name)
    for path in given.twin:
        yield from quote_evaluation(read_measured(path), name, twin=True)
    for path in given.robustness:
        measured = read_measured(path)
        yield from quote_robustness(measured, find_own(path, measured, name), name)


def run(given: argparse.Namespace) -> None:
    """Read, quote, write. Raises IqaError."""
    if given.cross_validation is not None and not given.command:
        raise UsageError("say by --command what printed the cross-validation")
    card = read_card(given.card)
    results = tuple(quote_all(given, card.name))
    if not results:
        raise UsageError("name what was measured: --cross-validation, --evaluation, --twin, --robustness")
    path = write_card(replace(card, results=results), given.card.parent)
    sys.stdout.write(f"wrote {path}: {len(results)} measurements\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; its exit code."""
    parser = argparse.ArgumentParser(description="Put what was measured into a model's card.", allow_abbrev=False)
    parser.add_argument("card", type=Path, metavar="CARD", help="the card to change")
    parser.add_argument("--cross-validation", type=Path, metavar="FILE", help="results.json, or of blended --results")
    parser.add_argument("--command", default="", metavar="TEXT", help="what printed it, with DIR and FILE for places")
    parser.add_argument("--evaluation", type=Path, action="append", default=[], metavar="FILE", help="--json of iqa evaluate")
    parser.add_argument("--twin", type=Path, action="append", default=[], metavar="FILE", help="the same, of the model's twin")
    parser.add_argument(
        "--robustness", type=Path, action="append", default=[], metavar="FILE", help="--json of iqa evaluate --robustness"
    )
    parser.set_defaults(json=None)
    return run_whole(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
