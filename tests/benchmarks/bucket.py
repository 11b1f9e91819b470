"""What a bucket costs on this side: a server of S3's protocol on loopback, and every request to it counted."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from iqa_cli.errors import DataError
from iqa_cli.images.find import EVERYTHING
from iqa_cli.options import ScoreOptions
from iqa_cli.records import COLUMNS
from iqa_cli.remote.find import list_entries, open_entries, read_ahead
from iqa_cli.remote.stores import Stores
from iqa_cli.scoring.pipeline import open_pipeline
from iqa_cli.scoring.sources import FileBytes
from iqa_cli.tables.parquet import describe_row, encode_rows, score_schema

BUCKET = "scale"


@dataclass(frozen=True)
class BucketCost:
    """Of an image. list_ms, get_ms: CPU of this side; lists_an_image, gets_an_image: requests; row_bytes: of Parquet."""

    list_ms: float
    get_ms: float
    lists_an_image: float
    gets_an_image: float
    row_bytes: float


@contextmanager
def serving_bucket() -> Iterator[Any]:
    """The file system of a server on loopback, a process of its own, with a bucket. Raises DataError without one."""
    try:
        import moto.server  # noqa: F401  # the process that serves needs it
        import s3fs
    except ImportError as error:
        raise DataError(f"{error.name} is not installed: pip install 'iqa-cli[dev]'") from error
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    keys = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in keys}
    os.environ.update(keys)
    try:
        wait_for(port, server)
        files = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
        files.mkdir(BUCKET)
        yield files
    finally:
        server.terminate()
        server.wait()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Until a server answers. Raises DataError where it ends, or does not in a minute."""
    end = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise DataError("moto's server does not start")


def measure_bucket(paths: Sequence[str], objects: int) -> BucketCost:
    """List so many objects and read some photos as a run does. Raises DataError."""
    with serving_bucket() as files:
        files.pipe({f"{BUCKET}/many/{number:07}.jpg": b"x" for number in range(objects)})
        files.pipe({f"{BUCKET}/photos/{Path(path).name}": Path(path).read_bytes() for path in paths})
        listing = time_requests(f"s3://{BUCKET}/many", read=False)
        reading = time_requests(f"s3://{BUCKET}/photos", read=True)
    return BucketCost(
        1000 * listing.seconds / objects,
        1000 * reading.seconds / len(paths),
        listing.requests["ListObjectsV2"] / objects,
        (reading.requests.total() - reading.requests["ListObjectsV2"]) / len(paths),
        measure_rows(paths[0]),
    )


@dataclass(frozen=True)
class Timed:
    """CPU seconds of this process, and requests by the name of their operation."""

    seconds: float
    requests: Counter[str]


def time_requests(url: str, *, read: bool) -> Timed:
    """List what is below a URL, and read it where that is asked for, as a run does."""
    stores, left_out, seen = Stores(Event()), Counter[str](), Counter[str]()
    opened = stores.open(url)
    if opened is None:
        raise DataError(f"{url}: cannot be opened")
    files = opened[0].files
    files.connect()
    files._s3.meta.events.register("before-call.s3", lambda model, **_: seen.update([model.name]))
    began = time.process_time()
    entries = list_entries([url], left_out, EVERYTHING, stores)
    drawn = list(read_ahead(open_entries(entries, left_out, EVERYTHING, stores))) if read else list(entries)
    seconds = time.process_time() - began
    if read and not all(isinstance(source, FileBytes) for source in drawn):
        raise DataError(f"{url}: some objects could not be read")
    return Timed(seconds, seen)


def measure_rows(path: str) -> float:
    """The bytes of Parquet that the row of an image takes, for scores as they spread in the LIVE In the Wild study."""
    pipeline = open_pipeline(ScoreOptions(workers=1))
    (record,) = pipeline.score(path)
    pipeline.close()
    rows = []
    for number, draws in enumerate(np.random.default_rng(0).random((10_000, 3))):
        numbers = {"score": 20 + 65 * draws[0], "percentile": 100 * draws[1], "uncertainty": 12 + 7 * draws[2]}
        scored = replace(record, path=f"s3://bucket/photos/{number:09}.jpg", **numbers)
        rows.append(describe_row(scored, "0" * 64, COLUMNS))
    return len(encode_rows(rows, score_schema(), {})) / len(rows)
