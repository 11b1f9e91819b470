"""The commands: options, one core call, exit code. Nothing heavy is imported before a command runs.

Exit codes: 0 every image has a score; 1 some image has none; 2 usage; 3 weights; 4 labels, folders and outputs;
130 Ctrl-C, 143 terminated, 129 hung up, 141 the reader of the output has gone (as for any tool in a pipe).
"""

from __future__ import annotations

import importlib
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, TextIO, cast

import typer
from typer.core import TyperCommand, TyperGroup

from iqa_cli import __version__
from iqa_cli.cli import interrupts
from iqa_cli.errors import NO_THREADS, DataError, IqaError, UsageError, WriteError
from iqa_cli.files.atomic import PipeClosed
from iqa_cli.images.find import is_pattern
from iqa_cli.images.formats import RAW, kind_of_suffix

PIPE_CLOSED = 141  # 128 + the number of the signal, as shells count; see interrupts
PLACES = ("FILE", "DIR", "PATH", "MODEL", "ADDRESS")  # what the help calls options that name one by a string


COMMANDS = {
    "score": ("score.score", "Score images: 0 is bad, 100 is excellent."),
    "explain": (
        "explaining.command.explain",
        "Why does a photo have its score? What is wrong with it, what to do about it, and where it loses quality.",
    ),
    "pick": ("pick.pick", "Suggest which photos to keep, and copy, move or link those."),
    "filter": ("filter_scores.filter_scores", "Keep the images of a data set that are good enough, by scores that are there."),
    "join": ("jobs.join.join", "Add scores to the rows of a table by a key, in a new table of the same format."),
    "gate": ("gate.gate", "Is a photo good enough to be taken? Pass, review or fail, and what the uploader is to do."),
    "serve": (
        "services.serve.serve",
        r"Score photos over HTTP: POST /score, and POST /gate by a policy. Needs the \[serve] extra.",
    ),
    "watch": ("services.watch.watch", "Score photos as they arrive in a folder, until Ctrl-C."),
    "ratings": ("ratings.ratings", "List the runs that rated photos (iqa score --write-xmp), or undo one."),
    "models": ("models.app", "List the installed models, show one, or measure how certain one is."),
    "cache": ("cache.app", "Scores kept from earlier runs."),
    "doctor": (
        "doctor.doctor",
        "What is installed here, and does it work? Versions, extras, providers, cache, models, and a self-test of each model.",
    ),
    "train": ("train.train", r"Train a model on rated photos. Needs the \[train] extra."),
    "distill": (
        "train.distill",
        r"Distil a small, fast model from larger ones, on images of your kind. Needs the \[train] extra.",
    ),
    "blend": ("train.blend", r"Make several models one, whose score is their weighted mean. Needs the \[train] extra."),
    "export-onnx": ("train.export_onnx", r"Write a model as ONNX. Needs the \[train] extra."),
    "train-detail": (
        "train_detail.train_detail",
        r"Train the networks that iqa score --detail uses, on your photos. Needs the \[train] extra.",
    ),
    "evaluate": ("evaluate.evaluate", "How well do scores agree with people? Measured on rated sets."),
    "datasets": (
        "datasets.app",
        "List the rated sets, or show one: where to get it, how its folder must look, and whether it is whole.",
    ),
}
"""Command -> the function or the group that it is, in this package, and the first lines of its help."""


class Command(TyperCommand):
    """A command whose numbers are finite: ranges let nan through, and what is compared with it is never true.

    Nor is a path empty, which would be the working folder, or be taken for an option that is not given.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """What is left of the arguments. Raises BadParameter for nan and inf, UsageError for an empty path."""
        rest = super().parse_args(ctx, args)
        for parameter in self.params:
            value = ctx.params.get(parameter.name)
            for each in value if isinstance(value, list | tuple) else [value]:
                if isinstance(each, float) and not isfinite(each):
                    raise typer.BadParameter(f"{each} is no finite number.", ctx=ctx, param=parameter)
                if each == "" and names_place(parameter):
                    named = parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
                    raise UsageError(f"{named} is empty: is the variable set that it was to come from?")
        return rest


def names_place(parameter: Any) -> bool:
    """Whether a parameter is a path, a model or an address, as far as its parser does not look at that itself."""
    return "path" in parameter.type.name or parameter.metavar in PLACES or parameter.name == "model"


class Later(TyperCommand):
    """A command that is imported when it is called: the help of all of them needs its name and its first lines alone."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """The context of the command itself."""
        return load_command(str(self.name)).make_context(*args, **extra)


def load_command(name: str) -> Any:
    """The command of that name, as click has it."""
    place, _, called = COMMANDS[name][0].rpartition(".")
    module = importlib.import_module(f"iqa_cli.cli.{place}")
    found = getattr(module, called)
    if isinstance(found, typer.Typer):
        for each in found.registered_commands:
            each.cls, each.help = Command, each.help or unwrap(each.callback.__doc__ or "")
        return typer.main.get_group(found)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command(name, cls=Command, help=unwrap(found.__doc__ or ""), epilog=getattr(module, "EXIT_CODES", None))(found)
    return typer.main.get_command(alone)


def unwrap(text: str) -> str:
    """The paragraphs of a docstring, a line each: the terminal's width decides where they break."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


class Commands(TyperGroup):
    """The commands; who names photos where a command is wanted, as in `iqa photos`, is told what he means."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, lines) in COMMANDS.items():
            self.add_command(Later(name, help=lines))

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


# ---- streams ----


class TextStream:
    """Stdout or stderr for text: whoever reads it may go, and its disk may be full.

    needed: where it cannot be written, the command ends, as any tool in a pipe does; else it goes on, and the text is lost.
    """

    def __init__(self, stream: TextIO, *, needed: bool) -> None:
        self.stream, self.needed = stream, needed
        self.failure: PipeClosed | WriteError | None = None  # comes again at every write, as some libraries try with none first

    def write(self, text: str) -> int:
        """Write as the stream does. Where it is needed, raises PipeClosed and WriteError."""
        with self._failing():
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush as the stream does. Raises as `write`."""
        with self._failing():
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        if self.failure is not None:
            raise self.failure
        try:
            yield
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())  # where goes what Python has still to flush
            if self.needed:
                gone = isinstance(error, BrokenPipeError)
                self.failure = PipeClosed() if gone else WriteError(f"cannot write the results: {error.strerror}")
                raise self.failure from error


@contextmanager
def bearing_failures() -> Iterator[None]:
    """In this block text that cannot be written to stdout raises PipeClosed or WriteError, and to stderr is lost."""
    stdout, stderr = TextStream(sys.stdout, needed=True), TextStream(sys.stderr, needed=False)
    with redirect_stdout(cast(TextIO, stdout)), redirect_stderr(cast(TextIO, stderr)):
        yield


# ---- main ----


def main() -> None:
    """Run a command and exit. The one place where an error becomes a line and an exit code."""
    try:
        with bearing_failures():
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
            sys.stdout.flush()  # here rather than at the very end, where a failure could only be complained about
    except IqaError as error:
        from iqa_cli.cli.views import terminal

        terminal.print_error(str(error))
        sys.exit(error.exit_code)
    except PipeClosed:
        sys.exit(PIPE_CLOSED)
    except FileNotFoundError:
        if has_folder():
            raise
        from iqa_cli.cli.views import terminal

        terminal.print_error("the current folder is not there any more, so no path in it can be found: go to another one")
        sys.exit(DataError.exit_code)
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        from iqa_cli.cli.views import terminal

        terminal.print_error(NO_THREADS)
        sys.exit(DataError.exit_code)


def has_folder() -> bool:
    """Whether the folder that this process is in is there."""
    try:
        os.getcwd()  # noqa: PTH109  # Path.cwd does the same
    except FileNotFoundError:
        return False
    return True
