"""`iqa cache`: what is kept of earlier runs, and how to forget it."""

from __future__ import annotations

import typer

from iqa_cli.errors import DataError

app = typer.Typer(help="Scores kept from earlier runs.", no_args_is_help=True)


@app.command()
def info() -> None:
    """Say where the cache lies, how large it is and how many scores it holds: a table at a terminal, CSV in a pipe.

    The environment variable IQA_CACHE names another folder for it.
    """
    import sqlite3

    from iqa_cli.cli import terminal
    from iqa_cli.scoring import cache

    folder = cache.find_folder()
    try:
        state = cache.describe_cache(folder)
    except (OSError, sqlite3.Error) as error:
        raise DataError(f"{folder}: the cache cannot be read: {error}") from error
    scores = "damaged" if state.scores is None else str(state.scores)
    terminal.print_rows([{"file": str(state.file), "size": f"{state.bytes / 1e6:.1f} MB", "scores": scores}])


@app.command()
def clear() -> None:
    """Forget all scores."""
    import sqlite3

    from iqa_cli.scoring import cache

    folder = cache.find_folder()
    try:
        cache.clear_cache(folder)
    except (OSError, sqlite3.Error) as error:
        raise DataError(f"{folder}: the cache cannot be cleared: {error}") from error
