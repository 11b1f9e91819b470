"""Ray Data as the engine: one task lists the parts, and a pool of actors scores them, each with one open model.

An actor reads and decodes by itself, so that a file that nobody can decode is a row. One that dies is started anew, and its
part scored again, into the same file. What processes pass to each other is names and counts, never pictures.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from iqa_cli.distributed.job import Job
from iqa_cli.distributed.listing import list_parts
from iqa_cli.distributed.outcomes import Outcome
from iqa_cli.distributed.parts import Part
from iqa_cli.distributed.worker import PartScorer
from iqa_cli.errors import DataError, ExtraMissing, UsageError
from iqa_cli.scoring.resources import count_workers

ITEM = "item"  # the column of what is passed on
IN_FLIGHT = 1  # parts that an actor holds: one that waits behind a slow one would make the end late
STARTS = 3  # attempts to start Ray on this machine
RETRIES = 8  # of a part whose actor has died: one that kills each of them ends the run
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent anywhere
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True)
class RayOptions:
    """Where and how wide. Raises UsageError for numbers that make no sense.

    address: of a cluster, as ray.init takes it; None: that of RAY_ADDRESS, else processes on this machine. actors: how many;
    None: as many as there are cores, or GPUs, for. gpus: that each has, parts of one allowed. An actor has as many cores as
    it has workers (`ScoreOptions.workers`), one unless that is said.
    """

    address: str | None = None
    actors: int | None = None
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.actors is not None and self.actors < 1:
            raise UsageError(f"actors is at least 1, not {self.actors}")
        if self.gpus < 0:
            raise UsageError(f"actor-gpus is at least 0, not {self.gpus:g}")


class ScoreParts:
    """The callable of `map_batches`: a batch of one part becomes its outcome."""

    def __init__(self, job: Job) -> None:
        self.scorer = PartScorer(job)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The same batch with outcomes in the place of parts."""
        return {ITEM: [pickle.dumps(self.scorer.run(pickle.loads(item))) for item in batch[ITEM]]}


def encode(item: Part | Outcome) -> Any:
    """A block of one row."""
    import pyarrow as pa

    return pa.table({ITEM: pa.array([pickle.dumps(item)], pa.binary())})


def run_on_ray(job: Job, options: RayOptions) -> Iterator[Outcome]:
    """The outcomes of a job's parts, as they get done. Raises ExtraMissing, and DataError where Ray fails."""
    try:
        os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})
        import ray.data
        from ray.exceptions import RayError
    except ImportError as error:
        raise ExtraMissing("ray", "--engine ray") from error
    job = replace(job, options=replace(job.options, workers=job.options.workers or 1))
    try:
        with connected(ray, options, job.options.workers or 1) as actors:
            for row in plan(ray, job, options, actors).iter_rows():
                outcome = pickle.loads(row[ITEM])
                assert isinstance(outcome, Outcome)
                yield outcome
    except RayError as error:
        raise DataError(f"Ray: {first_line(error)}: what is done is kept; run it again to go on") from error


def first_line(error: BaseException) -> str:
    """What an exception says first."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextmanager
def connected(ray: Any, options: RayOptions, cores: int) -> Iterator[int]:
    """Ray while the block lasts; gives the number of actors. cores: of each. Raises DataError."""
    address = options.address or os.environ.get("RAY_ADDRESS") or "local"
    own = {"num_cpus": max(count_workers(), (options.actors or 1) * cores), "include_dashboard": False}
    handler = signal.getsignal(signal.SIGTERM)  # which Ray replaces
    start(ray, address, own if address == "local" else {})
    signal.signal(signal.SIGTERM, handler)
    try:
        yield options.actors or count_actors(ray.cluster_resources(), options.gpus, cores)
    finally:
        ray.shutdown()


def start(ray: Any, address: str, own: dict[str, Any]) -> None:
    """Start Ray here, or find a cluster. A busy machine may not start it in the time that Ray allows. Raises DataError."""
    local = address == "local"
    for attempt in range(STARTS if local else 1):
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
            return
        except Exception as error:  # Ray's own raise plain ones
            ray.shutdown()
            if not local or attempt + 1 == STARTS:
                what = "Ray does not start here" if local else f"--ray-address {address}: no cluster of Ray answers there"
                raise DataError(f"{what}: {first_line(error)}") from error


def count_actors(resources: dict[str, float], gpus: float, cores: int) -> int:
    """How many actors a cluster has room for, at least one."""
    room = [resources.get("CPU", 1) / cores, *([resources.get("GPU", 0) / gpus] if gpus else [])]
    return max(1, int(min(room)))


def plan(ray: Any, job: Job, options: RayOptions, actors: int) -> Any:
    """The data set of outcomes, of which nothing is done before it is iterated."""
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = 1  # byte: each part goes to an actor as soon as it is listed
    parts = ray.data.read_datasource(make_source(job), override_num_blocks=1, num_cpus=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # retries are to go as an option by Ray 2.64, and nothing comes in their place
        return map_parts(ray, parts, job, options, actors)


def map_parts(ray: Any, parts: Any, job: Job, options: RayOptions, actors: int) -> Any:
    """Parts as outcomes, by a pool of actors."""
    return parts.map_batches(
        ScoreParts,
        fn_constructor_args=(job,),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=IN_FLIGHT),
        num_cpus=job.options.workers,
        num_gpus=options.gpus or None,
        max_task_retries=RETRIES,
    )


def make_source(job: Job) -> Any:
    """The listing as what Ray Data reads: one task on the driver's machine, whose rows stream."""
    from ray.data.block import BlockMetadata
    from ray.data.datasource import Datasource, ReadTask

    class Listing(Datasource):  # type: ignore[misc]
        """The parts of a job."""

        supports_distributed_reads = False

        def estimate_inmemory_data_size(self) -> int | None:
            """Nobody knows."""
            return None

        def get_read_tasks(self, *_: Any, **__: Any) -> list[Any]:
            """One."""
            nothing_known = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
            return [ReadTask(lambda: map(encode, list_parts(job)), nothing_known)]

    return Listing()
