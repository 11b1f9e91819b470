"""Workers: one a core, but no more than a container may use or the system lets start."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from in_process import environment

from iqa_cli.scoring import resources
from iqa_cli.scoring.ordered_map import map_ordered
from iqa_cli.scoring.resources import count_workers

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "count_cores", lambda: 8)


def write_cgroup(root: Path, line: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/cgroup": line, **{f"sys/fs/cgroup/{name}": text for name, text in files.items()}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("line", "files", "workers"),
    [
        ("0::/\n", {}, 8),
        ("0::/\n", {"cpu.max": "max 100000\n", "memory.max": "max\n"}, 8),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "350000 100000\n"}, 3),
        ("0::/\n", {"memory.max": f"{1 << 30}\n"}, 4),
        ("0::/\n", {"memory.max": "1000\n"}, 1),
        ("0::/pod/box\n", {"pod/cpu.max": "300000 100000\n", "pod/box/cpu.max": "max 100000\n"}, 3),
        ("4:cpu,x:/box\n", {"cpu,x/box/cpu.cfs_quota_us": "400000\n", "cpu,x/box/cpu.cfs_period_us": "100000\n"}, 4),
        ("4:cpu:/outside\n", {"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ("5:memory:/\n", {"memory/memory.limit_in_bytes": f"{512 << 20}\n"}, 2),
        ("5:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 8),
        ("nonsense\n", {"cpu.max": "nonsense\n"}, 8),
    ],
)  # fmt: skip
def test_a_container_has_as_many_workers_as_it_may_use(tmp_path: Path, line: str, files: dict[str, str], workers: int) -> None:
    assert count_workers(write_cgroup(tmp_path, line, files)) == workers


def test_a_system_without_control_groups_has_a_worker_a_core(tmp_path: Path) -> None:
    assert count_workers(tmp_path) == 8


def test_where_no_more_threads_can_be_started_those_there_are_do_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    start, left = threading.Thread.start, [2]  # one that draws the items, and one that does them

    def start_two(thread: threading.Thread) -> None:
        if not left[0]:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_two)
    assert list(map_ordered(range(100), lambda item, _: item * item, threads=8)) == [item * item for item in range(100)]


AS_ANOTHER = [  # root is bound by no limit of processes; somebody else who may read everything is
    "setpriv", "--reuid", "64321", "--clear-groups",
    *(f"--{kind}=-all,+dac_override" for kind in ("inh-caps", "ambient-caps", "bounding-set")),
]  # fmt: skip


def can_be_another() -> bool:
    """Whether a program can be run here as another user with a limit of processes."""
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("setpriv") or not shutil.which("prlimit"):
        return False
    return subprocess.run([*AS_ANOTHER, sys.executable, "-c", ""], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_be_another(), reason="needs root and util-linux")
@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6, 7, 9, 12, 40])
def test_a_limit_of_processes_ends_in_fewer_workers_or_in_one_line(model: Path, photos: Path, limit: int) -> None:
    score = [sys.executable, "-m", "iqa_cli", "score", str(photos), "--model", str(model), "--workers", "4", "--no-cache"]
    env = {name: value for name, value in environment().items() if name != "OMP_NUM_THREADS"}
    command = [*AS_ANOTHER, "prlimit", f"--nproc={limit}", *score]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=env, timeout=120)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 4), done.stderr
    assert done.returncode == 0 or len(done.stderr.splitlines()) == 1
