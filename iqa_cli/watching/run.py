"""Watch a folder: what arrives is scored, and its record written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict

from iqa_cli.images.crops import CROP_VERSION
from iqa_cli.records import ScoreRecord, Status
from iqa_cli.scoring.pipeline import Pipeline
from iqa_cli.scoring.tally import Tally
from iqa_cli.watching.arrivals import Arrivals
from iqa_cli.watching.log import ScoreLog


def sign_settings(pipeline: Pipeline) -> str:
    """A word for all that scores depend on besides photos and libraries: with another one, photos are scored again."""
    card, decoding = pipeline.card, pipeline.pool.options
    settings = {
        "weights": {kind: file.sha256 for kind, file in card.files.items()},
        "output": None if card.output is None else asdict(card.output),
        "crops": {**asdict(decoding.crops), "cut": CROP_VERSION},
        "raw": decoding.raw,
    }
    return hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8).hexdigest()


def watch_folder(
    arrivals: Arrivals, pipeline: Pipeline, log: ScoreLog, show: Callable[[ScoreRecord], None], tally: Tally
) -> None:
    """Score what arrives, until an exception ends it. show: is given each record that is written.

    A file that is gone before it could be read has no record; one that is cut short has none before it had its time. Raises
    DataError, and what scoring and writing raise.
    """
    with closing(pipeline), closing(pipeline.score(arrivals)) as records, closing(arrivals):  # which end in the other order
        for record in records:
            while arrivals.gone:
                log.forget(arrivals.gone.popleft())
            arrival = arrivals.handed_out.popleft()
            if record.status is Status.MISSING:
                arrivals.note(record)
                continue
            if record.status is Status.DAMAGED and arrivals.put_back(arrival):
                continue
            log.write(record, arrival.state)
            tally.found += 1
            tally.add(record)
            show(record)
