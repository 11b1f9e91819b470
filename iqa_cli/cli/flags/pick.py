"""Options of `iqa pick` in groups, and what they make."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iqa_cli.cli.flags.images import INPUT
from iqa_cli.cli.flags.score import InputFlags
from iqa_cli.cli.flags.shared import parse_path
from iqa_cli.errors import UsageError
from iqa_cli.remote.names import is_archive, is_url

if TYPE_CHECKING:
    from iqa_cli.culling.picking.steps import Action
    from iqa_cli.culling.picking.suggestions import Choice

CHOICE, TRANSFER = "Choice", "Transfer"  # panels of the help
NAMES = {"paths": "the paths", "paths_only": "--list"}  # of fields that are no options of the same name
BESIDE_UNDO = ("--undo", "--quiet")


@dataclass(frozen=True)
class PhotoFlags(InputFlags):
    """Which photos are looked at: files, as nothing else can be copied, moved or linked."""

    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH...", help="Photos and folders of them; - reads a list of paths from stdin."),
    ] = None
    null: Annotated[
        bool,
        typer.Option(
            "--null",
            "-0",
            help="Lists end each path with a NUL, as find -print0 does; --list, too.",
            rich_help_panel=INPUT,
        ),
    ] = False

    def refuse_elsewhere(self) -> None:
        """Raises UsageError for a photo that is named and is no file here."""
        for path in self.paths or []:
            if (is_archive(path) or is_url(path)) and not Path(path).is_dir():
                raise UsageError(f"{path}: only photos that are files here can be picked: leave it out")


@dataclass(frozen=True)
class PickFlags:
    """Which photos are picked."""

    keep: Annotated[
        str | None,
        typer.Option(metavar="N|P%", help="Pick the N best, or the best P percent.", rich_help_panel=CHOICE),
    ] = None
    best_of_groups: Annotated[
        bool,
        typer.Option(
            "--best-of-groups",
            help=r"Of bursts and duplicates pick the best only; with --keep, of those.  \[default: without --keep]",
            rich_help_panel=CHOICE,
        ),
    ] = False
    per_folder: Annotated[bool, typer.Option("--per-folder", help="Keep so many of each folder.", rich_help_panel=CHOICE)] = (
        False
    )

    def gather(self) -> Choice:
        """What is picked. Raises UsageError where that makes no sense."""
        from iqa_cli.culling.picking.suggestions import Choice

        if self.keep is None:
            return Choice(None, None, best_of_groups=True, per_folder=self.per_folder)
        text = self.keep.strip()
        if not text:
            raise UsageError("--keep is empty: how many photos, as 200, or which share, as 20%?")
        try:
            share = float(text[:-1]) / 100 if text.endswith("%") else None
            count = int(text) if share is None else None
        except ValueError as error:
            raise UsageError(f"--keep {text}: this is neither a number of photos, as 200, nor a share, as 20%") from error
        return Choice(count, share, self.best_of_groups, self.per_folder)


@dataclass(frozen=True)
class TransferFlags:
    """What is done with the photos that are picked."""

    to: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=parse_path,
            help="Where picks go, in folders as they are now, with --copy, --move or --link.",
            rich_help_panel=TRANSFER,
        ),
    ] = None
    copy: Annotated[bool, typer.Option("--copy", help="Copy them.", rich_help_panel=TRANSFER)] = False
    move: Annotated[bool, typer.Option("--move", help="Move them.", rich_help_panel=TRANSFER)] = False
    link: Annotated[bool, typer.Option("--link", help="Make symbolic links to them.", rich_help_panel=TRANSFER)] = False
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it; without, only what would be done is shown.", rich_help_panel=TRANSFER)
    ] = False
    undo: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", parser=parse_path, help="Take back all that was done by this undo file.", rich_help_panel=TRANSFER
        ),
    ] = None
    paths_only: Annotated[
        bool, typer.Option("--list", help="Write the paths of the picks, and nothing else.", rich_help_panel=TRANSFER)
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary; errors stay.")] = False

    def find_action(self) -> Action | None:
        """What is done; None for nothing. Raises UsageError where the flags do not go together."""
        from iqa_cli.culling.picking.steps import Action

        named = [action for action in Action if getattr(self, action.value)]
        if len(named) > 1:
            raise UsageError(f"--{named[0]} or --{named[1]}: only one of them can be done")
        if named and self.to is None:
            raise UsageError(f"--{named[0]} where to? Add --to DIR")
        if self.to is not None and not named:
            raise UsageError(f"--to {self.to}: are photos to be copied, moved or linked? Add --copy, --move or --link")
        if self.apply and not named:
            raise UsageError("--apply is about --to DIR, with --copy, --move or --link")
        if self.paths_only and named:
            raise UsageError("--list only writes paths: leave it out, or --to")
        return named[0] if named else None

    def refuse_more(self, *others: Any) -> None:
        """Refuse what has no meaning beside --undo, of these options and of other groups. Raises UsageError."""
        flags = [(f.name, getattr(group, f.name), f.default) for group in (self, *others) for f in fields(group)]
        given = [NAMES.get(name, f"--{name.replace('_', '-')}") for name, value, default in flags if value not in (default, [])]
        given = [name for name in given if name not in BESIDE_UNDO]
        if given:
            raise UsageError(f"--undo FILE takes back what was done: leave out {' and '.join(given)}")
