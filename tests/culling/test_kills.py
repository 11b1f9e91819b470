"""Picking 10,000 files with kill -9 at ten random moments loses nothing."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import wait_until, write_photo
from in_process import environment

pytestmark = [pytest.mark.slow, pytest.mark.process]
PHOTOS = 5_000  # each with a sidecar


def list_tree(*tops: Path) -> dict[str, tuple[str, int]]:
    """Name of each photo and sidecar below the folders, below those -> hash and time of change; none is there twice."""
    found: dict[str, tuple[str, int]] = {}
    for top in tops:
        for path in top.rglob("*.[jx]*") if top.exists() else ():
            name = os.path.relpath(path, top)
            assert name not in found, f"{name} is there twice"
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns
    return found


def kill_after(call: list[str], seconds: float, begun: Path) -> int:
    """Run a command, and kill it so long after it has begun to move files; its exit code."""
    running = subprocess.Popen([sys.executable, "-m", "iqa_cli", *call], env=environment(), stdout=-3, stderr=-3)
    wait_until(lambda: begun.exists() or running.poll() is not None)
    try:
        return running.wait(seconds)
    except subprocess.TimeoutExpired:
        running.send_signal(signal.SIGKILL)
        return running.wait()


@pytest.mark.parametrize("other", [False, True], ids=["on one file system", "to another one"])
def test_ten_kills_lose_nothing(model: Path, tmp_path: Path, other: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    shared = Path("/dev/shm") / f"iqa-{os.getpid()}"
    if other and (not Path("/dev/shm").is_dir() or Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev):
        pytest.skip("there is no other file system here")
    top, best = tmp_path / "photos", (shared if other else tmp_path) / "best"
    picture = write_photo(tmp_path_factory.mktemp("one") / "photo.jpg", 3, (32, 32)).read_bytes()
    for number in range(PHOTOS):
        folder = top / f"{number % 50:02}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:05}.jpg").write_bytes(picture + number.to_bytes(4, "big"))
        (folder / f"{number:05}.xmp").write_text(f"stars of {number}")
    before = list_tree(top)
    call = ["pick", str(top), "-m", str(model), "--keep", "100%", "--to", str(best), "--move", "--apply", "-q"]
    journal = best / "iqa-pick-1.undo"
    back = ["pick", "--undo", str(journal), "-q"]
    generator, kills = random.Random(7), 0
    try:
        for command in [call] * 5 + [back] * 5:
            began = time.monotonic()
            code = kill_after(command, generator.uniform(0.05, 0.6), journal)
            kills += code == -signal.SIGKILL
            assert code in (0, -signal.SIGKILL), time.monotonic() - began
            check_all(before, top, best)
        done = subprocess.run([sys.executable, "-m", "iqa_cli", *call], env=environment(), check=False, stdout=-3)
        assert done.returncode == 0
        assert not list_tree(top)
        assert list_tree(best) == before
        done = subprocess.run([sys.executable, "-m", "iqa_cli", *back], env=environment(), check=False)
        assert done.returncode == 0
        assert list_tree(top) == before
        assert not best.exists()
        assert kills >= 5
    finally:
        subprocess.run(["rm", "-rf", str(shared)], check=True)


def check_all(before: dict[str, tuple[str, int]], top: Path, best: Path) -> None:
    """Each file is there, whole; at most one of them has both names, that which was being moved."""
    here, there = list_tree(top), list_tree(best)
    assert {name: state for name, state in (there | here).items() if name in before} == before
    assert len({*here} & {*there}) <= 1
