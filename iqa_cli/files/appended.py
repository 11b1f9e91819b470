"""AppendedFile: a file that is added to, whole or not at all. What was there stays, also where the run is killed."""

from __future__ import annotations

import os
from pathlib import Path

from iqa_cli.errors import UsageError
from iqa_cli.files.atomic import WholeFile
from iqa_cli.files.locks import claim_if_free
from iqa_cli.files.replacing import find_aside


class AppendedFile(WholeFile):
    """Whole writes behind what a file holds.

    A copy is written to, and takes the file's name at `finish`. Where the file has been changed meanwhile, what was written
    goes behind what it then holds. Raises UsageError where another run writes to the same file: one of the two would be lost.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self._naming_failures(), self._leaving_nothing():
            others = [other for other in find_aside(self.final) if other != self.aside and is_living(other)]
            if others:
                raise UsageError(f"{path}: another run is writing to this file: wait until it ends, or name another file")
            self._copy()

    def _copy(self) -> None:
        """Begin with what the file now holds, its last line completed. Raises OSError."""
        self.before = find_state(self.final)
        self.file.seek(0)
        self.file.truncate()
        last = b"\n"
        if self.before is not None:
            with self.final.open("rb") as there:
                while block := there.read(1 << 20):
                    self._put_all(block)
                    last = block[-1:]
        if last != b"\n":
            self._put_all(b"\n")
        self.kept = self.begun = self.file.tell()

    def finish(self) -> None:
        """As any whole file, behind what is there by now. Where nothing is added, a file that is there stays as it is."""
        self.written = self.kept > self.begun or (self.written and self.before is None)
        with self._naming_failures(), self._leaving_nothing():
            if self.written and find_state(self.final) != self.before:
                self.file.seek(self.begun)
                added = self.aside.read_bytes()[self.begun : self.kept]
                self._copy()
                self._put_all(added)
                self.kept += len(added)
        super().finish()


def is_living(aside: Path) -> bool:
    """Whether the process that writes a file aside is at work; not, where a file system has no claims. Raises OSError."""
    try:
        with aside.open("r+b", buffering=0) as file:
            return not claim_if_free(file)
    except FileNotFoundError:  # done meanwhile
        return False


def find_state(path: Path) -> tuple[int, int, int] | None:
    """What tells one state of a file from another; None for no file. Raises OSError."""
    try:
        facts = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns
