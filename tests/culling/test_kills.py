"""Picking 10,000 files with kill -9 at ten random moments loses nothing."""

import hashlib
import os
import random
import signal
import subprocess
import sys
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


def count_files(top: Path) -> int:
    """Photos and sidecars in the folders of a folder."""
    return sum(len(files) for _, _, files in os.walk(top))


def kill_after(call: list[str], moved: int, top: Path) -> None:
    """Run a command, and kill it once it has moved so many files from or to a folder."""
    before = count_files(top)
    running = subprocess.Popen([sys.executable, "-m", "iqa_cli", *call], env=environment(), stdout=-3, stderr=-3)
    wait_until(lambda: abs(count_files(top) - before) >= moved or running.poll() is not None, 600)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL


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
    back = ["pick", "--undo", str(best / "iqa-pick-1.undo"), "-q"]
    generator = random.Random(7)
    try:
        for command in (call, back):
            for _ in range(5):
                kill_after(command, generator.randrange(1, 600), top)
                check_all(before, top, best)
            done = subprocess.run([sys.executable, "-m", "iqa_cli", *command], env=environment(), check=False, stdout=-3)
            assert done.returncode == 0
            assert list_tree(best if command is call else top) == before
            assert not list_tree(top if command is call else best)
        assert not best.exists()
    finally:
        subprocess.run(["rm", "-rf", str(shared)], check=True)


def check_all(before: dict[str, tuple[str, int]], top: Path, best: Path) -> None:
    """Each file is there, whole; at most one of them has both names, that which was being moved."""
    here, there = list_tree(top), list_tree(best)
    assert {name: state for name, state in (there | here).items() if name in before} == before
    assert len({*here} & {*there}) <= 1
