"""`iqa doctor`: what is installed, and whether it works."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout

import typer

EXIT_CODES = "Exit codes: 0 all works, 1 something does not, and its line says what."


def doctor() -> None:
    """What is installed here, and does it work? Versions, extras, providers, cache, models, and a self-test of each model.

    Every library of the base install is loaded, and the networks for iqa score --detail are run, too.

    Put its output into a report of a fault; it names folders, and nothing of your photos.

    $ iqa doctor
    """
    from iqa_cli.cli import interrupts
    from iqa_cli.doctor.checks import run_checks

    with interrupts.raised(), redirect_stdout(sys.stderr):  # where libraries that do not load say why
        checks = list(run_checks())
    marks = {True: "ok: ", False: "WRONG: ", None: ""}
    show([(check.name, marks[check.good] + check.text) for check in checks])
    raise typer.Exit(int(any(check.good is False for check in checks)))


def show(pairs: Sequence[tuple[str, str]]) -> None:
    """Print names and texts, also where what lays them out at a terminal does not load, which one of them says."""
    try:
        from iqa_cli.cli.views.terminal import print_pairs
    except ImportError:
        for name, text in pairs:
            typer.echo(f"{name}: {text}")
    else:
        print_pairs(pairs)
