"""Options of `iqa serve` in groups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from iqa_cli.cli.flags.shared import MODEL
from iqa_cli.errors import UsageError
from iqa_cli.server.limits import MEGABYTE, Limits

SERVER, LIMITS = "Server", "Limits"  # panels of the help
MAX_PIXELS = 100_000_000
MAX_BODY = 1_000_000  # MB


@dataclass(frozen=True)
class ServerFlags:
    """Where it listens, and what it serves."""

    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Whom to listen to; 0.0.0.0: everybody.", rich_help_panel=SERVER)
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.", rich_help_panel=SERVER)] = 8000
    policy: Annotated[Path | None, typer.Option(metavar="FILE", help="What POST /gate judges by.", rich_help_panel=SERVER)] = (
        None
    )
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help=r"As of iqa score.  \[default: the policy's, or that of iqa score]", rich_help_panel=MODEL
        ),
    ] = None
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.", rich_help_panel=SERVER)] = False


@dataclass(frozen=True)
class LimitFlags:
    """What requests may cost."""

    max_body: Annotated[float, typer.Option(metavar="MB", help="A request's body.", rich_help_panel=LIMITS)] = (
        Limits.max_body / MEGABYTE
    )
    max_images: Annotated[int, typer.Option(min=1, metavar="N", help="Images a request.", rich_help_panel=LIMITS)] = (
        Limits.max_images
    )
    max_pixels: Annotated[int, typer.Option(min=1, metavar="N", help="Pixels an image.", rich_help_panel=LIMITS)] = MAX_PIXELS
    queue: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Images that wait or are worked on; beyond: status 429.", rich_help_panel=LIMITS),
    ] = Limits.queue
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="A request, once it has arrived.", rich_help_panel=LIMITS)
    ] = Limits.timeout
    body_timeout: Annotated[float, typer.Option(metavar="SECONDS", help="The arrival of a body.", rich_help_panel=LIMITS)] = (
        Limits.body_timeout
    )

    def gather(self) -> Limits:
        """Raises UsageError for a limit that lets nothing through, or is none."""
        if self.max_body > MAX_BODY:
            raise UsageError(f"--max-body is at most {MAX_BODY:,} MB, not {self.max_body:g}")
        return Limits(
            max_body=round(self.max_body * MEGABYTE),
            max_images=min(self.max_images, self.queue),
            queue=self.queue,
            timeout=self.timeout,
            body_timeout=self.body_timeout,
        )
