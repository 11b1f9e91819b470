"""Folders in the home of a user who may have none: a process of a container, or of a number that no user has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from iqa_cli.errors import DataError


@contextmanager
def needing_home(variable: str) -> Iterator[None]:
    """What pathlib raises in the block where no home can be found, as DataError. variable: names the folder instead."""
    try:
        yield
    except RuntimeError as error:
        reason = f"no home folder can be found for it: set {variable} to the path of a folder, without ~"
        raise DataError(f"{variable}: {reason}") from error
