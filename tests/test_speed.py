"""The benchmark of speed, run for real on a few small photos."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.speed import SIZES, Contestant, make_photos, run_once, summarise
from conftest import environment
from PIL import Image

ROOT = Path(__file__).parent.parent


def test_it_prints_what_it_measured_and_what_it_left_out(model: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "speed.json"
    command = [sys.executable, "-m", "tests.benchmarks.speed", "--photos", photos, "--model", model, "--rounds", "1"]
    done = subprocess.run(
        [*command, "--count", "5", "--json", out], check=True, capture_output=True, text=True, cwd=ROOT, env=environment()
    )
    figures = json.loads(out.read_text())
    results = figures["sets"]["photos"]
    assert {"iqa, again", "decoding alone, 1/1", "decoding alone, 1/8"} < results.keys()
    for name, result in results.items():
        assert name in done.stdout
        if not result["failure"]:
            assert result["rate"] > 0
            assert result["cpu_ms"] > 0
    assert results[f"iqa ({model})"]["images"] == 5
    if sys.platform == "linux":
        assert 20 < results[f"iqa ({model})"]["memory_mb"] < 600
    assert f"one photo, start to end: {figures['start_s']:.2f} s" in done.stdout
    missing = [line for line in done.stderr.splitlines() if line.startswith("left out: ")]
    assert all("to compare with it: pip install " in line for line in missing)
    assert len(missing) + len({name.split()[0] for name in results} - {"iqa", "iqa,", "decoding"}) == 5


def test_who_fails_is_told_with_his_last_words() -> None:
    contestant = Contestant("clumsy", ("-c", "raise SystemExit('out of luck')"))
    run = run_once(contestant, ["a.jpg"], "")
    assert run.failure == "out of luck"
    assert summarise(["a.jpg"], contestant, [run])["failure"] == "out of luck"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_counts_the_processes_that_one_has_started() -> None:
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; held = b\"x\" * 200_000_000; time.sleep(3)'])\n"
        "child.wait()"
    )
    assert run_once(Contestant("parent", ("-c", code)), [], "").memory > 200_000_000


def test_made_photos_have_the_size_asked_for(tmp_path: Path) -> None:
    paths = make_photos(tmp_path, SIZES["2 MP"], 4)
    sizes = []
    for path in paths:
        with Image.open(path) as image:
            sizes.append(image.size)
    assert sizes == [(1632, 1224)] * 3 + [(1224, 1632)]
