"""Options of `iqa gate` in groups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from iqa_cli.cli.flags.shared import MODEL, OUTPUT, Force, parse_output
from iqa_cli.options import MAX_PIXELS, MAX_TIMEOUT, ScoreOptions

POLICY, CALIBRATION = "Policy", "Calibration"  # panels of the help


@dataclass(frozen=True)
class PhotoFlags:
    """Which photos are judged, and by what."""

    paths: Annotated[list[str] | None, typer.Argument(metavar="PHOTO...", help="Photos, and folders and archives of them.")] = (
        None
    )
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What a photo must be, as TOML.", rich_help_panel=POLICY)
    ] = None
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Judge the photo whose bytes come on stdin.", rich_help_panel=POLICY)
    ] = False
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What to call the photo on stdin.", rich_help_panel=POLICY)
    ] = None
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help=r"As of iqa score.  \[default: the policy's, or that of iqa score]", rich_help_panel=MODEL
        ),
    ] = None


@dataclass(frozen=True)
class DecodingFlags:
    """What is not decoded, over what the policy says."""

    max_pixels: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=rf"Fail larger photos without decoding them.  \[default: the policy's, or {MAX_PIXELS}]",
            rich_help_panel=POLICY,
        ),
    ] = None
    timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0.001,
            max=MAX_TIMEOUT,
            help=rf"Fail photos that take longer to decode.  \[default: the policy's, or {ScoreOptions.timeout:g}]",
            rich_help_panel=POLICY,
        ),
    ] = None


@dataclass(frozen=True)
class CalibrationFlags:
    """What a policy is made from."""

    calibrate: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="GOOD BAD",
            help="Propose a policy, from a folder of photos that should pass (by default 97 or more) and one of photos that"
            " should not.",
            rich_help_panel=CALIBRATION,
        ),
    ] = None
    false_reject: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help=r"Promise that no more of such good photos fail.  \[default: 0.02]",
            rich_help_panel=CALIBRATION,
        ),
    ] = None
    false_review: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help=r"Promise that no more of them fail or come to review.  \[default: 0.1]",
            rich_help_panel=CALIBRATION,
        ),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            parser=parse_output,
            help=r"Where the policy goes.  \[default: stdout]",
            rich_help_panel=CALIBRATION,
        ),
    ] = None


@dataclass(frozen=True)
class VerdictFlags:
    """Where verdicts go, instead of stdout."""

    jsonl: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=parse_output,
            help="Write JSON Lines, an object a photo; -: stdout.",
            rich_help_panel=OUTPUT,
        ),
    ] = None
    force: Force = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No counts at the end; errors stay.", rich_help_panel=OUTPUT)] = (
        False
    )
