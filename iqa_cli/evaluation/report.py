"""Evaluations as flat rows, as data for JSON, and as files: a CSV line an image, a JSON array, scatter plots."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from statistics import median_low
from typing import Any

from iqa_cli.datasets.own import name_own
from iqa_cli.datasets.splits import name_fold
from iqa_cli.evaluation.measure import Disagreement, find_disagreements
from iqa_cli.evaluation.plots import check_target, plot_scatter
from iqa_cli.evaluation.run import Evaluation
from iqa_cli.files.atomic import STDOUT, Target, open_target
from iqa_cli.files.outputs import Output, begins_json, begins_table, is_plot
from iqa_cli.models.card import drop_nan
from iqa_cli.options import OWN, EvaluateOptions
from iqa_cli.scoring.writers import Value, clean, encode_csv

COLUMNS = (
    *("dataset", "model", "path", "group", "rating", "opinion", "score", "fitted", "residual", "status", "detail"),
    "subset",
)
"""Of the file with a line an image. rating: as published; opinion: the MOS on 0..100, higher is better; score: the model's, on
its own scale; fitted: the score on the scale of the MOS; residual: fitted less MOS; subset: of the set, if of any.
"""
PREDICTION_COLUMNS = ("dataset", "model", "image", "label", "prediction", "fold")
"""Of the file of predictions and splits, which another run takes as its split file (`datasets.splits.read_folds`).

image: its path in the set. label, prediction: MOS and score on 0..100, higher is better; the prediction is empty where none was
made. fold: 0 or more for images that are measured on, by models that were not trained on that fold; `train` for those that are
always trained on, `out` for those that never are.
"""
DECIMALS = 4  # more than ratings have, so that whoever computes a correlation from the file gets the same one


def round_value(value: float | None) -> Value:
    """Round a number as files show it; None for what is not defined."""
    return None if value is None or not isfinite(value) else round(value, DECIMALS) + 0.0  # which is no -0.0


# ---- in a row ----


def list_rows(evaluation: Evaluation) -> list[dict[str, Value]]:
    """The evaluation in one flat row, and one for each subset and each published figure that may stand beside it."""
    measured = {
        "source": "measured",
        "protocol": str(evaluation.protocol),
        "measured_on": evaluation.images,
        **count_images(evaluation),
    }
    for name, estimate in evaluation.figures.items():
        ends = (("", estimate.value), ("_low", estimate.low), ("_high", estimate.high))
        measured |= {name + end: round_value(value) for end, value in ends}
    begin = {"dataset": evaluation.labels.spec.name, "model": evaluation.model, "subset": None}
    rows = [{**begin, **measured, "note": "; ".join(filter(None, (evaluation.warning, evaluation.caveat)))}]
    for row in evaluation.subsets:
        within = {name: round_value(value) if isinstance(value, float) else value for name, value in asdict(row).items()}
        rows.append(
            dict.fromkeys(rows[0]) | begin | {name: measured[name] for name in ("source", "protocol", "measured_on")} | within
        )
    for paper in evaluation.published:
        figures = {"srcc": paper.srcc, "plcc": paper.plcc}
        facts = {"dataset": paper.dataset, "model": paper.model, "source": "published", "protocol": str(paper.protocol)}
        note = f"trained on {paper.trained_on}; {paper.paper}"
        rows.append(dict.fromkeys(rows[0]) | facts | figures | {"note": note})
    return rows


def count_images(evaluation: Evaluation) -> dict[str, Value]:
    """Count the images that the figures are about, of several test parts the median, and those of the set without a score."""
    return {"images": median_low(evaluation.sizes), "failed": evaluation.measurement.failed}


# ---- as data ----


def describe_evaluation(evaluation: Evaluation, worst: int) -> dict[str, Any]:
    """The evaluation as JSON holds it; what is not defined is None."""
    spec = evaluation.labels.spec
    data = {
        "dataset": spec.name,
        "title": spec.title,
        "model": evaluation.model,
        "card": evaluation.card.name,
        "protocol": str(evaluation.protocol),
        "measured_on": evaluation.images,
        **count_images(evaluation),
        "scale": {"low": spec.score_range[0], "high": spec.score_range[1], "higher_is_better": spec.higher_is_better},
        "notes": list(spec.notes),
        **asdict(evaluation.card.provenance),
        "contamination": evaluation.warning,
        "caveat": evaluation.caveat,
        "interval": evaluation.interval,
        **{name: asdict(estimate) for name, estimate in evaluation.figures.items()},
        "subsets": [asdict(row) for row in evaluation.subsets],
        "logistic": asdict(evaluation.measurement.logistic),
        "parts": list_parts(evaluation),
        "published": [asdict(row) | {"paper": row.paper} for row in evaluation.published],
        "worst": [describe_disagreement(row) for row in find_worst(evaluation, worst)],
        "failures": [{"path": r.path, "status": str(r.status), "detail": r.detail} for r in evaluation.comparison.failed],
    }
    return {key: drop_nan(value) for key, value in data.items()}


def list_parts(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The figures of each test part as JSON holds them, with how many images they are of; none without several."""
    parts = [] if evaluation.parts is None else evaluation.parts.parts
    return [{"images": size, **asdict(part)} for part, size in zip(parts, evaluation.sizes, strict=False)]


def describe_disagreement(row: Disagreement) -> dict[str, Any]:
    """One image as JSON holds it; its MOS is called as in COLUMNS."""
    return {"opinion" if name == "mos" else name: value for name, value in asdict(row).items()}


def find_worst(evaluation: Evaluation, count: int) -> list[Disagreement]:
    """Find the images on which model and people disagree most."""
    return find_disagreements(evaluation.comparison.pairs, evaluation.measurement.logistic, count)


# ---- as files ----


def list_images(evaluation: Evaluation) -> Iterator[tuple[Value, ...]]:
    """List a row of COLUMNS for each image, in the order of the ratings."""
    labels, comparison, logistic = evaluation.labels, evaluation.comparison, evaluation.measurement.logistic
    for rating, mos, record in zip(labels.ratings, labels.mos.tolist(), comparison.records, strict=True):
        score = comparison.scale(record)
        fitted = None if score is None else float(logistic([score])[0])
        yield (
            labels.spec.name,
            evaluation.model,
            record.path,
            rating.reference,
            round_value(rating.value),
            round_value(mos),
            round_value(record.score),
            round_value(fitted),
            round_value(None if fitted is None else fitted - mos),
            str(record.status),
            record.detail,
            rating.subset,
        )


def list_predictions(evaluation: Evaluation) -> Iterator[tuple[Value, ...]]:
    """A row of PREDICTION_COLUMNS for each image of the set, measured on or not."""
    part, comparison = evaluation.part, evaluation.comparison
    paths = [rating.path for rating in evaluation.labels.ratings]
    scores = dict(zip(paths, map(comparison.scale, comparison.records), strict=True))
    for rating, mos, fold in zip(part.whole.ratings, part.whole.mos.tolist(), part.folds.tolist(), strict=True):
        score = scores.get(rating.path)
        yield (
            part.whole.spec.name,
            evaluation.model,
            rating.path,
            round_value(mos),
            round_value(score),
            name_fold(fold),
        )


@dataclass
class ResultFiles:
    """The files that evaluations are written to, each as soon as it is done. Whatever is None is not wanted.

    predictions: of single images, with the split (PREDICTION_COLUMNS).

    worst: how many of the largest disagreements stand in the JSON. several: there are more evaluations than one, so that each
    plot has the names of set and model in its own. plots: those that are drawn.
    """

    images: Target | None
    data: Target | None
    plot: Path | None
    worst: int
    several: bool
    predictions: Target | None = None

    def __post_init__(self) -> None:
        self.plots: list[Path] = []
        self._head, self._before = encode_csv(COLUMNS), b"[\n"
        self._prediction_head = encode_csv(PREDICTION_COLUMNS)

    def write(self, evaluation: Evaluation) -> None:
        """Write an evaluation to all of them. Raises as `Target.write` and `plot_scatter` do."""
        if self.images is not None:
            self.images.write(self._head + b"".join(map(encode_csv, list_images(evaluation))))
            self._head = b""
        if self.predictions is not None:
            self.predictions.write(self._prediction_head + b"".join(map(encode_csv, list_predictions(evaluation))))
            self._prediction_head = b""
        if self.data is not None:
            data = clean(describe_evaluation(evaluation, self.worst))
            text = json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False)
            self.data.write(self._before + text.encode(), tail=b"\n]\n")
            self._before = b",\n"
        if self.plot is not None:
            names = evaluation.labels.spec.name, evaluation.model
            path = name_plot(self.plot, *names) if self.several else self.plot
            title = f"{evaluation.model} on {evaluation.labels.spec.title}"
            plot_scatter(path, evaluation.comparison.pairs, evaluation.measurement.logistic, title, evaluation.warning)
            self.plots.append(path)


def name_plot(path: Path, dataset: str, model: str) -> Path:
    """Name the plot of one evaluation: plot.png -> plot-livec-qfm-iqm.png."""
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in model.strip("/"))
    return path.with_stem(f"{path.stem}-{dataset}-{name}")


def name_plots(path: Path | None, options: EvaluateOptions) -> list[Path]:
    """List the plots that an evaluation will draw. Raises as `check_target` does."""
    if path is None:
        return []
    check_target(path)
    if options.count == 1:
        return [path]
    own = options.sets.own.labels
    sets = [name_own(own) if own and name == OWN else name for name in options.sets.names]
    return [name_plot(path, dataset, model) for model in options.models for dataset in sets]


def list_outputs(
    images: Path | None, data: Path | None, plots: Iterable[Path], predictions: Path | None = None
) -> list[Output]:
    """List the files among the outputs, for `files.outputs.check_outputs`."""
    table = begins_table(*COLUMNS[:-1])  # tables without the last column are earlier ones
    array = begins_json("dataset", "title", "model", "card", "protocol", opening="[{")
    return [
        *(Output(path, "--csv", "CSV of an evaluation", table) for path in [images] if path not in (None, STDOUT)),
        *(Output(path, "--json", "a JSON array of figures", array) for path in [data] if path not in (None, STDOUT)),
        *(
            Output(path, "--predictions", "predictions", begins_table(*PREDICTION_COLUMNS))
            for path in [predictions]
            if path not in (None, STDOUT)
        ),
        *(Output(path, "--plot", "a plot", is_plot) for path in plots),
    ]


@contextmanager
def open_results(  # noqa: PLR0913  # its outputs, each by name
    images: Path | None,
    data: Path | None,
    plot: Path | None,
    *,
    worst: int,
    several: bool,
    predictions: Path | None = None,
) -> Iterator[ResultFiles]:
    """Open the outputs, which are complete when the block ends, however it ends; what cannot be written is said at once.

    Raises UsageError where a plot is of no known kind, DataError where one cannot be written.
    """
    if plot is not None:
        check_target(plot)
    with ExitStack() as stack:
        targets = [None if path is None else stack.enter_context(open_target(path)) for path in (images, data, predictions)]
        yield ResultFiles(targets[0], targets[1], plot, worst, several, targets[2])
