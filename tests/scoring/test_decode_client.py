"""What `decode_client` promises: a decoder that is not what it should be is dead, or says why it does not start."""

import io
import os
import socket
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from conftest import write_photo

from iqa_cli.errors import DataError
from iqa_cli.images.crops import CropSpec
from iqa_cli.options import MAX_PIXELS
from iqa_cli.records import Capture
from iqa_cli.scoring.decode_client import Decoder, WorkerDied, parse_capture
from iqa_cli.scoring.decode_protocol import WORKER_PROGRAM, DecodeOptions, find_python, lift, start_worker
from iqa_cli.scoring.decode_worker import holding

pytestmark = pytest.mark.process

OPTIONS = DecodeOptions(CropSpec(64), MAX_PIXELS, 60.0)
NEVER = threading.Event()
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs signals")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_photo(tmp_path_factory.mktemp("photo") / "photo.jpg", 1))


READY = WORKER_PROGRAM.split("; from")[0] + (
    "; import socket; channel = socket.socket(fileno=int(sys.argv[1]))\n"
    "def say(data): channel.sendall(len(data).to_bytes(4, 'big') + data)\n"
    "say(b'{}'); channel.recv(4096); "
)


@POSIX
@pytest.mark.parametrize(
    "answer",
    [
        "say(b'no JSON')",
        "say(b'[]')",
        "say(b'{}')",
        "say(b'\\xff\\xfe')",
        """say(b'{"shape": [1, 64, 64, 3], "width": null, "height": 3}'); channel.sendall(bytes(64 * 64 * 3))""",
        """say(b'{"shape": [2, 64, 64, 3], "width": 3, "height": 3}')""",
        """say(b'{"shape": [1, 9999, 64, 3], "width": 3, "height": 3}')""",
        """say(b'{"shape": [1, 64, -64, 3], "width": 3, "height": 3}')""",
        """say(b'{"shape": "long", "width": 3, "height": 3}')""",
        """say(b'{"shape": [1, 64, 64, 3], "width": 3, "height": 3}'); channel.sendall(bytes(100))""",
        """say(b'{"shape": [1, 64, 64, 3], "width": 3, "height": 3, "preview": 9}'); channel.sendall(bytes(64 * 64 * 3 + 9))""",
        """say(b'{"shape": [1, 64, 64, 3], "width": 3, "height": 3, "preview": -1}'); channel.sendall(bytes(64 * 64 * 3))""",
        """say(b'{"status": "ok", "detail": "fine", "width": 3, "height": 3}')""",
        """say(b'{"status": "splendid", "detail": "fine", "width": 3, "height": 3}')""",
        """say(b'{"status": "damaged", "detail": "", "width": 3, "height": 3}')""",
        """say(b'{"status": "damaged", "detail": "why", "width": "wide", "height": 3}')""",
        "channel.sendall(b'\\xff\\xff\\xff\\xff')",
        "pass",
    ],
)
def test_an_answer_that_means_nothing_is_a_death(photo: str, answer: str) -> None:
    decoder = Decoder(OPTIONS, start_worker(READY + answer))
    try:
        with pytest.raises(WorkerDied):
            decoder.prepare(photo, NEVER)
        assert not decoder.in_sync
    finally:
        decoder.close()


DETAILED = replace(OPTIONS, detail=True)
BEGIN = """say(b'{"shape": [1, 64, 64, 3], "width": 3, "height": 3, "preview": 0%s}'); channel.sendall(bytes(200_000))"""


@POSIX
@pytest.mark.parametrize(
    "native",
    [
        "",
        ', "native": {}',
        ', "native": {"places": [], "height": 300, "width": 300}',
        ', "native": {"places": [[0, 300]], "height": 300, "width": 300}',
        ', "native": {"places": [[-1, 0]], "height": 300, "width": 300}',
        ', "native": {"places": [[0, 0, 0]], "height": 300, "width": 300}',
        ', "native": {"places": [[0, 0]], "height": 0, "width": 300}',
        ', "native": {"places": [[0, 0]], "height": 90000, "width": 90000}',
        f', "native": {{"places": {[[0, 0]] * 9}, "height": 9, "width": 9}}',
    ],
)
def test_patches_that_mean_nothing_are_a_death(photo: str, native: str) -> None:
    decoder = Decoder(DETAILED, start_worker(READY + BEGIN % native))
    try:
        with pytest.raises(WorkerDied):
            decoder.prepare(photo, NEVER)
    finally:
        decoder.close()


def test_patches_come_with_an_image(photo: str) -> None:
    decoder = Decoder(DETAILED, start_worker())
    try:
        native = decoder.prepare(photo, NEVER).native
    finally:
        decoder.close()
    assert native is not None
    assert (native.height, native.width, native.patches.shape[1:]) == (80, 96, (128, 128))


@pytest.mark.parametrize(
    ("crops", "shape"),
    [
        (CropSpec(64, "square", multiple=1, width=320), (64, 320)),
        (CropSpec(8, "square", multiple=8, width=640), (8, 640)),
        (CropSpec(4, "native", multiple=1), (32, 32)),
    ],
)
def test_crops_of_any_shape_that_a_card_may_ask_for_arrive(photo: str, crops: CropSpec, shape: tuple[int, int]) -> None:
    decoder = Decoder(DecodeOptions(crops, MAX_PIXELS, 60.0), start_worker())
    try:
        assert decoder.prepare(photo, NEVER).views.shape == (1, *shape, 3)
    finally:
        decoder.close()


TAKEN = asdict(Capture(moment=7.5, camera="a", seconds=0.1, bracketing=True))


@pytest.mark.parametrize(
    "answer",
    [{}, TAKEN | {"bias": "much"}, TAKEN | {"moment": float("nan")}, TAKEN | {"iso": [1]}, [], None],
    ids=str,
)
def test_a_capture_that_means_nothing_is_refused(answer: object) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):  # which all are a death
        parse_capture(answer)


def test_a_capture_arrives_as_it_was_sent() -> None:
    assert asdict(parse_capture(TAKEN)) == TAKEN


@POSIX
@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("raise SystemExit('no such library')", "no such library"),
        ("import gone", "No module named 'gone'"),
        ("", "without a word"),
    ],
)
def test_a_process_that_does_not_start_says_why(photo: str, program: str, reason: str) -> None:
    decoder = Decoder(OPTIONS, start_worker(program))
    try:
        with pytest.raises(DataError, match=f"^cannot start a process for decoding: .*{reason}"):
            decoder.prepare(photo, NEVER)
    finally:
        decoder.close()


@pytest.mark.parametrize("memory", [True, False], ids=["in memory", "in a folder"])
def test_bytes_are_held_as_a_file_and_gone_afterwards(memory: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not memory:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    data = os.urandom(3_000_000)
    stream = io.BytesIO(data + b"the next")
    with holding(stream, len(data)) as path:
        assert Path(path).read_bytes() == data
        assert Path(path).read_bytes() == data, "twice, as previews need"
    assert not Path(path).exists()
    assert stream.read() == b"the next"
    with pytest.raises(OSError, match="the client is gone"), holding(io.BytesIO(b"few"), 9):
        pass


def test_channels_leave_the_numbers_of_standard_streams_alone() -> None:
    ours, theirs = socket.socketpair()
    saved = os.dup(0)
    try:
        os.dup2(ours.fileno(), 0)
        low = socket.socket(fileno=0)
        lifted = lift(low)
        assert lifted.fileno() > 2
        assert low.fileno() == -1
        lifted.sendall(b"word")
        assert theirs.recv(9) == b"word"
        assert lift(lifted) is lifted
        lifted.close()
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        ours.close()
        theirs.close()


def test_a_program_that_has_python_built_in_starts_decoders_too(photo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_python() == sys.executable
    for name in ("/usr/sbin/uwsgi", ""):
        monkeypatch.setattr(sys, "executable", name)
        assert Path(find_python()).name.startswith("python")
        decoder = Decoder(OPTIONS, start_worker())
        try:
            assert decoder.prepare(photo, NEVER).width == 96
        finally:
            decoder.close()
