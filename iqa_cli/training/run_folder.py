"""RunFolder: what a training run leaves behind, and what it goes on from.

lock                  held by the process that trains there
options.json          every knob that the weights depend on, written before the first step
split.json            which images were trained on, validated on, tested on
stats.jsonl           a line an epoch: losses by name, validation SRCC and PLCC, images a second
last.safetensors      the weights after the last epoch; best.safetensors: those of the best validation SRCC
state.safetensors     everything that the next epoch depends on
test.csv, test.json   what was thought of each test image, and how well that agrees with people
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from math import isnan
from pathlib import Path
from typing import Any

from torch import Tensor

from iqa_cli.errors import DataError, UsageError
from iqa_cli.locks import lock_folder
from iqa_cli.networks.checkpoint import load_tensors, save_tensors, save_weights
from iqa_cli.networks.network import QfmIqm
from iqa_cli.training.options import StudyOptions

NO_MATTER = (
    "run_dir",
    "resume",
    "only",
    "repeats",
    "decoded",
    "decoded_gb",
    "tensorboard",
    "features",
    "measured",
    "measured_by",
    "summary",
    "backbone_source",
    "photos_source",
    "limits",
    "loop.workers",
    "loop.threads",
)
"""Options that weights do not depend on, but for the order in which threads sum up. A dot parts a table from its field."""


@dataclass(frozen=True)
class Snapshot:
    """A training between two epochs: `epoch` of them are done, `steps` steps taken."""

    epoch: int
    steps: int
    tensors: dict[str, Tensor]

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors below one name, without it."""
        return {key.removeprefix(f"{name}."): value for key, value in self.tensors.items() if key.startswith(f"{name}.")}


class RunFolder:
    """One folder, one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lock(self) -> AbstractContextManager[None]:
        """No other process works in the folder while the block lasts. Raises UsageError, DataError as `lock_folder` does."""
        return lock_folder(self.path)

    def begin(self, options: StudyOptions, split: Mapping[str, Any], *, resume: bool) -> None:
        """Write down what will be done; with `resume`, check that it is what was being done.

        Raises UsageError where the folder holds another run, or a run and no `resume`; DataError where it cannot be written.
        """
        if not (self.path / "options.json").exists():
            self.write_json("options.json", describe_options(options))
        elif not resume:
            raise UsageError(f"{self.path}: there is a run in this folder already; go on with it by --resume, or name another")
        self.check_options(options)
        if not (self.path / "split.json").exists():
            self.write_json("split.json", split)
        self.check_same("split.json", self.read_json("split.json"), split)

    def check_options(self, options: StudyOptions) -> None:
        """Raises UsageError where the run in the folder was begun with options that lead to other weights.

        Those that a run was begun without, because there were none yet, count as given by default.
        """
        begun = settle_options(fill_gaps(self.read_json("options.json"), DEFAULTS))
        self.check_same("options.json", begun, describe_options(options))

    def check_same(self, name: str, begun: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        """Raises UsageError where what a file holds is not what is wanted."""
        if begun != wanted:
            path = self.path / name
            raise UsageError(
                f"{path}: the run in this folder was begun with other {path.stem}; repeat them, or name another folder"
            )

    def write_json(self, name: str, data: Mapping[str, Any]) -> None:
        """One of the JSON files. Raises DataError where it cannot be written."""
        self.write_text(self.path / name, json.dumps(data, indent=2) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """One of the JSON files. Raises DataError where it is not there, or none."""
        try:
            return dict(json.loads((self.path / name).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path / name}: cannot be read: {error}") from error

    def write_text(self, path: Path, text: str) -> None:
        """A small file, whole or not at all. Raises DataError where it cannot be written."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f"{path.name}.{os.getpid()}.part")
            aside.write_text(text, encoding="utf-8")
            aside.replace(path)
        except OSError as error:
            raise DataError(f"{path}: cannot write: {error.strerror}") from error

    def read_stats(self) -> list[dict[str, Any]]:
        """The epochs so far."""
        path = self.path / "stats.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def keep_epoch(self, stats: Any, network: QfmIqm, snapshot: Snapshot) -> None:
        """Keep an epoch's statistics, weights and state. The state comes last: what it counts is on disk already."""
        rows = [row for row in self.read_stats() if row["epoch"] < snapshot.epoch]
        best = max((row["srcc"] for row in rows if row["srcc"] is not None and not isnan(row["srcc"])), default=-2.0)
        rows.append(asdict(stats))
        if stats.srcc is None or stats.srcc > best or stats.epoch == 1:  # the first may be nan, which is no more than nothing
            save_weights(self.path / "best.safetensors", network)
        save_weights(self.path / "last.safetensors", network)
        self.write_text(self.path / "stats.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        save_tensors(self.path / "state.safetensors", snapshot.tensors, {"epoch": snapshot.epoch, "steps": snapshot.steps})

    def read_snapshot(self) -> Snapshot | None:
        """The state after the last whole epoch, None before the first."""
        path = self.path / "state.safetensors"
        if not path.exists():
            return None
        tensors, facts = load_tensors(path)
        return Snapshot(facts["epoch"], facts["steps"], tensors)


def describe_options(options: StudyOptions) -> dict[str, Any]:
    """The options as options.json holds them: what the weights depend on, not where they lie."""
    data = asdict(replace(options, decoded_side=options.decoded_side if options.decoded else 0))
    return settle_options(json.loads(json.dumps(data, default=str)))


def settle_options(data: Mapping[str, Any]) -> dict[str, Any]:
    """Options without what does not matter. Of the device its kind matters, which decides on precision, not its number."""
    settled = leave_out(data, NO_MATTER)
    settled["loop"]["device"] = settled["loop"]["device"].partition(":")[0]
    return settled


def leave_out(data: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Nested data without some of its fields; "table.field" names one of a table."""
    inner = {table: {name.removeprefix(f"{table}.") for name in names if name.startswith(f"{table}.")} for table in data}
    return {
        name: leave_out(value, inner[name]) if isinstance(value, Mapping) else value
        for name, value in data.items()
        if name not in names
    }


def fill_gaps(found: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Nested data with what is missing at any depth taken from the defaults."""
    filled = {**defaults, **found}
    for name, value in defaults.items():
        if isinstance(value, Mapping) and isinstance(filled[name], dict):
            filled[name] = fill_gaps(filled[name], value)
    return filled


DEFAULTS = describe_options(StudyOptions(Path()))
"""What an options.json meant that was written before an option was there."""
