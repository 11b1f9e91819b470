"""What helps, and what does not: one recipe, varied a piece at a time, over the same folds and seeds.

    python -m tests.benchmarks.grid --recipe weights/recipes/grid.toml --data-root DIR --backbone-weights FILE --runs grid

Each variant is a cross-validation in a folder of its own below --runs; one that is finished there is read, not repeated, and
one that was stopped goes on. The backbone stays frozen and its features are kept, so that a fold takes a minute or two on two
cores; --epochs adds fine-tuning. The last columns are the mean over the folds of the difference from "base", and the standard
error of that mean: a difference smaller than about twice its error is none.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from iqa_cli.errors import UsageError
from iqa_cli.training.events import EpochDone
from iqa_cli.training.options import TrainingOptions
from iqa_cli.training.plan import make_plan
from iqa_cli.training.recipes import apply_settings, parse_settings, read_recipe
from iqa_cli.training.run import train

from .common import Floats, print_table, read_seed, run_whole, show_figure, write_json

NO_METHOD = {"matching": {"noise": "none", "teacher_weight": 0.0}}


def noise(kind: str, **settings: Any) -> dict[str, Any]:
    """A variant with noise of one kind."""
    return {"matching": {"noise": kind, "teacher_weight": 0.0, **settings}}


VARIANTS: dict[str, dict[str, Any]] = {
    "base": NO_METHOD,
    "teacher": {"matching": {"noise": "none", "teacher_weight": 0.5}, "teachers": ["base"]},
    "semantic": noise("semantic"),
    "similar": noise("similar"),
    "random": noise("random"),
    "gaussian": noise("gaussian"),
    "semantic+teacher": {"matching": {"noise": "semantic", "teacher_weight": 0.5}, "teachers": ["base"]},
    "semantic, no sensitivity": noise("semantic", sensitivity_weight=0.0),
    "semantic, only sensitivity": noise("semantic", noisy_weight=0.0),
    "semantic, strength 0.1": noise("semantic", strength=0.1),
    "semantic, strength 0.25": noise("semantic", strength=0.25),
    "random, strength 0.25": noise("random", strength=0.25),
    "semantic, strength 1": noise("semantic", strength=1.0),
    "random, strength 1": noise("random", strength=1.0),
    "semantic, k 4": noise("semantic", k=4),
    "semantic, tolerance 0.02": noise("semantic", tolerance=0.02),
    "semantic, content token": noise("semantic", perturbed="content"),
    "random, content token": noise("random", perturbed="content"),
    "gaussian, content token": noise("gaussian", perturbed="content"),
    "semantic, content token, tolerance 0.1": noise("semantic", perturbed="content", tolerance=0.1),
    "semantic, content token, tolerance 0.2": noise("semantic", perturbed="content", tolerance=0.2),
    "semantic, content token+teacher": {"matching": {"noise": "semantic", "perturbed": "content"}, "teachers": ["base"]},
    "random, content token+teacher": {"matching": {"noise": "random", "perturbed": "content"}, "teachers": ["base"]},
    "distorted versions": {
        "matching": {"noise": "none", "teacher_weight": 0.0, "ranking_weight": 0.5},
        "samples": {"versions": 1, "distorted": 0.3, "partial": 0.4},
    },
    "relations of the teacher": {
        "matching": {"noise": "none", "teacher_weight": 0.0, "relation_weight": 0.5},
        "teachers": ["base"],
    },
    "semantic, other tokens": noise("semantic", perturbed="patches"),
}
"""Settings over the recipe's. A teacher is the network of the same fold of another variant: it never saw the fold's images."""


@dataclass(frozen=True)
class Row:
    """One variant's figures, a value a fold; matched: the share of crops for which a noise was found."""

    variant: str
    srcc: list[float]
    plcc: list[float]
    matched: float | None


def measure_variant(variant: str, begin: TrainingOptions, runs: Path) -> Row:
    """Cross-validate it, or read what was measured. Raises IqaError."""
    folder = runs / name_folder(variant)
    settings = dict(VARIANTS[variant])
    if "teachers" in settings:
        settings["teachers"] = [str(runs / name_folder(name) / "fold{fold}") for name in settings["teachers"]]
    options = apply_settings(replace(begin, run_dir=folder, resume=True), settings, variant)
    if not is_done(folder, options):
        for event in train(make_plan(options)):
            if isinstance(event, EpochDone) and event.epoch == event.epochs:
                sys.stderr.write(f"{variant}: a fold is done\n")
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    columns = ([float(row["sets"][0][name]["value"]) for row in results["trials"]] for name in ("srcc", "plcc"))
    return Row(variant, *columns, read_matched(folder))


def name_folder(variant: str) -> str:
    """A variant as a folder's name."""
    return variant.replace(",", "").replace(" ", "-")


def is_done(folder: Path, options: TrainingOptions) -> bool:
    """Whether all folds were measured there already."""
    path = folder / "results.json"
    folds = options.only or range(options.folds)
    return path.exists() and len(json.loads(path.read_text(encoding="utf-8"))["trials"]) == len(list(folds))


def read_matched(folder: Path) -> float | None:
    """The mean over the folds of the last epoch's share of crops that found a match."""
    last = [json.loads(path.read_text(encoding="utf-8").splitlines()[-1]) for path in sorted(folder.glob("fold*/stats.jsonl"))]
    shares = [row["rates"]["matched"] for row in last if "matched" in row["rates"]]
    return float(np.mean(shares)) if shares else None


def make_rows(rows: Sequence[Row]) -> list[list[str]]:
    """The table as text, header first; the first variant is what the others are compared with."""
    table = [["variant", "SRCC", "PLCC", "median", "low", "high", "matched", "SRCC - base", "PLCC - base"]]
    for row in rows:
        cells = [np.mean(row.srcc), np.mean(row.plcc), np.median(row.srcc), min(row.srcc), max(row.srcc)]
        deltas = [show_delta(np.subtract(a, b)) for a, b in ((row.srcc, rows[0].srcc), (row.plcc, rows[0].plcc))]
        table.append([row.variant, *(show_figure(float(cell), 4) for cell in cells), show_figure(row.matched), *deltas])
    return table


def show_delta(difference: Floats) -> str:
    """The mean and its standard error, over the folds."""
    error = float(np.std(difference, ddof=1)) / len(difference) ** 0.5 if len(difference) > 1 else None
    return f"{float(np.mean(difference)):+.4f} +- {show_figure(error, 4)}"


def begin_options(given: argparse.Namespace) -> TrainingOptions:
    """What all variants share. Raises UsageError."""
    options = TrainingOptions(run_dir=given.runs, folds=5, fold_file=given.fold_file, features=given.runs / "features")
    options = apply_settings(options, read_recipe(given.recipe), str(given.recipe))
    flags = {"data_root": given.data_root, "backbone_weights": given.backbone_weights, "loop": {"epochs": given.epochs}}
    options = apply_settings(options, {name: value for name, value in flags.items() if value is not None}, "the command line")
    return apply_settings(options, parse_settings(given.settings), "--set")


def run(given: argparse.Namespace) -> None:
    """Measure, print, write. Raises IqaError."""
    unknown = set(given.variant) - set(VARIANTS)
    if unknown:
        raise UsageError(f"no variant {', '.join(sorted(unknown))}; there are: {'; '.join(VARIANTS)}")
    options = begin_options(given)
    wanted = [name for name in VARIANTS if name == "base" or not given.variant or name in given.variant]
    rows = [measure_variant(name, options, given.runs) for name in wanted]
    print_table(make_rows(rows))
    if given.json is not None:
        write_json(given.json, {"variants": [asdict(row) for row in rows]})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; its exit code."""
    parser = argparse.ArgumentParser(description="What helps: a recipe varied a piece at a time.", allow_abbrev=False)
    parser.add_argument("--recipe", type=Path, required=True, metavar="FILE", help="the recipe to vary")
    parser.add_argument("--runs", type=Path, required=True, metavar="DIR", help="where the trainings are kept")
    parser.add_argument("--data-root", metavar="DIR", help="the folder of the set; else $IQA_DATA")
    parser.add_argument("--backbone-weights", metavar="FILE", help="pretrained weights; else from the hub")
    parser.add_argument("--fold-file", type=Path, metavar="FILE", help="CSV of image and fold; else the seed draws five")
    parser.add_argument("--epochs", type=read_seed, default=0, metavar="N", help="of fine-tuning, default 0")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME", help="only base and these; may be repeated")
    parser.add_argument(
        "--set", "-s", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="for all variants"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return run_whole(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
