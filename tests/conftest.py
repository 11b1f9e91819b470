"""A tiny network in a real .onnx file with its card, a folder of pictures, and the real command line.

Nothing is trained: the network is one convolution of fixed random weights, so that its scores differ between pictures and
would show if pixels, order or batches did.
"""

import os

for library in ("OMP", "OPENBLAS"):  # before any is loaded: in tiny networks threads wait for each other a hundred times longer
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import csv
import io
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache as cache_results
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import pytest
from forked import Forks, really_start
from in_process import environment, run_here
from official import WRITERS, write_set
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from iqa_cli.images.crops import CropSpec
from iqa_cli.models.card import ModelCard, WeightFile, write_card
from iqa_cli.scoring import decode_protocol

Run = Callable[..., subprocess.CompletedProcess[bytes]]

BUCKET = "photos"
OPINIONS = tuple(20.0 + 0.6 * i for i in range(101))
CARD = ModelCard("toy", "a toy for tests", "CC0-1.0", {}, CropSpec(64), OPINIONS)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a suite in the background of a shell; its children would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Names that are no UTF-8 are spelt out: processes that share tests out cannot send them."""
    return ascii(val) if isinstance(val, str) and not val.isascii() else None


@cache_results
def needs_torch(path: Path) -> bool:
    """Whether a test module asks for PyTorch."""
    return path.suffix == ".py" and 'importorskip("torch"' in path.read_text(encoding="utf-8")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out modules none of whose tests would run: importing PyTorch takes seconds."""
    return True if config.option.markexpr in ("quick", "not torch") and needs_torch(collection_path) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs PyTorch, as its module says, and what is quick. Leave out what is slow, unless -m speaks of it."""
    for item in items:
        if needs_torch(item.path):
            item.add_marker("torch")
        if not any(item.get_closest_marker(name) for name in ("torch", "process", "slow")):
            item.add_marker("quick")
        if item.get_closest_marker("slow") and "slow" not in config.option.markexpr:
            item.add_marker(pytest.mark.skip(reason="slow: .ci/run --slow runs it, or pytest -m slow"))


def write_onnx(path: Path, nodes: Iterable[onnx.NodeProto], *, metadata: dict[str, str] | None = None) -> Path:
    """A network from "crops" [n, 3, h, w] to "quality" [n]; the nodes may use the constants `kernel` and `axes`."""
    kernel = np.random.default_rng(7).normal(0, 0.5, (4, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        list(nodes),
        "toy",
        [helper.make_tensor_value_info("crops", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("quality", TensorProto.FLOAT, ["n"])],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(np.array([1, 2, 3]), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, metadata or {})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def toy_nodes() -> list[onnx.NodeProto]:
    """Quality: the sigmoid of the mean size of what the convolution finds."""
    return [
        helper.make_node("Conv", ["crops", "kernel"], ["found"]),
        helper.make_node("Abs", ["found"], ["size"]),
        helper.make_node("ReduceMean", ["size", "axes"], ["mean"], keepdims=0),
        helper.make_node("Log", ["mean"], ["log"]),
        helper.make_node("Sigmoid", ["log"], ["quality"]),
    ]


def dark_is_nan() -> list[onnx.NodeProto]:
    """Quality: the root of the mean value, which for a dark picture is the root of a negative number."""
    return [
        helper.make_node("ReduceMean", ["crops", "axes"], ["mean"], keepdims=0),
        helper.make_node("Sqrt", ["mean"], ["quality"]),
    ]


def write_model(folder: Path, nodes: Iterable[onnx.NodeProto], card: ModelCard = CARD) -> Path:
    """A network and its card in a folder; the path of the card."""
    path = write_onnx(folder / f"{card.name}.onnx", nodes)
    return write_card(replace(card, files={"onnx": WeightFile.of(path)}), folder)


def write_photo(path: Path, seed: int, size: tuple[int, int] = (96, 80)) -> Path:
    """A picture of noise, its darkness and its grain by the seed; size is (width, height) in px."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (2 + seed % 9, 3 + seed % 7, 3), np.uint8))
    coarse.resize(size, Image.Resampling.BICUBIC).save(path, quality=95)
    return path


def read_rows(data: bytes) -> list[dict[str, str]]:
    """What a command wrote as CSV."""
    return list(csv.DictReader(io.StringIO(data.decode("utf-8", "surrogateescape"), newline="")))


def wait_until(condition: Callable[[], object], seconds: float = 300) -> None:
    """Wait for something to become true. Fails where it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's scores are kept, and beside it its undo files; never where the user's are."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("IQA_CACHE", str(folder))
    monkeypatch.setenv("IQA_STATE", str(folder / "state"))
    return folder


@pytest.fixture(scope="session", autouse=True)
def forked_workers() -> Iterator[None]:
    """Decoding workers are forks, where there are any."""
    forks = Forks()
    with pytest.MonkeyPatch.context() as patch:
        if sys.platform == "linux":
            patch.setattr(decode_protocol, "start_process", forks.start)
        yield
    forks.close()


@pytest.fixture(autouse=True)
def real_workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In tests of processes they are started as they really are."""
    if request.node.get_closest_marker("process"):
        monkeypatch.setattr(decode_protocol, "start_process", really_start)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The card of the toy."""
    return write_model(tmp_path_factory.mktemp("model"), toy_nodes())


@pytest.fixture(scope="session")
def broken_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The card of a network that gives no number for dark pictures."""
    return write_model(tmp_path_factory.mktemp("broken"), dark_is_nan())


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures of four shapes in two folders."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    for seed in range(12):
        sub = folder / "more" if seed % 3 == 0 else folder
        write_photo(sub / f"{seed:02}.jpg", seed, ((96, 80), (80, 96), (200, 60), (64, 64))[seed % 4])
    return folder


@pytest.fixture(scope="session")
def iqa() -> Run:
    """Run the command line in this process: arguments, cwd, env, input; stdout and stderr are bytes, stdin is empty."""
    return run_here


@pytest.fixture(scope="session")
def iqa_process() -> Run:
    """The same in a process of its own: arguments, then whatever `subprocess.run` takes."""

    def run(*args: str | bytes | Path, **options: object) -> subprocess.CompletedProcess[bytes]:
        stdin = {} if "input" in options else {"stdin": subprocess.DEVNULL}
        defaults = {"capture_output": True, "timeout": 120, "env": environment(), **stdin}
        return subprocess.run([sys.executable, "-m", "iqa_cli", *args], check=False, **{**defaults, **options})

    return run


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all nine public sets, made up and small, in their official layouts."""
    pytest.importorskip("scipy.io", reason="needs the [train] extra")
    pytest.importorskip("openpyxl", reason="needs the [train] extra")
    folder = tmp_path_factory.mktemp("sets")
    for name in WRITERS:
        write_set(name, folder)
    return folder


# ---- buckets ----


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """A real server of S3's protocol on loopback."""
    moto = pytest.importorskip("moto.server", reason="needs moto[server]")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The file system of that server, with an empty bucket; its address and its credentials are where tools look for them."""
    s3fs = pytest.importorskip("s3fs", reason="needs the [remote] extra")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    files = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    files.mkdir(BUCKET)
    yield files
    files.rm(BUCKET, recursive=True)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder below /dev that is on a disk of its own, as any other."""
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("needs /dev/shm")
    with TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)
