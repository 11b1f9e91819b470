"""RunFolder: what a training run leaves behind, and what it is resumed from.

lock                  held by the process that trains there
options.json          every option that the weights depend on, and digests of files, written before the first step
split.json            the images that were trained on, validated on, tested on
stats.jsonl           a line an epoch: losses by name, validation SRCC and PLCC, images a second
last.safetensors      the weights after the last epoch; best.safetensors: those of the best validation SRCC
state.safetensors     everything that the next epoch depends on
test.csv, test.json   the prediction for each test image, and how well they agree with people
predictions.csv       the same with the split, of all folds together; see `training.predictions`
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
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
from iqa_cli.training.data.content import CONTENT, PLACES
from iqa_cli.training.distributed import SINGLE, ProcessGroup
from iqa_cli.training.events import EpochDone
from iqa_cli.training.recipes import NO_EFFECT, leave_out

BARE = ("lock", "options.json", "split.json", "features", "tensorboard")
TEACHER = re.compile(r"(begun-)?teacher-\w+\.safetensors")
"""What stands in a folder before the first epoch is done: this, and teacher predictions, under names of their own."""

NONE = -2.0  # worse than any SRCC
KEPT = ("state.safetensors", "stats.jsonl", "last.safetensors", "best.safetensors")  # of the epochs that are done
SHOWN, WIDEST = 3, 48  # differences that are named, and characters of a value
MISSING = object()


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

        What was begun and came to nothing, not even an epoch, is begun anew. Raises UsageError where the folder holds another
        run, or a run and no `resume`; DataError where it cannot be written.
        """
        if self.group.is_main:
            self.refuse_present(resume=resume)
            if resume and (self.path / "options.json").exists():
                self.check_begun(settings, split)
            for name, data in (("options.json", settings), ("split.json", split)):
                if not resume or not (self.path / name).exists():
                    self.write_json(name, data)
        self.group.wait()

    def refuse_present(self, *, resume: bool) -> None:
        """Raises UsageError for a run that has left more than what can be had again: it is resumed, if it is known at all."""
        names = [path.name for path in self.path.iterdir()]
        if "options.json" not in names:
            left = [name for name in KEPT if name in names]
            if left:
                raise UsageError(
                    f"{self.path}: there is {left[0]} of a run in this folder, but no options.json, which says how it was"
                    " begun; name another folder"
                )
        elif not resume and not all(name in BARE or TEACHER.fullmatch(name) for name in names):
            raise UsageError(f"{self.path}: there is a run in this folder already; go on with it by --resume, or name another")

    def check_begun(self, settings: Mapping[str, Any], split: Mapping[str, Any]) -> None:
        """Raises UsageError where the run in the folder was begun with options or a split that lead to other weights.

        Where a file lies does not matter, if what it holds was written down, then and now.
        """
        begun = self.read_json("options.json")
        then, now = (each.get(CONTENT, {}) for each in (begun, settings))
        places = [place for name in PLACES if name in then and name in now for place in PLACES[name]]
        alone = [f"{CONTENT}.{name}" for name in {**then, **now} if name not in then or name not in now]  # places must do
        wholes = ({**begun, CONTENT: then}, {**settings, CONTENT: now})
        kept, wanted = (leave_out(each, (*NO_EFFECT, *places, *alone)) for each in wholes)
        self.refuse_differences("options.json", "other options", list_differences(kept, wanted))
        if (self.path / "split.json").exists():
            self.refuse_differences("split.json", "another split", list_differences(self.read_json("split.json"), split))

    def refuse_differences(self, name: str, what: str, differences: Sequence[str]) -> None:
        """Raises UsageError where there are differences between a file and what is wanted, naming some."""
        if differences:
            more = f", and {len(differences) - SHOWN} more" * (len(differences) > SHOWN)
            raise UsageError(
                f"{self.path / name}: the run in this folder was begun with {what}: {', '.join(differences[:SHOWN])}{more};"
                " repeat it as it was, or name another folder"
            )

    def write_json(self, name: str, data: Mapping[str, Any]) -> None:
        """One of the JSON files. Raises DataError where it cannot be written."""
        self.write_text(name, json.dumps(data, indent=2) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """One of the JSON files. Raises DataError where it is not there, or none."""
        try:
            return dict(json.loads((self.path / name).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError) as error:
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
            best = max((row["srcc"] for row in rows if row["srcc"] is not None and not isnan(row["srcc"])), default=NONE)
            rows.append(asdict(stats))
            if stats.srcc is None or stats.srcc > best or best == NONE:  # it may be nan, no more than nothing
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


# ---- what differs ----


def list_differences(begun: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What differs between two files of nested data, each in words, with both values."""
    before, after = flatten(begun), flatten(wanted)
    names = [name for name in {**after, **before} if before.get(name, MISSING) != after.get(name, MISSING)]
    return [describe_difference(name, before.get(name, MISSING), after.get(name, MISSING)) for name in names]


def flatten(data: Mapping[str, Any], table: str = "") -> dict[str, Any]:
    """Nested data by full names, as loop.rate."""
    flat: dict[str, Any] = {}
    for name, value in data.items():
        flat |= flatten(value, f"{table}{name}.") if isinstance(value, Mapping) else {f"{table}{name}": value}
    return flat


def describe_difference(name: str, before: Any, after: Any) -> str:
    """One difference; of many names, as those of a split, how many there were and are, and one that is on one side alone."""
    title = f"the content of {name.removeprefix(f'{CONTENT}.')}" if name.startswith(f"{CONTENT}.") else name
    if not isinstance(before, list) or not isinstance(after, list) or max(len(before), len(after)) <= SHOWN:
        return f"{title} was {show_value(before)} and is {show_value(after)}"
    alone = set(before) ^ set(after)
    first = next((each for each in (*before, *after) if each in alone), None)
    example = f"{show_value(first)} only {'then' if first in before else 'now'}" if alone else "in another order"
    return f"{title} was {len(before)} and is {len(after)}, {example}"


def show_value(value: Any) -> str:
    """A value as TOML has it, in one line of bounded length."""
    text = "not there" if value is MISSING else "not set" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= WIDEST else f"{text[: WIDEST // 2]}...{text[-WIDEST // 2 :]}"
