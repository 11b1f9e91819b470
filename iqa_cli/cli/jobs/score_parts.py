"""`iqa score --output`: options, one core call, exit code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from iqa_cli.cli import interrupts
from iqa_cli.cli.flags.ratings import RatingFlags
from iqa_cli.cli.flags.score import STDIN, ChoiceFlags, InputFlags, ModelFlags, OutputFlags
from iqa_cli.cli.flags.shared import STREAM
from iqa_cli.cli.flags.tables import TableFlags
from iqa_cli.cli.jobs.flags import EngineChoice, EngineFlags
from iqa_cli.errors import UsageError

if TYPE_CHECKING:
    from iqa_cli.distributed.job import Job
    from iqa_cli.distributed.outcomes import Outcome
    from iqa_cli.options import ScoreOptions

KEPT = ("quiet", "force", "detail", "model")  # options of other groups that a run in parts has, too


def refuse_others(*groups: ChoiceFlags | OutputFlags | TableFlags | RatingFlags | ModelFlags) -> None:
    """Raises UsageError for options that are about one list of all records, and for the cache, which parts make needless."""
    for group in groups:
        for f in fields(group):
            value = getattr(group, f.name)
            if f.name not in KEPT and value != f.default and value is not False:  # --no-cache is as it is
                name = {"lowest": "min", "highest": "max"}.get(f.name, f.name.replace("_", "-"))
                raise UsageError(f"--output writes all records, in parts: leave out --{name}, or --output")


def plan_parts(options: ScoreOptions, images: InputFlags, engine: EngineFlags) -> Job:
    """The job, with its model. Raises UsageError, WeightsError, and ExtraMissing where Parquet cannot be written."""
    from iqa_cli.distributed.job import Job, plan_job
    from iqa_cli.distributed.parts import DEFAULT_SIZE
    from iqa_cli.tables.parquet import need_pyarrow

    need_pyarrow("--output")
    paths = images.paths or []
    if STDIN in paths or images.files_from == STREAM:
        raise UsageError(
            "--output: a list on stdin cannot be read twice, to go on: write it to a file; --files-from FILE reads it"
        )
    if not paths and images.files_from is None:
        raise UsageError("nothing to score: name images, folders, shards or URLs. See: iqa score --help")
    listing = None if images.files_from is None else Path(images.files_from).absolute()
    size = engine.part_size or DEFAULT_SIZE
    job = Job(tuple(paths), engine.place or "", options, "", "", listing, images.null, size, retry=engine.retry)
    return plan_job(job)


def run_parts(options: ScoreOptions, images: InputFlags, output: OutputFlags, engine: EngineFlags) -> int:
    """Score in parts, showing how far it is: the exit code. What is done is kept, however the run ends."""
    from iqa_cli.cli.views import terminal
    from iqa_cli.distributed.run import run_job
    from iqa_cli.scoring.tally import Tally

    job, tally = plan_parts(options, images, engine), Tally()
    with interrupts.raised(), terminal.follow(tally, [job.place], quiet=output.quiet, count=None):
        run_job(job, partial(run_engine, engine=engine), tally, force=output.force)
    return tally.exit_code


def run_engine(job: Job, engine: EngineFlags) -> Iterator[Outcome]:
    """The outcomes of a job's parts, from the engine that is asked for."""
    if engine.engine is EngineChoice.LOCAL:
        from iqa_cli.distributed.run import run_local

        return run_local(job)
    from iqa_cli.distributed.ray_engine import RayOptions, run_on_ray

    return run_on_ray(job, RayOptions(engine.ray_address, engine.actors, engine.actor_gpus or 0.0))
