"""What `pool` promises: whatever becomes of a decoder costs its file only. The deaths here are real ones."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import wait_until, write_photo
from in_process import environment
from pictures import forge_png

from iqa_cli.errors import DataError
from iqa_cli.images.crops import CropSpec, cut_views
from iqa_cli.images.decode import decode_image
from iqa_cli.options import MAX_PIXELS
from iqa_cli.records import Status, Undecodable
from iqa_cli.scoring.decode_client import Decoder, PreparedImage, Stopped
from iqa_cli.scoring.decode_pool import DecoderPool
from iqa_cli.scoring.decode_protocol import DecodeOptions

pytestmark = pytest.mark.process

OPTIONS = DecodeOptions(CropSpec(64), MAX_PIXELS, 60.0)
NEVER = threading.Event()
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs signals")


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A picture that takes a decoder long enough to be met at it, half a second: 81 megapixels in 80 kB."""
    path = tmp_path_factory.mktemp("slow") / "slow.png"
    path.write_bytes(forge_png(9000, 9000, 8, 0, bytes(9001 * 9000)))
    return str(path)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_photo(tmp_path_factory.mktemp("photo") / "photo.jpg", 1))


def find_busy(pool: DecoderPool) -> Decoder | None:
    return next((decoder for decoder in list(pool.living) if decoder.ready and not decoder.in_sync), None)


@contextmanager
def signalling(pool: DecoderPool, number: signal.Signals, times: int) -> Iterator[list[int]]:
    """Send a signal to so many decoders that are at work, one after the other; yields their numbers."""
    met: list[int] = []
    done = threading.Event()

    def lurk() -> None:
        while len(met) < times and not done.is_set():
            busy = find_busy(pool)
            if busy is not None and busy.process.pid not in met:
                met.append(busy.process.pid)
                os.kill(busy.process.pid, number)
            time.sleep(0.001)

    thread = threading.Thread(target=lurk)
    thread.start()
    try:
        yield met
    finally:
        done.set()
        thread.join()


def is_alive(pid: int) -> bool:
    """Whether a process runs; not where it has ended and nobody has asked how, as of orphans in some containers."""
    try:
        os.kill(pid, 0)
        return sys.platform != "linux" or "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


# ---- the road ----


@pytest.mark.parametrize("count", [1, 5])
def test_a_process_cuts_what_this_one_would(tmp_path: Path, count: int) -> None:
    work = replace(OPTIONS, crops=CropSpec(96, count=count))
    pool = DecoderPool(work, 1)
    for seed, size in enumerate([(96, 80), (2000, 1500), (60, 500)]):
        path = str(write_photo(tmp_path / f"{seed}.jpg", seed, size))
        prepared = pool.prepare(path, NEVER)
        image = decode_image(path, crops=work.crops)
        assert np.array_equal(prepared.views, cut_views(image.region, work.crops))
        assert (prepared.width, prepared.height) == size


def test_what_cannot_be_decoded_says_so_as_here(tmp_path: Path, photo: str) -> None:
    (tmp_path / "text.jpg").write_text("text")
    (tmp_path / "short.jpg").write_bytes(Path(photo).read_bytes()[:400])
    pool = DecoderPool(OPTIONS, 1)
    for path in (
        "gone.jpg",
        "",
        "nul\0",
        "x" * 300,
        str(tmp_path),
        *(f"{tmp_path}/{name}" for name in ("text.jpg", "short.jpg")),
    ):
        with pytest.raises(Undecodable) as expected:
            decode_image(path)
        with pytest.raises(Undecodable) as caught:
            pool.prepare(path, NEVER)
        assert caught.value.args == expected.value.args
    assert len(pool.living) == 1, "a refusal costs no process"


def test_relative_paths_are_those_of_this_process(tmp_path: Path, photo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = DecoderPool(OPTIONS, 1)
    pool.start()
    (tmp_path / "here.jpg").write_bytes(Path(photo).read_bytes())
    monkeypatch.chdir(tmp_path)
    assert pool.prepare("here.jpg", NEVER).width == 96


def test_one_image_starts_one_process(photo: str) -> None:
    pool = DecoderPool(OPTIONS, 8)
    pool.start()
    for _ in range(3):
        pool.prepare(photo, NEVER)
    assert len(pool.living) == 1


# ---- deaths ----


@POSIX
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_a_decoder_that_crashes_costs_its_file_only(slow: str, photo: str, number: signal.Signals) -> None:
    pool = DecoderPool(OPTIONS, 1)
    with signalling(pool, number, 2), pytest.raises(Undecodable) as caught:
        pool.prepare(slow, NEVER)
    assert caught.value.status is Status.CRASHED
    assert caught.value.detail == f"the decoder crashed on it ({number.name})"
    assert pool.prepare(photo, NEVER).width == 96


@POSIX
def test_a_decoder_that_is_killed_once_costs_nothing(slow: str) -> None:
    pool = DecoderPool(OPTIONS, 1)
    with signalling(pool, signal.SIGKILL, 1) as met:
        assert pool.prepare(slow, NEVER).width == 9000
    assert len(met) == 1


@POSIX
def test_a_decoder_that_dies_idle_costs_nothing(photo: str) -> None:
    pool = DecoderPool(OPTIONS, 1)
    pool.prepare(photo, NEVER)
    (first,) = pool.living
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    assert pool.prepare(photo, NEVER).width == 96


@POSIX
def test_a_decoder_that_hangs_is_ended_after_its_time(slow: str, photo: str) -> None:
    pool = DecoderPool(replace(OPTIONS, timeout=2.0), 1)
    pool.prepare(photo, NEVER)
    with signalling(pool, signal.SIGSTOP, 1) as met, pytest.raises(Undecodable) as caught:
        pool.prepare(slow, NEVER)
    assert (caught.value.status, caught.value.detail) == (Status.TIMEOUT, "decoding took longer than 2 s")
    wait_until(lambda: not is_alive(met[0]))
    assert pool.prepare(photo, NEVER).width == 96


def test_an_image_that_takes_too_long_is_told(slow: str) -> None:
    pool = DecoderPool(replace(OPTIONS, timeout=0.01), 1)
    with pytest.raises(Undecodable) as caught:
        pool.prepare(slow, NEVER)
    assert caught.value.status is Status.TIMEOUT


@POSIX
def test_stopping_waits_for_no_decoder(slow: str, photo: str) -> None:
    pool, stop = DecoderPool(OPTIONS, 1), threading.Event()
    pool.prepare(photo, stop)
    with signalling(pool, signal.SIGSTOP, 1) as met:
        threading.Timer(1.0, stop.set).start()
        with pytest.raises(Stopped):
            pool.prepare(slow, stop)
    wait_until(lambda: not is_alive(met[0]))
    assert pool.prepare(photo, NEVER).width == 96, "others may go on"


def test_files_wait_for_a_free_process_and_none_is_lost(slow: str, photo: str) -> None:
    pool = DecoderPool(OPTIONS, 2)
    paths = [photo, slow, "gone.jpg", photo] * 3
    outcomes: dict[int, object] = {}

    def prepare(place: int) -> None:
        try:
            outcomes[place] = pool.prepare(paths[place], NEVER)
        except Undecodable as failure:
            outcomes[place] = failure

    threads = [threading.Thread(target=prepare, args=(place,)) for place in range(len(paths))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [isinstance(outcomes[place], PreparedImage) for place in range(len(paths))] == [path != "gone.jpg" for path in paths]
    assert len(pool.living) == 2


# ---- ends ----


def test_processes_end_with_the_pool(photo: str) -> None:
    pool = DecoderPool(OPTIONS, 1)
    pool.prepare(photo, NEVER)
    (pid,) = [decoder.process.pid for decoder in pool.living]
    del pool
    wait_until(lambda: not is_alive(pid))


USER = """
import os, sys, threading
from iqa_cli.images.crops import CropSpec
from iqa_cli.scoring.decode_protocol import DecodeOptions
from iqa_cli.scoring.decode_pool import DecoderPool
pool = DecoderPool(DecodeOptions(CropSpec(64), 300_000_000, float(sys.argv[2])), 1)
pool.prepare(sys.argv[1], threading.Event())
print(next(iter(pool.living)).process.pid, flush=True)
exec(sys.argv[3])
"""


@POSIX
@pytest.mark.parametrize(
    ("timeout", "end"),
    [(60.0, ""), (60.0, "os._exit(1)"), (60.0, "os.kill(os.getpid(), 9)"), (60.0, "raise SystemExit(3)")],
)
def test_processes_end_with_whoever_started_them(photo: str, timeout: float, end: str) -> None:
    """No `if __name__ == "__main__"` stands above: programs that use this need none."""
    command = [sys.executable, "-c", USER, photo, str(timeout), end]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env=environment())
    assert done.stderr == ""
    wait_until(lambda: not is_alive(int(done.stdout)))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs alarms")
def test_a_decoder_whose_user_is_gone_ends_itself() -> None:
    code = "from iqa_cli.scoring import decode_worker; decode_worker.set_alarm(0.2)\nwhile True: pass"
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=120, env=environment())
    assert done.returncode == -signal.SIGALRM


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_bounded_and_decoders_go_first_when_it_runs_out(photo: str) -> None:
    pool = DecoderPool(replace(OPTIONS, max_pixels=1_000_000), 1)
    pool.prepare(photo, NEVER)
    (decoder,) = pool.living
    place = Path("/proc") / str(decoder.process.pid)
    limits = next(line for line in (place / "limits").read_text().splitlines() if line.startswith("Max address space"))
    assert int(limits.split()[3]) == int(limits.split()[4]) == pool.options.memory == (1 << 30) + 16_000_000
    assert (place / "oom_score_adj").read_text() == "1000\n"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not keep such limits")
def test_a_picture_that_wants_more_memory_is_told(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(forge_png(16_000, 16_000, 8, 0, b""))
    code = (
        "import json, sys; from iqa_cli.images.crops import CropSpec\n"
        "from iqa_cli.scoring import decode_protocol, decode_worker\n"
        "decode_worker.limit_resources(300_000_000)\n"
        "print(json.dumps(decode_worker.prepare(sys.argv[1], decode_protocol.DecodeOptions(CropSpec(64), 300_000_000, 60))[0]))"
    )
    done = subprocess.run([sys.executable, "-c", code, large], check=True, capture_output=True, text=True, env=environment())
    answer = {"status": "too-large", "detail": "PNG: not enough memory to decode it", "width": 16_000, "height": 16_000}
    assert json.loads(done.stdout) == answer


def test_closing_while_one_is_borrowed_ends_all_who_ask_later(photo: str) -> None:
    pool = DecoderPool(OPTIONS, 3)
    pool.start()
    outcomes: list[str] = []

    def ask() -> None:
        with pytest.raises(Stopped):
            pool.prepare(photo, NEVER)
        outcomes.append("stopped")

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(5)]
    with pool._borrow(NEVER):
        pool.close()
        for thread in threads:
            thread.start()
        for thread in threads[:3]:
            thread.join(20)
    for thread in threads:
        thread.join(20)
    assert outcomes == ["stopped"] * 5


def test_a_process_that_closing_ends_as_it_starts_is_no_failure(photo: str) -> None:
    for _ in range(3):
        pool = DecoderPool(OPTIONS, 1)
        outcomes: list[BaseException] = []

        def ask(pool: DecoderPool = pool, outcomes: list[BaseException] = outcomes) -> None:
            try:
                pool.prepare(photo, NEVER)
            except (Stopped, DataError) as error:
                outcomes.append(error)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        wait_until(lambda pool=pool: bool(pool.living))
        pool.close()
        thread.join(20)
        assert [type(outcome) for outcome in outcomes] == [Stopped]
