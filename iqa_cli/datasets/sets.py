"""Which rated sets, and where they are: what a command names becomes labels."""

from __future__ import annotations

import os
from pathlib import Path

from iqa_cli.datasets.find import find_root, find_spec
from iqa_cli.datasets.labels import Labels, read_labels
from iqa_cli.datasets.own import read_own_labels
from iqa_cli.options import OWN, OwnRatings, RatedSets


def read_sets(sets: RatedSets, *, allow_missing: bool = False) -> dict[str, Labels]:
    """Read the labels of each set, by the name under which it was asked for.

    Raises UsageError for sets that are unknown or nowhere to be found, DataError as `read_labels` does.
    """
    return {name: read_set(name, sets.find_root(name), sets.own, allow_missing=allow_missing) for name in sets.names}


def read_set(name: str, root: Path | None, own: OwnRatings, *, allow_missing: bool = False) -> Labels:
    """Read the labels of one set. Raises as `read_sets` does."""
    if name == OWN:
        return read_own_labels(own, root, allow_missing=allow_missing)
    return read_labels(find_spec(name).name, find_root(name, root), allow_missing=allow_missing)


def is_placed(name: str, root: Path | None, own: OwnRatings) -> bool:
    """Whether somebody said where the set is."""
    return own.labels is not None if name == OWN else root is not None or bool(os.environ.get("IQA_DATA"))
