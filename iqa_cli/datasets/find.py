"""Where the public sets are on this machine. Nothing is downloaded: most ask for a registration or the reading of terms."""

from __future__ import annotations

import os
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from iqa_cli.datasets.catalog import DATASETS, DatasetSpec
from iqa_cli.datasets.tables import is_file, is_folder
from iqa_cli.errors import DataError, UsageError
from iqa_cli.files.homes import needing_home


def find_top() -> Path:
    """The folder that $IQA_DATA names. Raises DataError where it is in a home that there is not."""
    with needing_home("IQA_DATA"):
        return Path(os.environ["IQA_DATA"]).expanduser()


def find_root(name: str, data_root: Path | None) -> Path:
    """The folder of a set: `data_root`, else $IQA_DATA, or a folder in it that is called as the set's is.

    Raises UsageError where neither is given or the name is unknown, DataError where the set is not there.
    """
    spec = find_spec(name)
    if data_root is None and not os.environ.get("IQA_DATA"):
        raise UsageError(f"where is {spec.title}? Say so with --data-root or the environment variable IQA_DATA")
    top = find_top() if data_root is None else data_root
    if not is_folder(top):
        raise DataError(f"{top}: no such folder. {describe_source(spec)}")
    outer = find_called(spec, top)
    called = [*outer, *(folder for parent in outer for folder in find_called(spec, parent))]  # livec/ChallengeDB_release
    marked = [folder for folder in (top, *called) if any(is_file(folder / marker) for marker in spec.markers)]
    if not marked and not called:
        looked_for = f"neither a folder {' or '.join(spec.folders)} nor {' or '.join(spec.markers)}"
        raise DataError(f"{top}: {looked_for}. {describe_source(spec)}")
    return (marked or called)[0]


def find_roots(data_root: Path | None) -> dict[str, Path] | None:
    """The folders of the sets that are there, by name; None where neither a data root nor $IQA_DATA says where to look.

    Raises DataError where there is no such data root, or it cannot be looked into.
    """
    if data_root is None and not os.environ.get("IQA_DATA"):
        return None
    top = find_top() if data_root is None else data_root
    if not is_folder(top):
        raise DataError(f"{top}: no such folder")
    list_folders(top)
    found = {}
    for spec in DATASETS.values():
        with suppress(DataError):
            found[spec.name] = find_root(spec.name, top)
    return found


def find_called(spec: DatasetSpec, top: Path) -> list[Path]:
    """The folders in a folder that are called as the set's is, in any case. Raises DataError as `list_folders` does."""
    inside = {child.name.lower(): child for child in list_folders(top)}
    return [inside[name.lower()] for name in spec.folders if name.lower() in inside]


def list_folders(top: Path) -> list[Path]:
    """The folders in a folder, by name. Raises DataError where it cannot be looked into."""
    try:
        return [child for child in sorted(top.iterdir()) if is_folder(child)]
    except OSError as error:
        raise DataError(f"{top}: cannot look into this folder: {error.strerror}") from error


def find_spec(name: str) -> DatasetSpec:
    """The row of a set. Raises UsageError where there is none of that name."""
    if name not in DATASETS:
        near = get_close_matches(name.lower(), DATASETS, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UsageError(f"no data set {name!r}{hint}; there are {', '.join(DATASETS)}")
    return DATASETS[name]


def describe_source(spec: DatasetSpec) -> str:
    """Where a set is to be had, and how it lies when it is whole."""
    return f"{spec.title} is to be had from {spec.home}; its layout: {spec.layout}"
