"""The benchmark of speed, run for real on a few small photos."""

import json
import sys
from pathlib import Path

import pytest
from benchmarks import speed
from benchmarks.speed import PEERS, SIZES, Contestant, Limits, Run, Turn, make_photos, run_once, summarise
from conftest import wait_until
from PIL import Image

pytestmark = pytest.mark.process

# ---- contestants ----


def write_package(folder: Path) -> Path:
    """A Python that has a `brisque`, which takes a second for every picture but the first two; the path of that Python."""
    (folder / "brisque.py").write_text(
        "import time\n"
        "class BRISQUE:\n"
        "    def __init__(self, url): self.asked = 0\n"
        "    def score(self, pixels):\n"
        "        self.asked += 1\n"
        "        time.sleep(self.asked > 2)\n"
    )
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return python


@pytest.mark.skipif(sys.platform == "win32", reason="a script of a shell")
def test_it_prints_what_it_measured_and_what_it_left_out(
    model: Path, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With a peer in the Python that has it."""
    out = tmp_path / "speed.json"
    options = ["--photos", str(photos), "--model", str(model), "--rounds", "1", "--count", "3", "--json", str(out)]
    assert speed.main([*options, "--python", f"brisque={write_package(tmp_path)}"]) == 0
    printed, err = capfd.readouterr()
    results = json.loads(out.read_text())["sets"]["photos"]
    assert printed.splitlines()[0].split() == ["photos", "images", "img/s", "x", "start", "then", "x", "CPU", "ms", "MB"]
    assert {"iqa, again", "brisque", "decoding alone, 1/1", "decoding alone, 1/8"} < results.keys()
    for name, result in results.items():
        assert name in printed
        if not result["failure"]:
            assert result["rate"] > 0
            assert result["start_s"] > 0
            assert result["cpu_ms"] > 0
    own = results[f"iqa ({model})"]
    assert (own["images"], own["times"]) == (3, 1)
    assert results["decoding alone, 1/1"]["times"] == pytest.approx(own["rate"] / results["decoding alone, 1/1"]["rate"])
    if sys.platform == "linux":
        assert 20 < own["memory_mb"] < 600
    assert (results["brisque"]["images"], results["brisque"]["failure"]) == (2, "")
    missing = [line for line in err.splitlines() if line.startswith("left out: ")]
    assert all("to compare with it: pip install " in line for line in missing)
    assert len(missing) + len({name.split()[0] for name in results} - {"iqa", "iqa,", "decoding"}) == len(PEERS)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--python", "brisque=/no/such/python"], "brisque=/no/such/python: no such Python"),
        (["--python", "python3"], "python3: no package of that name; PACKAGE=PATH is needed, of pyiqa, brisque, piq"),
        (["--python", "numpy=python3"], "numpy=python3: no package of that name"),
        (["--peer", "numpy"], "invalid choice: 'numpy'"),
        (["--size", "3 MP"], "invalid choice: '3 MP'"),
        (["--limit", "0"], "a whole number from 1 is needed, not 0"),
    ],
)
def test_what_cannot_be_is_a_line_below_the_usage(given: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        speed.main(given)
    assert ended.value.code == 2
    assert message in capfd.readouterr().err


# ---- runs ----


def test_who_fails_is_told_with_his_last_words() -> None:
    contestant = Contestant("clumsy", ("-c", "raise SystemExit('out of luck')"))
    run = run_once(contestant, ["a.jpg"], "")
    assert run.failure == "failed: out of luck"
    assert summarise(1, [Turn(run, run)]).failure == "failed: out of luck"


def test_who_takes_too_long_is_ended() -> None:
    code = "import time; time.sleep(600)"
    run = run_once(Contestant("slow", ("-c", code)), ["a.jpg", "b.jpg"], "", Limits(seconds=1))
    assert run.failure == "over 1 s for 2 photos"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_who_takes_too_much_memory_is_ended_with_those_he_started(tmp_path: Path) -> None:
    note = tmp_path / "child"
    child = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); held = b'x' * 300_000_000; time.sleep(600)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    run = run_once(Contestant("large", ("-c", code)), ["a.jpg"], "", Limits(memory=2e8))
    assert run.failure == "over 0.2 GB for 1 photo"
    status = Path("/proc") / note.read_text() / "status"
    wait_until(lambda: not status.exists() or "State:\tZ" in status.read_text())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_counts_the_processes_that_one_has_started() -> None:
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; held = b\"x\" * 200_000_000; time.sleep(1)'])\n"
        "child.wait()"
    )
    assert run_once(Contestant("parent", ("-c", code)), [], "").memory > 200_000_000


# ---- figures ----


def take(one: float, everything: float) -> Turn:
    return Turn(Run(one, 1, 1e6), Run(everything, 2 * everything, 3e6))


def test_the_start_is_told_from_the_rest() -> None:
    first = summarise(5, [take(1, 1.5)])
    assert (first.rate, first.times, first.later_rate, first.later_times) == (pytest.approx(10 / 3), 1, 8, 1)
    result = summarise(5, [take(2, 4), take(3, 5), take(9, 99)], first)
    assert (result.rate, result.times, result.start_s) == (1, first.rate, 3)
    assert (result.later_rate, result.later_times) == (2, 4)
    assert (result.cpu_ms, result.memory_mb) == (2000, 3)
    for fast in (summarise(5, [take(3, 3)], first), summarise(1, [take(3, 3)], first)):
        assert fast.rate
        assert (fast.later_rate, fast.later_times) == (None, None)  # too fast to tell, or nothing came later


def test_everyone_is_compared_with_the_first_line() -> None:
    contestants = [Contestant(name, (), share=share) for name, share in (("a", 1), ("b", 0.5), ("c", 0.1), ("d", 1))]
    failed = Run(1, 1, 1, "failed: no")
    turns = {"a": [take(1, 2)], "b": [take(1, 10)], "c": [take(1, 4)], "d": [Turn(failed, failed)]}
    results = speed.summarise_all([f"{i}.jpg" for i in range(10)], contestants, turns)
    assert [own.images for own in results.values()] == [10, 5, 2, 10]  # never one alone
    assert [own.times for own in results.values()] == [1, 10, 10, None]
    assert [own.later_times for own in results.values()] == [1, pytest.approx(81 / 4), 27, None]


def test_made_photos_have_the_size_asked_for(tmp_path: Path) -> None:
    paths = make_photos(tmp_path, SIZES["2 MP"], 4)
    sizes = []
    for path in paths:
        with Image.open(path) as image:
            sizes.append(image.size)
    assert sizes == [(1632, 1224)] * 3 + [(1224, 1632)]
