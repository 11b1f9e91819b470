"""The commands: options, one core call, exit code. Nothing heavy is imported before a command runs.

Exit codes: 0 every image has a score; 1 some image has none; 2 usage; 3 weights; 4 labels, folders and outputs;
130 Ctrl-C, 143 terminated, 141 the reader of the output has gone (as for any tool in a pipe).
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from iqa_cli import __version__
from iqa_cli.cli import (
    cache,
    datasets,
    doctor,
    evaluate,
    filter_scores,
    gate,
    interrupts,
    models,
    pick,
    ratings,
    score,
    train,
    train_detail,
)
from iqa_cli.cli.explaining import command as explain
from iqa_cli.cli.jobs import join
from iqa_cli.cli.services import serve, watch
from iqa_cli.errors import NO_THREADS, DataError, IqaError
from iqa_cli.files.atomic import PipeClosed
from iqa_cli.images.find import is_pattern
from iqa_cli.images.formats import RAW, kind_of_suffix

PIPE_CLOSED = 141  # 128 + the number of the signal, as shells count; see interrupts


class Commands(TyperGroup):
    """The commands; who names photos where a command is wanted, as in `iqa photos`, is told what he means."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is named. Raises click's UsageError where there is none."""
        if args[0] not in self.commands and may_be_photos(args[0]):
            ctx.fail(f"No such command {args[0]!r}. Did you mean: {shlex.join(['iqa', 'score', *args])}")
        return super().resolve_command(ctx, args)


def may_be_photos(text: str) -> bool:
    """Whether a word is a path or a list of them rather than a misspelt command."""
    path = Path(text)
    named = len(path.parts) > 1 or kind_of_suffix(path.suffix.lower()) in ("image", RAW)
    return text == "-" or named or is_pattern(text) or os.path.lexists(text)


app = typer.Typer(
    cls=Commands,
    help="How good do photographs look to people? Scores from 0 to 100, without a reference image.",
    epilog="Try: iqa score photos",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def print_version(wanted: bool) -> None:
    """Print the version and exit."""
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
app.command(epilog=explain.EXIT_CODES)(explain.explain)
app.command(epilog=pick.EXIT_CODES)(pick.pick)
app.command("filter", epilog=filter_scores.EXIT_CODES)(filter_scores.filter_scores)
app.command(epilog=join.EXIT_CODES)(join.join)
app.command(epilog=gate.EXIT_CODES)(gate.gate)
app.command(epilog=serve.EXIT_CODES)(serve.serve)
app.command()(watch.watch)
app.command()(ratings.ratings)


# ---- models, and this installation ----

app.add_typer(models.app, name="models")
app.add_typer(cache.app, name="cache")
app.command(epilog=doctor.EXIT_CODES)(doctor.doctor)


# ---- training ----

app.command()(train.train)
app.command()(train.distill)
app.command()(train.blend)
app.command("export-onnx")(train.export_onnx)
app.command("train-detail")(train_detail.train_detail)


# ---- rated sets ----

app.command(epilog=evaluate.EXIT_CODES)(evaluate.evaluate)
app.add_typer(datasets.app, name="datasets")


# ---- main ----


def main() -> None:
    """Run a command and exit. The one place where an error becomes a line and an exit code."""
    try:
        run_command()
    except BaseException:
        if interrupts.received:  # what the signal's exception has become on its way is nobody's concern
            sys.exit(interrupts.FATAL + interrupts.received[0])
        raise


def run_command() -> None:
    """Run a command; its errors are said, and leave as exit codes."""
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # here rather than at the very end, where a closed pipe could only be complained about
    except IqaError as error:
        from iqa_cli.cli.views import terminal

        terminal.print_error(str(error))
        sys.exit(error.exit_code)
    except (PipeClosed, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what Python still flushes goes there
        sys.exit(PIPE_CLOSED)
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        from iqa_cli.cli.views import terminal

        terminal.print_error(NO_THREADS)
        sys.exit(DataError.exit_code)
