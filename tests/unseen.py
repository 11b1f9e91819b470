"""Folders that nobody can look into, not even root, and a way to run commands as somebody who may not read everything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAME = "d" * 250
LEVELS = 17  # of such names: more than a path may have characters
UNPRIVILEGED = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []


def make_unreadable(folder: Path) -> Path:
    """A folder so deep below another one that it has no path. `shutil.rmtree` removes it."""
    folder.mkdir(parents=True, exist_ok=True)
    number = os.open(folder, os.O_RDONLY)
    for _ in range(LEVELS):
        os.mkdir(NAME, dir_fd=number)
        inner = os.open(NAME, os.O_RDONLY, dir_fd=number)
        os.close(number)
        number = inner
    os.close(number)
    return folder


def may_be_refused() -> bool:
    """Whether a command can be run here that may not read everything."""
    if not UNPRIVILEGED:
        return True
    if not shutil.which(UNPRIVILEGED[0]):
        return False
    return subprocess.run([*UNPRIVILEGED, sys.executable, "-c", ""], check=False, capture_output=True).returncode == 0
