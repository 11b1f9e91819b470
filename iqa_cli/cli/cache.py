"""`iqa cache`: what is kept of earlier runs, and how to forget it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from iqa_cli.errors import DataError

if TYPE_CHECKING:
    from iqa_cli.scoring.cache import CacheState

app = typer.Typer(help="Scores kept from earlier runs.", no_args_is_help=True)


@app.command()
def info() -> None:
    """Say where the cache lies, how large it is and how many scores it holds: a table at a terminal, CSV in a pipe.

    The environment variable IQA_CACHE names another folder for it.
    """
    import sqlite3

    from iqa_cli.cli.views import terminal
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
    """Forget all scores, and say how many that were."""
    import sqlite3

    from iqa_cli.cli.views import terminal
    from iqa_cli.scoring import cache

    folder = cache.find_folder()
    try:
        before = cache.describe_cache(folder)
        cache.clear_cache(folder)
        freed = max(0, before.bytes - cache.describe_cache(folder).bytes)  # another run's log of changes may grow
    except (OSError, sqlite3.Error) as error:
        raise DataError(f"{folder}: the cache cannot be cleared: {error}") from error
    terminal.print_line(describe_removal(before, freed))


def describe_removal(before: CacheState, freed: int) -> str:
    """What was removed, in words."""
    if not before.bytes:
        return f"there was nothing to remove in {before.file}"
    scores = "a damaged cache" if before.scores is None else f"{before.scores:,} {'score' if before.scores == 1 else 'scores'}"
    return f"removed {scores} ({freed / 1e6:.1f} MB) from {before.file}"
