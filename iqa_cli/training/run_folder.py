"""RunFolder: what a training run leaves behind, and what it is resumed from.

lock                  held by the process that trains there
options.json          every option that the weights depend on, written before the first step
split.json            the images that were trained on, validated on, tested on
stats.jsonl           a line an epoch: losses by name, validation SRCC and PLCC, images a second
last.safetensors      the weights after the last epoch; best.safetensors: those of the best validation SRCC
state.safetensors     everything that the next epoch depends on
test.csv, test.json   the prediction for each test image, and how well they agree with people
predictions.csv       the same with the split, of all folds together; see `training.predictions`
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from math import isnan
from pathlib import Path
from typing import Any

from torch import Tensor

from iqa_cli.errors import DataError, UsageError
from iqa_cli.files.locks import lock_folder
from iqa_cli.files.replacing import replacing
from iqa_cli.networks.checkpoint import load_tensors, save_tensors, save_weights
from iqa_cli.networks.network import QfmIqm
from iqa_cli.training.distributed import SINGLE, ProcessGroup
from iqa_cli.training.events import EpochDone


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
    """One folder, one run. Of several processes the main one writes; after each epoch the others wait for it."""

    def __init__(self, path: Path, group: ProcessGroup = SINGLE) -> None:
        self.path = path
        self.group = group

    @property
    def features(self) -> Path:
        """Where features are cached while the head is trained."""
        return self.path / "features"

    def lock(self) -> AbstractContextManager[None]:
        """No other run works in the folder while the block lasts. Raises UsageError, DataError as `lock_folder` does."""
        return lock_folder(self.path) if self.group.is_main else nullcontext()

    def begin(self, settings: Mapping[str, Any], split: Mapping[str, Any], *, resume: bool) -> None:
        """Write down what will be done; with `resume`, check that it is what was being done.

        Raises UsageError where the folder holds another run, or a run and no `resume`; DataError where it cannot be written.
        """
        if self.group.is_main:
            if not (self.path / "options.json").exists():
                self.write_json("options.json", settings)
            elif not resume:
                raise UsageError(
                    f"{self.path}: there is a run in this folder already; go on with it by --resume, or name another"
                )
            self.check_settings(settings)
            if not (self.path / "split.json").exists():
                self.write_json("split.json", split)
            self.check_same("split.json", split)
        self.group.wait()

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Raises UsageError where the run in the folder was begun with options that lead to other weights."""
        self.check_same("options.json", settings)

    def check_same(self, name: str, wanted: Mapping[str, Any]) -> None:
        """Raises UsageError where what a file holds is not what is wanted."""
        if self.read_json(name) != wanted:
            path = self.path / name
            raise UsageError(
                f"{path}: the run in this folder was begun with other {path.stem}; repeat them, or name another folder"
            )

    def write_json(self, name: str, data: Mapping[str, Any]) -> None:
        """One of the JSON files. Raises DataError where it cannot be written."""
        self.write_text(name, json.dumps(data, indent=2) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """One of the JSON files. Raises DataError where it is not there, or none."""
        try:
            return dict(json.loads((self.path / name).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path / name}: cannot be read: {error}") from error

    def write_text(self, name: str, text: str) -> Path:
        """A small file, whole or not at all; its path. Raises DataError where it cannot be written."""
        path = self.path / name
        if not self.group.is_main:
            return path
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with replacing(path) as aside:
                aside.write_text(text, encoding="utf-8")
        except OSError as error:
            raise DataError(f"{path}: cannot write: {error.strerror}") from error
        return path

    def read_stats(self) -> list[dict[str, Any]]:
        """The epochs so far."""
        path = self.path / "stats.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def keep_epoch(self, stats: EpochDone, network: QfmIqm, snapshot: Snapshot) -> None:
        """Keep an epoch's statistics, weights and state. The state comes last: what it counts is on disk already."""
        if self.group.is_main:
            rows = [row for row in self.read_stats() if row["epoch"] < snapshot.epoch]
            best = max((row["srcc"] for row in rows if row["srcc"] is not None and not isnan(row["srcc"])), default=-2.0)
            rows.append(asdict(stats))
            if stats.srcc is None or stats.srcc > best or stats.epoch == 1:  # the first may be nan, no more than nothing
                save_weights(self.path / "best.safetensors", network)
            save_weights(self.path / "last.safetensors", network)
            self.write_text("stats.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
            save_tensors(self.path / "state.safetensors", snapshot.tensors, {"epoch": snapshot.epoch, "steps": snapshot.steps})
        self.group.wait()

    def read_snapshot(self) -> Snapshot | None:
        """The state after the last whole epoch, None before the first."""
        path = self.path / "state.safetensors"
        if not path.exists():
            return None
        tensors, facts = load_tensors(path)
        return Snapshot(facts["epoch"], facts["steps"], tensors)

    def drop_features(self) -> None:
        """Delete the cached features, which fine-tuning has no use for."""
        if self.group.is_main:
            shutil.rmtree(self.features, ignore_errors=True)
