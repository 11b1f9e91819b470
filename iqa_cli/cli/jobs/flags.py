"""Options of `iqa score` for runs in parts."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Annotated

import typer

from iqa_cli.errors import UsageError

PARTS = "In parts, here or on a cluster"  # a panel of the help


class EngineChoice(StrEnum):
    """What scores the parts. LOCAL: this process."""

    LOCAL = "local"
    RAY = "ray"


@dataclass(frozen=True)
class EngineFlags:
    """Whether a run is in parts, each a Parquet file, and what scores them."""

    place: Annotated[
        str | None,
        typer.Option(
            "--output",
            metavar="DIR",
            help="Fill a folder or s3://bucket/prefix/ with Parquet, a file a part; the same command again goes on.",
            rich_help_panel=PARTS,
        ),
    ] = None
    engine: Annotated[
        EngineChoice,
        typer.Option(help=r"What scores the parts: this process, or actors of Ray Data (\[ray] extra).", rich_help_panel=PARTS),
    ] = EngineChoice.LOCAL
    part_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help=r"Images a part, roughly; a shard is a part of its own.  \[default: 1000]",
            rich_help_panel=PARTS,
        ),
    ] = None
    retry: Annotated[
        bool,
        typer.Option(
            "--retry", help="Score parts again in which images were missing, denied, late or crashed.", rich_help_panel=PARTS
        ),
    ] = False
    ray_address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help=r"Of a cluster, as auto or ray://host:10001.  \[default: $RAY_ADDRESS, else processes here]",
            rich_help_panel=PARTS,
        ),
    ] = None
    actors: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help=r"Processes that score, each with --workers cores.  \[default: all cores]",
            rich_help_panel=PARTS,
        ),
    ] = None
    actor_gpus: Annotated[
        float | None,
        typer.Option(min=0.0, metavar="F", help="GPUs of each, as .25; with --device cuda.", rich_help_panel=PARTS),
    ] = None

    def check(self) -> None:
        """Raises UsageError where these options do not go together."""
        if self.place is None:
            given = [f.name for f in fields(self) if getattr(self, f.name) != f.default]
            if given:
                raise UsageError(f"--{given[0].replace('_', '-')} is about runs in parts: add --output DIR")
        elif self.engine is EngineChoice.LOCAL:
            given = [name for name in ("ray_address", "actors", "actor_gpus") if getattr(self, name) is not None]
            if given:
                raise UsageError(f"--{given[0].replace('_', '-')} is about Ray: add --engine ray")
