"""What the benchmarks share: options, errors as lines, tables and JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from iqa_cli.errors import DataError, IqaError
from iqa_cli.options import DEFAULT_MODEL

Floats = npt.NDArray[np.float64]


# ---- the command line ----


def make_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """The options that all have who measure one model. The description is shown as it is written."""
    parser = argparse.ArgumentParser(
        prog=f"python -m tests.benchmarks.{name}",
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME", help="as of iqa score")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


def read_count(text: str, least: int = 1) -> int:
    """A whole number from `least`, which is not negative. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"a whole number from {least} is needed, not {text}")
    return int(text)


def read_seed(text: str) -> int:
    """A whole number from 0. Raises ArgumentTypeError."""
    return read_count(text, 0)


def run_whole(measure: Callable[[argparse.Namespace], None], options: argparse.Namespace) -> int:
    """Run a benchmark; its exit code. Whatever stops it is a line on stderr."""
    try:
        if options.json is not None and not options.json.parent.is_dir():
            raise DataError(f"{options.json}: its folder does not exist")  # better now than in an hour
        measure(options)
    except IqaError as error:
        sys.stderr.write(f"error: {show(str(error))}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("\nerror: interrupted\n")
        return 130
    return 0


def show(text: str) -> str:
    """The text in one line, without what would upset a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


# ---- what comes out ----


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Rows of equal length, the first the header, on stdout: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        sys.stdout.write(show("  ".join(cells)).rstrip() + "\n")


def show_figure(value: float | None, decimals: int = 3) -> str:
    """A figure for a table; "-" where it is undefined."""
    return "-" if value is None else f"{value:.{decimals}f}"


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write data into a file. Raises DataError where that fails."""
    text = json.dumps(data, indent=2, allow_nan=False) + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot write: {error.strerror}") from error
