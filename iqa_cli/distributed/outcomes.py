"""Outcomes: what has become of a part, as it goes from a worker to the driver, and as its file tells later runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from iqa_cli.distributed.folders import Folder
from iqa_cli.errors import DataError, IqaError, UsageError, WeightsError
from iqa_cli.scoring.tally import Tally
from iqa_cli.tables.parquet import read_facts

KINDS = (UsageError, WeightsError, DataError, IqaError)


@dataclass(frozen=True)
class Outcome:
    """What has become of a part, or of the listing. It can be pickled.

    part: its name; "" for the listing, which is whole if nothing in it failed, and of which `gone` is what was named and is
    not there any more, or empty; lost: images by their parts, each with the folder or the archive that it was in, of which
    nothing is there. tally: of its images. reused: an earlier run has scored it. began, ended: seconds since 1970,
    of the scoring. error: the kind and the text of what ends the run.
    """

    part: str = ""
    tally: Tally = field(default_factory=Tally)
    reused: bool = False
    whole: bool = False
    gone: tuple[str, ...] = ()
    lost: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    began: float = 0.0
    ended: float = 0.0
    error: tuple[int, str] | None = None

    def check(self) -> None:
        """Raises what ends the run, if something does."""
        if self.error is not None:
            raise KINDS[self.error[0]](self.error[1])


def report_error(error: IqaError) -> Outcome:
    """What ends the run. Only its kind and its text travel: of its own class a copy might not be made."""
    return Outcome(error=(next(place for place, kind in enumerate(KINDS) if isinstance(error, kind)), str(error)))


def describe_part(tally: Tally, mark: str) -> dict[str, Any]:
    """The facts in the file of a part, which `read_tally` reads. mark: of the job."""
    return {**tally.describe(), "job": mark}


def read_tally(folder: Folder, name: str, mark: str) -> Tally | None:
    """The counts of a part that is there and whole; None for any other file, and for a part of a job of another mark.

    Raises DataError where the folder cannot be reached.
    """
    facts = read_facts(folder.read(name) or b"")
    if facts is None or facts.get("job", mark) != mark:  # earlier versions have written none
        return None
    try:
        tally = Tally.restore(facts)
        counts = [count for kind in tally.describe().values() for count in kind.values()]
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
    return tally if all(isinstance(count, int) for count in counts) else None
