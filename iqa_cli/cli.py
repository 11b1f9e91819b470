"""The commands: options, one core call, exit code. Nothing heavy is imported before a command runs.

Exit codes: 0 every image has a score; 1 some image has none; 2 usage; 3 weights; 4 labels, folders and outputs;
130 Ctrl-C, 143 terminated, 141 the reader of the output has gone (as for any tool in a pipe).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from iqa_cli import __version__, cli_cache, cli_data, cli_train
from iqa_cli.errors import DataError, IqaError, UsageError, WeightsError
from iqa_cli.options import DEFAULT_MODEL, MAX_CROPS, MAX_TIMEOUT, BackendChoice, ScoreOptions
from iqa_cli.sinks import CsvSink, Sink, open_sinks
from iqa_cli.targets import PipeClosed, open_stdout

INTERRUPTED, PIPE_CLOSED, TERMINATED = 130, 141, 143  # 128 + the number of the signal, as shells count
STDIN = "-"

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


# ---- options that commands share ----

INPUT, OUTPUT, MODEL, SPEED = "Input", "Output", "Model", "Speed and memory"  # panels of the help

ModelName = Annotated[
    str,
    typer.Option(
        "--model", "-m", help=r"A name that iqa models lists, a path, or hf://owner/name\[@revision].", rich_help_panel=MODEL
    ),
]
Backend = Annotated[
    BackendChoice, typer.Option(help="What runs the network; auto prefers ONNX Runtime.", rich_help_panel=MODEL)
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps, ...", rich_help_panel=MODEL)]
CropCount = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MAX_CROPS,
        help=r"Views an image; more are slower and steadier.  \[default: the model's]",
        rich_help_panel=MODEL,
    ),
]
Workers = Annotated[int | None, typer.Option(min=1, help=r"Images at a time.  \[default: one a core]", rich_help_panel=SPEED)]
BatchSize = Annotated[int, typer.Option(min=1, help="Images a run of the network; helps on a GPU only.", rich_help_panel=SPEED)]
MaxPixels = Annotated[
    int | None,
    typer.Option(min=1, help=r"Report larger images instead of decoding them.  \[default: 300000000]", rich_help_panel=INPUT),
]
Timeout = Annotated[
    float,
    typer.Option(
        metavar="SECONDS", min=0.001, max=MAX_TIMEOUT, help="Report images that take longer to decode.", rich_help_panel=INPUT
    ),
]
Cache = Annotated[
    bool | None,
    typer.Option(
        "--cache/--no-cache",
        help=r"Keep scores, and score only what is new or changed.  \[default: for folders and lists]",
        rich_help_panel=SPEED,
    ),
]
Csv = Annotated[Path | None, typer.Option(metavar="FILE", help="Write CSV, a line an image.", rich_help_panel=OUTPUT)]
Jsonl = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write JSON Lines, an object an image.", rich_help_panel=OUTPUT)
]
Json = Annotated[Path | None, typer.Option(metavar="FILE", help="Write one JSON array.", rich_help_panel=OUTPUT)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary; errors stay.", rich_help_panel=OUTPUT)]


# ---- score ----


@app.command(
    epilog="Exit codes: 0 every image has a score, 1 some image has none (its row says why), 2 usage, 3 model, 4 files."
)
def score(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH...", help="Images, and folders of them; - reads a list of paths from stdin."),
    ] = None,
    files_from: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also score the paths listed in FILE, one a line.", rich_help_panel=INPUT),
    ] = None,
    null: Annotated[
        bool, typer.Option("--null", "-0", help="Lists end each path with a NUL, as find -print0 does.", rich_help_panel=INPUT)
    ] = False,
    max_pixels: MaxPixels = None,
    timeout: Timeout = 60.0,
    csv: Csv = None,
    jsonl: Jsonl = None,
    json: Json = None,
    quiet: Quiet = False,
    model: ModelName = DEFAULT_MODEL,
    backend: Backend = BackendChoice.AUTO,
    device: Device = "auto",
    crops: CropCount = None,
    workers: Workers = None,
    batch_size: BatchSize = 1,
    cache: Cache = None,
) -> None:
    """Score images: 0 is bad, 100 is excellent.

    The percentile says what share of the photographs that people rated scores no higher.

    Without --csv, --jsonl or --json the records go to stdout: a table at a terminal, CSV in a pipe.

    Every image gets a record, scored or not, in the order of the paths. Files appear whole; at Ctrl-C with what is done.

    $ iqa score photos

    $ iqa score photos --csv scores.csv --json scores.json

    $ find . -name '*.jpg' -print0 | iqa score -0 - | sort -t, -k2 -g
    """
    kept = has_many(paths or [], files_from) if cache is None else cache
    options = ScoreOptions(model, backend, device, batch_size, workers, crops, max_pixels, timeout, kept)
    files = {kind: path for kind, path in (("csv", csv), ("jsonl", jsonl), ("json", json)) if path is not None}
    inputs = name_inputs(paths or [], files_from, null=null)
    from iqa_cli import console, scoring  # after the options: who misspelt one need not wait for it

    tally = scoring.Tally()
    with (
        console.follow(tally, list(files.values()), quiet=quiet, count=plan_count(paths, files_from)),
        open_output(files) as sink,
    ):
        scoring.score_all(inputs, options, sink.write, tally)
    raise typer.Exit(tally.exit_code)


def name_inputs(paths: list[str], files_from: Path | None, *, null: bool) -> Iterator[str]:
    """The paths to score, those of lists among them. Raises UsageError without any, DataError where FILE cannot be read."""
    if not paths and files_from is None:
        raise UsageError("nothing to score: name images or folders, or - for a list on stdin. See: iqa score --help")
    if paths.count(STDIN) + (files_from == Path(STDIN)) > 1:
        raise UsageError("stdin can be read once only")
    listing = None if files_from is None else open_list(files_from)
    return draw_inputs(paths, listing, null=null)


def has_many(paths: list[str], files_from: Path | None) -> bool:
    """Whether folders or lists are among what is to be scored; images that are named one by one need no cache."""
    return files_from is not None or STDIN in paths or any(map(os.path.isdir, paths))


def open_list(path: Path) -> BinaryIO:
    """A file of paths; - is stdin. Raises DataError."""
    try:
        return open_stdin() if path == Path(STDIN) else path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot read the list of paths: {error.strerror}") from error


def open_stdin() -> BinaryIO:
    """Standard input, but not Python's own object, which aborts a process that ends while a thread reads. Raises OSError."""
    return open(0, "rb", closefd=False)


def draw_inputs(paths: list[str], listing: BinaryIO | None, *, null: bool) -> Iterator[str]:
    """Each path as it is needed: first those named, with the list on stdin where - stands, then those of the list."""
    from iqa_cli.finding import read_paths

    for path in paths:
        if path == STDIN:
            with open_list(Path(STDIN)) as stdin:
                yield from read_paths(stdin, null_separated=null)
        else:
            yield path
    if listing is not None:
        with listing:
            yield from read_paths(listing, null_separated=null)


def plan_count(paths: list[str] | None, files_from: Path | None) -> Callable[[], int] | None:
    """What finds out how many images there are, unless a list says so only as it is read."""
    from collections import Counter

    from iqa_cli.finding import find_images

    if not paths or STDIN in paths or files_from is not None:
        return None
    return lambda: sum(1 for _ in find_images(paths, Counter()))


def open_output(files: Mapping[str, Path]) -> AbstractContextManager[Sink]:
    """Where records go: the files, or stdout. Raises UsageError and DataError."""
    from iqa_cli import console

    if files:
        return open_sinks(files)
    return nullcontext(console.TableSink() if sys.stdout.isatty() else CsvSink(open_stdout()))


# ---- models ----


@app.command()
def models() -> None:
    """List the installed models: a table at a terminal, CSV in a pipe."""
    from iqa_cli import console, weights

    cards = list(weights.find_cards())
    if not cards:
        raise WeightsError(f"{weights.released_folder()}: no models are installed there")
    console.print_models(cards, weights.released_folder())


app.add_typer(cli_cache.app, name="cache")


# ---- training, see cli_train ----

app.command()(cli_train.train)
app.command()(cli_train.distill)
app.command()(cli_train.blend)
app.command("export-onnx")(cli_train.export_onnx)


# ---- rated sets, see cli_data ----

app.command(epilog=cli_data.EXIT_CODES)(cli_data.evaluate)
app.add_typer(cli_data.datasets_app, name="datasets")


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
        from iqa_cli import console

        console.print_error(str(error))
        sys.exit(error.exit_code)
    except (PipeClosed, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what Python still flushes goes there
        sys.exit(PIPE_CLOSED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
