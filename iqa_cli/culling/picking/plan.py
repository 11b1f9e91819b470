"""What a transfer will do: which files go where, and which cannot. Nothing is written here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from iqa_cli.culling.companions import FolderNames, list_companions
from iqa_cli.culling.picking.journal import Journal, Request, list_new_folders, name_journal
from iqa_cli.culling.picking.steps import Action, Step, find_state
from iqa_cli.culling.picking.strays import list_beside
from iqa_cli.errors import DataError, UsageError


@dataclass
class Plan:
    """units: path of a photo, as it was named -> its steps. refused: likewise -> why it stays. folders: to be made."""

    action: Action
    folder: Path
    units: dict[str, list[Step]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def steps(self) -> list[Step]:
        """All steps."""
        return [step for steps in self.units.values() for step in steps]

    @property
    def size(self) -> int:
        """Bytes that will be written, at most."""
        return 0 if self.action is Action.LINK else sum(step.size for step in self.steps)

    def start(self, request: Request) -> Journal:
        """A journal of the plan, in the folder, not written yet."""
        targets = [step.target for step in self.steps]
        folders = list_new_folders([str(self.folder / "x"), *targets])
        return Journal(name_journal(self.folder), self.action, request, folders, self.steps, list_beside(targets))


def plan_transfer(photos: Iterable[str], roots: Sequence[str], folder: Path, action: Action) -> Plan:
    """Plan what becomes of photos and of what belongs to them. Names below the folder are those below the roots.

    photos: in the order in which they are to go. roots: folders that were named. Raises UsageError where `folder` is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--to {folder}: this is no folder")
    planner = Planner(Plan(action, Path(os.path.abspath(folder))), [os.path.abspath(root) for root in roots])  # noqa: PTH100
    for photo in photos:
        planner.add(photo)
    return planner.plan


class Planner:
    """Makes a plan, photo by photo."""

    def __init__(self, plan: Plan, roots: list[str]) -> None:
        self.plan, self.roots = plan, roots
        self.names = FolderNames()
        self.sources: set[str] = set()
        self.targets: set[str] = set()

    def add(self, photo: str) -> None:
        """Plan for one photo, unless it goes along with one before."""
        source = os.path.abspath(photo)  # noqa: PTH100  # paths stay as they are, links too
        if source in self.sources:
            return
        try:
            companions = list_companions(Path(source), self.names)
            files = (source, *map(str, companions), *self._list_shared(Path(source)))
            steps = [self._plan_file(path, source) for path in files if path not in self.sources]
        except OSError as error:
            where = "" if error.filename in (None, source) else f"{error.filename}: "
            self.plan.refused[photo] = where + (error.strerror or str(error)).lower()
        except CannotGo as error:
            self.plan.refused[photo] = str(error)
        else:
            self.plan.units[photo] = steps
            self.sources |= {step.source for step in steps}
            self.targets |= {step.target for step in steps}

    def _list_shared(self, photo: Path) -> list[str]:
        """Files that may be a photo's or another one's: they go along with any, but are moved with the last of them only."""
        names = self.names.find(photo.parent)
        others = [str(photo.with_name(name)) for name in names.list_namesakes(photo.name)]
        if self.plan.action is Action.MOVE and not self.sources.issuperset(others):
            return []
        return [str(photo.with_name(name)) for name in names.list_shared(photo.name)]

    def _plan_file(self, source: str, photo: str) -> Step:
        """One file of the unit of a photo. Raises CannotGo and OSError."""
        target = str(self.plan.folder / self._name_below(source, photo))
        state = find_state(source)
        below = os.path.relpath(source, os.path.dirname(photo))  # noqa: PTH120
        name = "it" if source == photo else f"{below}, which belongs to it,"
        if state is None:
            raise CannotGo(f"{name} is not there any more")
        if self.plan.action is Action.MOVE:
            self._refuse_link(source, name)
        if target in self.targets:
            raise CannotGo(f"another photo goes to {target}")
        if os.path.lexists(target):
            raise CannotGo(f"{target} exists")
        return Step(len(self.plan.units), source, target, state.size, state.modified)

    def _find_root(self, photo: str) -> str:
        """The named folder that a photo is in, the innermost one; of a photo that was named, its folder."""
        holding = [root for root in self.roots if photo.startswith(os.path.join(root, ""))]  # noqa: PTH118
        return max(holding, key=len, default=os.path.dirname(photo))  # noqa: PTH120

    def _name_below(self, source: str, photo: str) -> str:
        return os.path.relpath(source, self._find_root(photo))

    def _refuse_link(self, source: str, name: str) -> None:
        """Raises CannotGo for a link, which would lead nowhere, and for what a link leads to, which is somebody else's."""
        if os.path.islink(source):  # noqa: PTH114
            raise CannotGo(f"{name} is a link: copy it, or link to it")
        root = os.path.realpath(self._find_root(source))
        if os.path.commonpath((root, os.path.realpath(source))) != root:
            raise CannotGo(f"{name} lies behind a link to another folder: copy it, or link to it")


class CannotGo(Exception):  # noqa: N818  of one photo, not of the run
    """A photo that stays where it is. Its text says why."""


def check_space(plan: Plan) -> None:
    """Raises DataError where the files would not fit on the disk; of what is moved, only what changes the disk counts."""
    folder = next(parent for parent in (plan.folder, *plan.folder.parents) if parent.exists())
    device = folder.stat().st_dev
    moves = plan.action is Action.MOVE
    needed = (
        0
        if plan.action is Action.LINK
        else sum(step.size for step in plan.steps if not moves or os.lstat(step.source).st_dev != device)
    )
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(f"{plan.folder}: {needed / 1e9:.1f} GB are needed there, and {free / 1e9:.1f} GB are free")
