"""Ray Data as the engine: local mode with several processes, whole commands, some of which are killed."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import Run, wait_until
from processes import running
from servers import serving
from shards import read_files, write_tar
from test_runs import read_parts, score_whole, times

pytest.importorskip("ray.data", reason="needs the [ray] extra")
ACTOR = b"ScoreParts"  # in the command line of a process that scores


@pytest.mark.process
def test_ray_gives_the_rows_of_the_local_run_bit_for_bit(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    images = tmp_path / "set"
    shutil.copytree(photos, images)
    (images / "broken.jpg").write_text("text")
    (images / "cut.jpg").write_bytes((photos / "01.jpg").read_bytes()[:300])
    shard = write_tar(tmp_path / "0.tar", read_files(images))
    shard.write_bytes(shard.read_bytes()[:-15_000])
    out = tmp_path / "out"
    command = ("score", images, shard, "gone.jpg", "-m", model, "--output", out, "--part-size", "3")
    with running(*command, "--engine", "ray", "--actors", "2", log=tmp_path / "log") as run:
        assert run.wait() == 1, run.log.read_text()
    assert read_parts(out) == score_whole(iqa, model, tmp_path, images, shard, "gone.jpg")
    said = run.log.read_text()
    assert "Traceback" not in said
    assert f"scored {sum(row['status'] == 'ok' for row in read_parts(out))} of {len(read_parts(out))} images" in said
    before = times(out)
    again = iqa(*command)  # by this process
    assert b"from an earlier run" in again.stderr
    assert times(out) == before


def answer_late(_: str, __: int) -> None:
    time.sleep(0.4)


@pytest.mark.slow
def test_what_is_killed_goes_on_and_nothing_is_lost_or_doubled(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    """kill -9 of a process that scores, then of the command, then the command again."""
    pytest.importorskip("aiohttp", reason="needs the [remote] extra")
    folder, out = tmp_path / "served", tmp_path / "out"
    folder.mkdir()
    names = [f"{number:03}.jpg" for number in range(120)]
    for number, name in enumerate(names):
        shutil.copy(photos / ("01.jpg", "02.jpg", "04.jpg")[number % 3], folder / name)
    (folder / names[50]).write_text("text")
    with serving(folder, answer_late) as (url, seen):
        (tmp_path / "list").write_text("".join(f"{url}/{name}\n" for name in names))
        command = ("score", "--files-from", tmp_path / "list", "-m", model, "--output", out, "--part-size", "2")
        ray = (*command, "--engine", "ray", "--actors", "2")
        with running(*ray, log=tmp_path / "first") as run:
            wait_until(lambda: len(times(out)) >= 4)
            os.kill(run.find_processes(ACTOR)[0], signal.SIGKILL)
            there = len(times(out))
            wait_until(lambda: len(times(out)) >= there + 8)
            os.kill(run.process.pid, signal.SIGKILL)
        written, asked = times(out), Counter(seen)
        done = {row["path"] for row in read_parts(out)}
        assert 0 < len(done) < len(names)
        with running(*ray, log=tmp_path / "second") as run:
            assert run.wait() == 1, run.log.read_text()
        rows = read_parts(out)
        assert [row["path"] for row in rows] == [f"{url}/{name}" for name in names]
        assert {name: time for name, time in times(out).items() if name in written} == written
        assert all(seen[path.removeprefix(url)] == asked[path.removeprefix(url)] for path in done)
        assert Counter(row["status"] for row in rows) == {"ok": 119, "unsupported": 1}
        assert rows == score_whole(iqa, model, tmp_path, "--files-from", tmp_path / "list")
    assert f"{len(done)} from an earlier run" in (tmp_path / "second").read_text()


@pytest.mark.slow
def test_a_machine_of_a_cluster_that_dies_costs_no_row(
    iqa: Run, model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two nodes of Ray, as `ray start` makes them; one is killed when some parts are there."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    from ray.cluster_utils import Cluster

    images, out = tmp_path / "set", tmp_path / "out"
    images.mkdir()
    for number in range(300):
        shutil.copy(photos / ("01.jpg", "02.jpg", "04.jpg")[number % 3], images / f"{number:03}.jpg")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        node = cluster.add_node(num_cpus=1)
        ray = ("--engine", "ray", "--ray-address", cluster.address, "--actors", "2")
        command = ("score", images, "-m", model, "--output", out, "--part-size", "3", *ray)
        with running(*command, log=tmp_path / "log") as run:
            wait_until(lambda: len(times(out)) >= 4)
            cluster.remove_node(node, allow_graceful=False)
            assert len(times(out)) < 90, "the node outlived the run"
            assert run.wait() == 0, run.log.read_text()
    finally:
        cluster.shutdown()
    assert read_parts(out) == score_whole(iqa, model, tmp_path, images)


@pytest.mark.process
def test_no_cluster_is_one_line(iqa_process: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    done = iqa_process(
        *("score", photos, "-m", model, "--output", tmp_path / "out", "--engine", "ray", "--ray-address", "nonsense://x")
    )
    assert done.returncode == 4
    assert b"no cluster of Ray answers there" in done.stderr
    assert b"Traceback" not in done.stderr
