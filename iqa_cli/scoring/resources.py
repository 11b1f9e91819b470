"""How many workers this process may have: by its cores and by the limits of its container."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

WORKER_BYTES = 256 << 20  # of memory that a decoding process and a thread of the network take for photos of 12 megapixels
UNLIMITED = 1 << 60  # bytes; version 1 of cgroups writes its largest number where there is no limit


def count_workers(root: Path = Path("/")) -> int:
    """The workers that this process may use: one a core, as far as a container's CPU quota and memory allow; at least one.

    root: where proc/ and sys/ lie.
    """
    limits = [float(count_cores())]
    for folder in find_cgroups(root):
        limits += [read_quota(folder), read_memory(folder) / WORKER_BYTES]
    return max(1, math.floor(min(limits)))


def count_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def find_cgroups(root: Path) -> Iterator[Path]:
    """The folders of the control groups of this process, of either version, and those above them, whose limits hold as well."""
    top = root / "sys/fs/cgroup"
    for line in read_text(root / "proc/self/cgroup").splitlines():
        _, controllers, place = [*line.split(":", 2), "", ""][:3]
        mount = top / controllers if controllers else top
        folder = mount / place.strip("/")
        yield mount  # in a container the place may be named as seen from outside, and its limits lie here
        while folder != mount and mount in folder.parents:
            yield folder
            folder = folder.parent


def read_quota(folder: Path) -> float:
    """The cores that a control group may use at a time; infinite where it has no quota."""
    words = read_text(folder / "cpu.max").split() or [
        read_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")
    ]
    with suppress(ValueError, ZeroDivisionError):
        quota = int(words[0]) / int(words[1])
        return max(1.0, quota) if quota > 0 else math.inf  # version 1 says -1 for none
    return math.inf


def read_memory(folder: Path) -> float:
    """The bytes of memory that a control group may use; infinite where it has no limit."""
    text = read_text(folder / "memory.max") or read_text(folder / "memory.limit_in_bytes")
    with suppress(ValueError):
        return limit if (limit := int(text)) < UNLIMITED else math.inf
    return math.inf


def read_text(path: Path) -> str:
    """A small file of the system's; empty where it cannot be read."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
