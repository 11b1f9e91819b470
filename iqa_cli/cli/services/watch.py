"""`iqa watch`: options, one core call, and it ends by Ctrl-C."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from iqa_cli.cli import interrupts
from iqa_cli.cli.flags.images import FolderFlags
from iqa_cli.cli.flags.score import ModelFlags
from iqa_cli.cli.flags.shared import STREAM, RuntimeFlags, spread
from iqa_cli.cli.flags.watch import WatchFlags
from iqa_cli.errors import DataError
from iqa_cli.files.outputs import check_outputs
from iqa_cli.scoring.decode_protocol import start_worker
from iqa_cli.scoring.writers import list_outputs

if TYPE_CHECKING:
    from iqa_cli.options import ScoreOptions
    from iqa_cli.records import ScoreRecord


@spread
def watch(*, watched: WatchFlags, images: FolderFlags, model: ModelFlags, runtime: RuntimeFlags) -> None:
    """Score photos as they arrive in a folder, until Ctrl-C.

    A photo is scored when it is complete, and has its line in FILE at once. Of several lines of one photo the last counts.

    A later run goes on: what FILE knows is scored again only where it has changed, or the model, --crops or --raw have.

    $ iqa watch incoming --jsonl scores.jsonl

    $ iqa watch incoming --jsonl - | jq 'select(.score < 30)'
    """
    options = images.apply(runtime.gather())
    run_watching(replace(options, model=model.model, cache=model.cache is not False), watched)


def run_watching(options: ScoreOptions, watched: WatchFlags) -> None:
    """Score what arrives until a signal ends it. Raises UsageError, DataError, WeightsError and ExtraMissing."""
    if not watched.folder.is_dir():
        raise DataError(f"{watched.folder}: no such folder")
    check_outputs(list_outputs({"jsonl": watched.jsonl}, append=True), [])
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy would start a thread a core, of which scoring uses none
    with closing(start_worker()) as worker:  # it loads what decodes, while this process loads what runs the network
        from iqa_cli.cli.views.progress import follow_watch
        from iqa_cli.scoring.pipeline import filter_names, open_pipeline
        from iqa_cli.scoring.tally import Tally
        from iqa_cli.watching.arrivals import Arrivals, Pace, import_watch
        from iqa_cli.watching.log import ScoreLog
        from iqa_cli.watching.run import sign_settings, watch_folder

        import_watch()  # or say at once that it is missing
        with interrupts.raised():
            tally = Tally()
            pipeline = open_pipeline(options, tally.notes.append, worker)
            limit = pipeline.pool.options.max_pixels
            with closing(ScoreLog(watched.jsonl, pipeline.card.name, sign_settings(pipeline), limit)) as log:
                names, folder = filter_names(options), str(watched.folder)
                with follow_watch(folder, tally, known=log.count_known(folder), quiet=watched.quiet) as warn:
                    tell = warn_anyway if watched.quiet else warn
                    arrivals = Arrivals(folder, names, log.knows, tell, Pace(watched.settle, watched.poll))
                    view = choose_view(watched)

                    def show(record: ScoreRecord) -> None:
                        arrivals.note(record)
                        view(record)

                    watch_folder(arrivals, pipeline, log, show, tally)


def warn_anyway(text: str) -> None:
    """A warning is told by a silent run, too: there may be photos that have no score."""
    from iqa_cli.cli.views.terminal import print_warnings

    print_warnings([text])


def choose_view(watched: WatchFlags) -> Callable[[ScoreRecord], None]:
    """What shows each record: a table at a terminal, unless stdout has the records, or nobody wants it."""
    from iqa_cli.cli.views import terminal

    if watched.quiet or watched.jsonl == STREAM or not sys.stdout.isatty():
        return lambda record: None  # noqa: ARG005
    return terminal.TableSink().write
