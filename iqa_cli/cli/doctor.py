"""`iqa doctor`: what is installed, and whether it works."""

from __future__ import annotations

import typer

EXIT_CODES = "Exit codes: 0 all works, 1 something does not, and its line says what."


def doctor() -> None:
    """What is installed here, and does it work? Versions, extras, providers, cache, models, and a self-test of each model.

    Put its output into a report of a fault; it names folders, and nothing of your photos.

    $ iqa doctor
    """
    from iqa_cli.cli import interrupts
    from iqa_cli.cli.views.terminal import print_pairs
    from iqa_cli.doctor.checks import run_checks

    with interrupts.raised():
        checks = list(run_checks())
    marks = {True: "ok: ", False: "WRONG: ", None: ""}
    print_pairs([(check.name, marks[check.good] + check.text) for check in checks])
    raise typer.Exit(int(any(check.good is False for check in checks)))
