"""What a run that was cut short has kept: which of its outputs it has written, and of how many images."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from iqa_cli.errors import WriteError
from iqa_cli.files.appended import find_state
from iqa_cli.files.atomic import STDOUT, is_stream

if TYPE_CHECKING:
    from iqa_cli.scoring.tally import Tally

State = tuple[int, int, int] | None


class Kept:
    """The outputs of a run, as they are when it begins. files: those with a name, URLs of folders among them; or STDOUT."""

    def __init__(self, files: Iterable[Path | str]) -> None:
        self.files = list(files)
        self.before = {file: read_state(file) for file in self.files if isinstance(file, Path) and file != STDOUT}

    def describe(self, tally: Tally, error: BaseException) -> str:
        """What there is of the run that this has ended; empty where it may be nothing.

        Where an output could not be written, nobody knows how many images it has.
        """
        failed = isinstance(error, WriteError)
        there = [file for file in self.files if file != STDOUT and self._has(file, failed=failed)]
        place = f" in {', '.join(map(str, there))}" if there else ""
        if not tally.recorded or (not place and (failed or self.before)):
            return ""
        what = "what was written before is" if failed else f"{tally.recorded} of the {tally.found} images found so far are"
        return f"interrupted: {what} kept{place}"

    def _has(self, file: Path | str, *, failed: bool) -> bool:
        """Whether an output holds something of the run; of a stream only where nothing failed can that be said."""
        if isinstance(file, str):
            return True
        return not failed if is_stream(file) else read_state(file) not in (None, self.before[file])


def read_state(path: Path) -> State:
    """What tells one state of a file from another; None where there is none that can be looked at."""
    with suppress(OSError, ValueError):
        return find_state(path)
    return None
