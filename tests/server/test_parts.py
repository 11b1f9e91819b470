"""The parts of the server that need no socket."""

import asyncio
import subprocess
import sys
import threading

import pytest
from in_process import environment

pytest.importorskip("starlette", reason="needs the [serve] extra")

from iqa_cli.errors import UsageError
from iqa_cli.server.bodies import Memory, Upload, clean_name
from iqa_cli.server.limits import Limits
from iqa_cli.server.metrics import HELP, Metrics
from iqa_cli.server.openapi import describe_api, write_page
from iqa_cli.server.refusals import CODES, Refusal
from iqa_cli.server.work import WorkQueue


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_body": 0}, "max_body is at least 1"),
        ({"queue": 0}, "queue is at least 1"),
        ({"max_images": 40}, "would never find room"),
        ({"timeout": 0}, "timeout is more than 0"),
        ({"body_timeout": float("nan")}, "body_timeout is more than 0"),
    ],
)
def test_limits_that_let_nothing_through_are_refused(given: dict[str, float], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Limits(**given)  # type: ignore[arg-type]


def test_memory_is_given_back_whatever_happens() -> None:
    memory = Memory(100)
    with memory.holding() as one:
        memory.add(one, bytes(60))
        with memory.holding() as two:
            memory.add(two, bytes(40))
            with pytest.raises(Refusal, match="queue-full"):
                memory.add(two, b"1")
        assert memory.held == 60
    assert memory.held == 0


def test_a_place_is_given_back_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    queue, uploads = WorkQueue(Limits(queue=4, max_images=2), 2), [Upload("a", b"x")] * 2

    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def ask_again() -> list[int]:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", fail)
            for _ in range(4):
                with pytest.raises(RuntimeError, match="can't start"):
                    await queue.run(lambda _: 1, uploads)
        assert queue.unfinished == 0
        return await queue.run(lambda _: 1, uploads)

    try:
        assert asyncio.run(ask_again()) == [1, 1]
    finally:
        queue.close()


@pytest.mark.parametrize(
    ("name", "clean"),
    [("", "image"), ("a/b.jpg", "b.jpg"), ("a\\b.jpg", "b.jpg"), ("a/", "image"), ("\n\x1b ", "image"), ("x" * 999, "x" * 200)],
)
def test_names_are_cleaned(name: str, clean: str) -> None:
    assert clean_name(name) == clean


def test_metrics_are_what_prometheus_reads() -> None:
    metrics = Metrics()
    for seconds in (0.03, 0.3, 99):
        metrics.observe("/score", seconds)
    metrics.count("iqa_images_total", status="ok")
    metrics.count("iqa_images_total", status="ok")
    gauges = {"iqa_queue_images": 1, "iqa_queue_limit": 32, "iqa_body_bytes": 0}
    lines = metrics.write(gauges, {"model": 'a"b\\c\nd'}).splitlines()
    assert 'iqa_images_total{status="ok"} 2' in lines
    assert 'iqa_request_seconds_bucket{path="/score",le="0.05"} 1' in lines
    assert 'iqa_request_seconds_bucket{path="/score",le="0.5"} 2' in lines
    assert 'iqa_request_seconds_bucket{path="/score",le="+Inf"} 3' in lines
    assert 'iqa_request_seconds_count{path="/score"} 3' in lines
    assert 'iqa_info{model="a\\"b\\\\c\\nd"} 1' in lines
    assert [line.split()[2] for line in lines if line.startswith("# TYPE")] == list(HELP)


def test_every_error_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    api = describe_api(Limits())
    described = str(api["paths"]["/gate"]["post"]["responses"])
    for code, (status, words) in CODES.items():
        assert Refusal(code).describe()["error"] == {"code": code, "message": words}
        if code not in ("not-found", "method-not-allowed"):
            assert f"{code}: {words}" in described
            assert str(status) in api["paths"]["/gate"]["post"]["responses"]
    assert "<script" not in write_page(api)
    assert capsys.readouterr().out == ""


HOLD = """
import ctypes, sys
from pathlib import Path
from iqa_cli.server.run import give_back_memory
give_back_memory()
def measure():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
def fill(size):
    return bytearray(b"x") * size
before = measure()
fill(20_000_000)
held = [(fill(20_000_000), fill(100_000)) for _ in range(8)]
pins = [small for _, small in held]
del held
print(measure() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for its memory")
def test_what_uploads_took_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", HOLD], capture_output=True, text=True, check=True, env=environment())
    assert int(done.stdout) < 20_000_000
