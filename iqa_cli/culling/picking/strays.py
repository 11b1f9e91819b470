"""Strays: files that were made beside photos where these were transferred to. Whoever takes a photo back takes them along."""
# Paths are strings here, as in `steps`.
# ruff: noqa: PTH108, PTH114, PTH118, PTH120

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from iqa_cli.culling.companions import FolderNames, is_picture, list_companions
from iqa_cli.culling.picking.journal import SUFFIX, Journal, read_journal
from iqa_cli.culling.picking.steps import (
    Action,
    Refused,
    copy,
    find_state,
    hash_file,
    is_same_file,
    remove_aside,
    remove_original,
    rename,
)
from iqa_cli.errors import DataError


def list_beside(targets: Iterable[str]) -> list[str]:
    """What belongs to photos of these names, but is none of them; sorted."""
    names, folders = {*targets}, FolderNames()
    return sorted({path for name in names for path in list_own(name, folders)} - names)


def list_own(photo: str, folders: FolderNames) -> Iterator[str]:
    """What belongs to a photo; nothing where it is no photo, or the folder cannot be listed."""
    with suppress(OSError):
        if is_picture(photo):
            yield from map(str, list_companions(Path(photo), folders))


def find_strays(journal: Journal) -> dict[int, dict[str, str]]:
    """The strays of each unit that has some: path -> where it goes with the photos, to the folder that they came from.

    What was there before, and what another transfer has brought, is none.
    """
    known = {*journal.beside, *(step.target for step in journal.steps), *list_others(journal)}
    folders, strays = FolderNames(), dict[int, dict[str, str]]()
    for number, step in enumerate(journal.steps):
        if not was_taken(journal, number):
            continue
        for path in list_own(step.target, folders):
            if path not in known:
                below = os.path.relpath(path, os.path.dirname(step.target))
                strays.setdefault(step.unit, {})[path] = os.path.join(os.path.dirname(step.source), below)
                known.add(path)
    return strays


def was_taken(journal: Journal, number: int) -> bool:
    """Whether what a step has made is there."""
    step = journal.steps[number]
    made = find_state(step.source) is None if journal.action is Action.MOVE else bool(journal.made[number])
    return made and find_state(step.target) is not None


def list_others(journal: Journal) -> Iterator[str]:
    """The files that other transfers to the folder have brought."""
    for path in journal.path.parent.glob(f"*{SUFFIX}"):
        if path != journal.path:
            with suppress(DataError):
                yield from (step.target for step in read_journal(path).steps)


def take_along(action: Action, strays: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Take strays where they go, all or none; yields those that cannot, and why. Beside copies and links they stay."""
    refused = False
    for move in (refuse_taken, take_home):
        for path, home in strays.items():
            try:
                if action is not Action.MOVE:
                    raise Refused(f"it was made since, and its {action} is not removed without it: move it away")
                move(path, home)
            except (Refused, OSError) as error:
                refused = True
                yield path, str(error) if isinstance(error, Refused) else (error.strerror or str(error)).lower()
        if refused:
            return


def refuse_taken(path: str, home: str) -> None:
    """Raises Refused for a file that cannot go where it is to, and OSError. One that is there already was cut short."""
    if os.path.islink(path):
        raise Refused("it is a link")
    if find_state(home) is not None and not is_same_file(path, home) and hash_file(path) != hash_file(home):
        raise Refused(f"{home} exists")


def take_home(path: str, home: str) -> None:
    """Move one file, whole or not at all, never over another one. Raises Refused and OSError."""
    remove_aside(home)
    if find_state(home) is not None:
        refuse_taken(path, home)
        os.unlink(path)
        return
    Path(home).parent.mkdir(parents=True, exist_ok=True)
    if not rename(path, home):
        copy(path, home, lambda _: None, compare=True)
        remove_original(path, home)
