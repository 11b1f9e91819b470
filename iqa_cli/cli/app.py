"""The commands: options, one core call, exit code. Nothing heavy is imported before a command runs.

Exit codes: 0 every image has a score; 1 some image has none; 2 usage; 3 weights; 4 labels, folders and outputs;
130 Ctrl-C, 143 terminated, 141 the reader of the output has gone (as for any tool in a pipe).
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated

import typer

from iqa_cli import __version__
from iqa_cli.cli import cache, evaluate, score, train
from iqa_cli.errors import NO_THREADS, DataError, IqaError, WeightsError
from iqa_cli.targets import PipeClosed

INTERRUPTED, PIPE_CLOSED, TERMINATED = 130, 141, 143  # 128 + the number of the signal, as shells count

app = typer.Typer(
    help="How good do photographs look to people? Scores from 0 to 100, without a reference image.",
    epilog="Try: iqa score photos",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def print_version(wanted: bool) -> None:
    """For --version."""
    if wanted:
        typer.echo(f"iqa {__version__}")
        raise typer.Exit


@app.callback()
def start(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of every command."""


# ---- score ----

app.command(epilog=score.EXIT_CODES)(score.score)


# ---- models ----


@app.command()
def models() -> None:
    """List the installed models: a table at a terminal, CSV in a pipe."""
    from iqa_cli.cli import terminal
    from iqa_cli.models import find

    cards = list(find.find_cards())
    if not cards:
        raise WeightsError(f"{find.released_folder()}: no models are installed there")
    terminal.print_models(cards, find.released_folder())


app.add_typer(cache.app, name="cache")


# ---- training, see cli_train ----

app.command()(train.train)
app.command()(train.distill)
app.command()(train.blend)
app.command("export-onnx")(train.export_onnx)


# ---- rated sets, see cli_data ----

app.command(epilog=evaluate.EXIT_CODES)(evaluate.evaluate)
app.add_typer(evaluate.datasets_app, name="datasets")


# ---- main ----


def stop(*_: object) -> None:
    """On SIGTERM: end as on Ctrl-C, so that outputs are completed."""
    sys.exit(TERMINATED)


def main() -> None:
    """Run a command and exit. The one place where an error becomes a line and an exit code."""
    signal.signal(signal.SIGTERM, stop)
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # here rather than at the very end, where a closed pipe could only be complained about
    except IqaError as error:
        from iqa_cli.cli import terminal

        terminal.print_error(str(error))
        sys.exit(error.exit_code)
    except (PipeClosed, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what Python still flushes goes there
        sys.exit(PIPE_CLOSED)
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        from iqa_cli.cli import terminal

        terminal.print_error(NO_THREADS)
        sys.exit(DataError.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
