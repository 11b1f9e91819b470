"""Robustness as flat rows, as data for JSON, and as files: a CSV line a picture, a JSON array with a model an entry."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from iqa_cli.evaluation.local_faults import PICTURES as LOCAL
from iqa_cli.evaluation.report import round_value
from iqa_cli.evaluation.robustness import CHAINS, Order, Robustness
from iqa_cli.files.atomic import STDOUT, Target, open_target
from iqa_cli.files.outputs import Output, begins_json, begins_table
from iqa_cli.images.distortions import HARMLESS
from iqa_cli.scoring.writers import Value, clean, encode_csv

FIGURES = ("model", "measure", "name", "photos", "srcc", "clean_above", "median", "p95")
"""Columns of the figures. measure: "distortion", "group" (the mean over some distortions), "local" (a distortion of a part; its
median is the fall of the score) or "change" (a harmless one)."""
PICTURES = ("model", "path", "measure", "name", "level", "score")
"""Columns of the file with a line a picture. name: empty for the photo as it is; level: of a distortion, 0 to 5."""


def list_rows(robustness: Robustness) -> list[dict[str, Value]]:
    """List all figures of one model, a row each."""
    facts: dict[str, Value] = {"model": robustness.model, "photos": len(robustness.photos)}
    rows: list[dict[str, Value]] = [
        {"measure": measure, "name": order.name, "srcc": order.srcc, "clean_above": order.clean_above}
        for measure, orders in (("distortion", robustness.orders), ("group", robustness.groups))
        for order in orders
    ]
    rows += [{"measure": "local", "name": f.fault, "clean_above": f.lower, "median": f.median} for f in robustness.falls]
    rows += [{"measure": "change", "name": m.change, "median": m.median, "p95": m.p95} for m in robustness.movements]
    return [{name: round_figure({**facts, **row}.get(name)) for name in FIGURES} for row in rows]


def round_figure(value: Value) -> Value:
    """Round a number as files show it."""
    return round_value(value) if isinstance(value, float) else value


def list_pictures(robustness: Robustness) -> Iterator[tuple[Value, ...]]:
    """List a row of PICTURES for each picture that was scored, photo by photo."""
    for place, path in enumerate(robustness.photos):
        for chain, scores in zip(CHAINS, robustness.distorted[place].tolist(), strict=True):
            for level, score in enumerate(scores):
                yield robustness.model, path, "distortion", chain, level, round_value(score)
        for (fault, _), score in zip(LOCAL, robustness.local[place].tolist(), strict=True):
            yield robustness.model, path, "local", fault, None, round_value(score)
        for change, score in zip(("", *HARMLESS), robustness.changed[place].tolist(), strict=True):
            yield robustness.model, path, "change", change, None, round_value(score)


def describe_robustness(robustness: Robustness) -> dict[str, Any]:
    """The outcome as JSON holds it. photos: path -> score of the photo as it is."""
    return {
        "model": robustness.model,
        "held_out": robustness.held_out,
        "seed": robustness.seed,
        "photos": dict(zip(robustness.photos, robustness.changed[:, 0].tolist(), strict=True)),
        "failed": robustness.failed,
        "distortions": describe_orders(robustness.orders),
        "groups": describe_orders(robustness.groups),
        "local": {f.fault: {"pictures": f.pictures, "lower": f.lower, "median": f.median} for f in robustness.falls},
        "changes": {m.change: {"median": m.median, "p95": m.p95} for m in robustness.movements},
    }


def describe_orders(orders: Sequence[Order]) -> dict[str, dict[str, Any]]:
    """The figures by name."""
    return {order.name: {key: value for key, value in asdict(order).items() if key != "name"} for order in orders}


def list_outputs(pictures: Path | None, data: Path | None) -> list[Output]:
    """List the files among the outputs, for `files.outputs.check_outputs`."""
    kinds = {
        "--csv": (pictures, "CSV of scored pictures", begins_table(*PICTURES)),
        "--json": (data, "a JSON array of figures", begins_json("model", "held_out", "photos", opening="[{")),
    }
    return [Output(path, option, words, check) for option, (path, words, check) in kinds.items() if path not in (None, STDOUT)]


@dataclass(frozen=True)
class RobustnessFiles:
    """The files that the outcome is written to. Whatever is None is not wanted."""

    pictures: Target | None
    data: Target | None

    def write(self, outcomes: Sequence[Robustness]) -> None:
        """Write the outcomes to all of them. Raises as `Target.write` does."""
        if self.pictures is not None:
            rows = (row for outcome in outcomes for row in list_pictures(outcome))
            self.pictures.write(encode_csv(PICTURES) + b"".join(map(encode_csv, rows)))
        if self.data is not None:
            entries = [clean(describe_robustness(outcome)) for outcome in outcomes]
            self.data.write(json.dumps(entries, ensure_ascii=False, indent=1, allow_nan=False).encode() + b"\n")


@contextmanager
def open_results(pictures: Path | None, data: Path | None) -> Iterator[RobustnessFiles]:
    """Open the outputs, which are complete when the block ends. Raises DataError where one cannot be written, at once."""
    with ExitStack() as stack:
        yield RobustnessFiles(*(None if path is None else stack.enter_context(open_target(path)) for path in (pictures, data)))
