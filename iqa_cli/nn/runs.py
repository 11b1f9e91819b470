"""RunFolder: what a training run leaves behind, and what it goes on from.

options.json          every knob, written before the first step
split.json            which images were trained on, validated on, tested on
stats.jsonl           a line an epoch: losses by name, validation SRCC and PLCC, images a second
last.safetensors      the weights after the last epoch; best.safetensors: those of the best validation SRCC
state.safetensors     everything that the next epoch depends on
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isnan
from pathlib import Path
from typing import Any

from torch import Tensor

from iqa_cli.errors import DataError, UsageError
from iqa_cli.nn.checkpoint import load_tensors, save_tensors, save_weights
from iqa_cli.nn.network import QfmIqm


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

    def begin(
        self, options: Mapping[str, Any], split: Mapping[str, Any], *, resume: bool, defaults: Mapping[str, Any] | None = None
    ) -> None:
        """Write down what will be done; with `resume`, check that it is what was being done.

        defaults: of options; those that a run was begun without, because there were none yet, count as given by default.
        Raises UsageError where the folder holds another run, or a run and no `resume`; DataError where it cannot be written.
        """
        wanted = {"options.json": options, "split.json": split}
        known = {"options.json": defaults or {}, "split.json": {}}
        for name, data in wanted.items():
            path = self.path / name
            text = json.dumps(data, indent=2, default=str) + "\n"
            if not path.exists():
                self.write_text(path, text)
            elif not resume:
                raise UsageError(
                    f"{self.path}: there is a run in this folder already; go on with it by --resume, or name another"
                )
            elif fill_gaps(json.loads(path.read_text(encoding="utf-8")), known[name]) != json.loads(text):
                raise UsageError(
                    f"{path}: the run in this folder was begun with other {path.stem}; repeat them, or name another folder"
                )

    def write_text(self, path: Path, text: str) -> None:
        """A small file, whole or not at all. Raises DataError where it cannot be written."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(path.name + ".part")
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


def fill_gaps(found: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Nested data with what is missing at any depth taken from the defaults."""
    filled = {**defaults, **found}
    for name, value in defaults.items():
        if isinstance(value, Mapping) and isinstance(filled[name], dict):
            filled[name] = fill_gaps(filled[name], value)
    return filled
