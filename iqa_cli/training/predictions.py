"""predictions.csv: what was predicted for each image by a network that never saw it, and the split that this was done by.

Another run takes it as its split file: `iqa train --fold-file`, `iqa evaluate --fold-file`. A cross-validation leaves one in
its run folder, any other split one in the folder of each training. `evaluation.report.PREDICTION_COLUMNS` says what is in it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path

from iqa_cli.datasets.delimited import read_table
from iqa_cli.datasets.splits import ALWAYS, OUT, name_fold
from iqa_cli.evaluation.report import PREDICTION_COLUMNS
from iqa_cli.training.data.labeled import TrainingData
from iqa_cli.training.plan import Plan, Trial

FILE = "predictions.csv"


def group_trials(plan: Plan) -> Iterator[tuple[Path, list[Trial]]]:
    """The folders that have such a file, and the trials that are in it: those of folds together, others each by itself."""
    tested = [trial for trial in plan.trials if trial.test]
    if plan.options.has_folds:
        yield plan.options.run_dir, tested
    else:
        yield from ((trial.folder, [trial]) for trial in tested)


def describe_predictions(plan: Plan, trials: Sequence[Trial]) -> str:
    """The file, with the predictions of all trials that are done; "" where none is."""
    if plan.data is None or not any((trial.folder / "test.csv").exists() for trial in trials):
        return ""
    predicted = dict(row for trial in trials for row in read_predictions(trial))
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(PREDICTION_COLUMNS)
    rows.writerows(list_rows(plan, plan.data, trials, predicted))
    return text.getvalue()


def list_rows(
    plan: Plan, data: TrainingData, trials: Sequence[Trial], predicted: Mapping[str, str]
) -> Iterator[tuple[str, ...]]:
    """A row an image, in the order of the sets."""
    folds = number_folds(len(data.names), trials, numbered=plan.options.has_folds)
    ratings = [(labels.spec.name, rating.path) for labels in data.sets.values() for rating in labels.ratings]
    for (dataset, path), name, label, fold in zip(ratings, data.names, data.labels, folds, strict=True):
        yield dataset, plan.options.name, path, f"{100 * label:.4f}", predicted.get(name, ""), name_fold(fold)


def read_predictions(trial: Trial) -> Iterator[tuple[str, str]]:
    """Name and score of each test image of a trial that is done."""
    path = trial.folder / "test.csv"
    if path.exists():
        yield from ((row["image"], row["score"]) for row in read_table(path, ("image", "score")))


def number_folds(images: int, trials: Sequence[Trial], *, numbered: bool) -> list[int]:
    """The fold of each image: that of the trial that it tests, else `ALWAYS`, or `OUT` where no trial has it.

    numbered: trials go by their numbers; else there is one, and its test is fold 0.
    """
    folds = [OUT] * images
    for trial in trials:
        for index in (*trial.train, *trial.validation):
            folds[index] = ALWAYS if folds[index] == OUT else folds[index]
    for trial in trials:
        for index in trial.test:
            folds[index] = trial.fold or 0 if numbered else 0
    return folds
