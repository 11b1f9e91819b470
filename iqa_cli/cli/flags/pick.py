"""Options of `iqa pick` in groups, and what they make."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iqa_cli.errors import UsageError

if TYPE_CHECKING:
    from iqa_cli.culling.picking.steps import Action
    from iqa_cli.culling.picking.suggestions import Choice

CHOICE, TRANSFER = "Choice", "Transfer"  # panels of the help


def parse_path(text: str) -> Path:
    """A path that is named on the command line. Raises UsageError for an empty one, which would be the working folder."""
    if not text:
        raise UsageError("a path is empty: is the variable set that it was to come from?")
    return Path(text)


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

    def refuse_more(self, others: dict[str, Any]) -> None:
        """Refuse what has no meaning beside --undo; others: flag -> its value. Raises UsageError."""
        own = {"--to": self.to, "--copy": self.copy, "--move": self.move, "--link": self.link, "--list": self.paths_only}
        given = [name for name, value in (own | others).items() if value not in (None, False, [])]
        if given:
            raise UsageError(f"--undo FILE takes back what was done: leave out {' and '.join(given)}")
