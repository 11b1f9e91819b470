"""Whether a process has anything to do: what it has begun is done once it has not, however busy the machine is."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from conftest import wait_until

LOOKS = 20  # in a row: a thread may only have waited for another one, which has run on by the next look


def wait_until_idle(pid: int) -> None:
    """Wait until all threads of a process wait for something else. One that only has no processor is not waiting."""
    if sys.platform != "linux":  # which has no /proc
        time.sleep(1)
        return
    looks = 0

    def is_idle() -> bool:
        nonlocal looks
        looks = looks + 1 if read_states(pid) == {"S"} else 0
        return looks >= LOOKS

    wait_until(is_idle)


def read_states(pid: int) -> set[str]:
    """The states of the threads of a process, each a letter: S for one that waits, R for one that runs or would."""
    states = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            states.add((task / "stat").read_text().rpartition(")")[2].split()[0])
        except OSError:  # a thread that has ended meanwhile
            states.add("gone")
    return states
