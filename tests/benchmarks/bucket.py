"""What a bucket costs on this side: a server of S3's protocol on loopback, and every request to it counted."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

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
    """list_ms, get_ms: of this process, an image; lists_an_image, gets_an_image: requests; row_bytes: of Parquet, an image."""

    list_ms: float
    get_ms: float
    lists_an_image: float
    gets_an_image: float
    row_bytes: float


@contextmanager
def serving_bucket() -> Iterator[Any]:
    """The file system of a server on loopback with an empty bucket. Raises DataError where it is not installed."""
    try:
        import s3fs
        from moto.server import ThreadedMotoServer
    except ImportError as error:
        raise DataError(f"{error.name} is not installed: pip install 'iqa-cli[dev]'") from error
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    before = {name: os.environ.get(name) for name in keys}
    os.environ.update(keys)
    try:
        files = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
        files.mkdir(BUCKET)
        yield files
    finally:
        server.stop()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def measure_bucket(paths: Sequence[str], objects: int, folder: Path) -> BucketCost:
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
        measure_rows(paths[:40], folder),
    )


@dataclass(frozen=True)
class Timed:
    """Seconds, and requests by the name of their operation."""

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
    began = time.monotonic()
    entries = list_entries([url], left_out, EVERYTHING, stores)
    drawn = list(read_ahead(open_entries(entries, left_out, EVERYTHING, stores))) if read else list(entries)
    seconds = time.monotonic() - began
    if read and not all(isinstance(source, FileBytes) for source in drawn):
        raise DataError(f"{url}: some objects could not be read")
    return Timed(seconds, seen)


def measure_rows(paths: Sequence[str], folder: Path) -> float:
    """The bytes of Parquet that the row of an image takes."""
    pipeline = open_pipeline(ScoreOptions(workers=1))
    rows = [describe_row(record, "0" * 64, COLUMNS) for record in pipeline.score(paths)]
    pipeline.close()
    many = [{**row, "path": f"s3://bucket/{folder.name}/{place:09}.jpg"} for place in range(50) for row in rows]
    return len(encode_rows(many, score_schema(), {})) / len(many)
