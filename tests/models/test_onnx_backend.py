import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from conftest import CARD, toy_nodes, write_onnx
from in_process import environment
from onnx import helper

from iqa_cli.errors import UsageError, WeightsError
from iqa_cli.models.card import WeightFile, read_card
from iqa_cli.models.onnx_backend import OnnxBackend, open_session
from iqa_cli.options import BackendChoice
from iqa_cli.scoring.backends import open_backend

CROPS = np.random.default_rng(0).normal(size=(6, 3, 32, 64)).astype(np.float32)


@pytest.fixture
def backend(model: Path) -> OnnxBackend:
    return OnnxBackend(model.with_name("toy.onnx"))


def test_it_computes_what_the_network_says(tmp_path: Path) -> None:
    nodes = [helper.make_node("ReduceMean", ["crops", "axes"], ["quality"], keepdims=0)]
    quality = OnnxBackend(write_onnx(tmp_path / "mean.onnx", nodes)).predict(CROPS)
    assert quality.dtype == np.float32
    assert quality.shape == (6,)
    assert np.allclose(quality, CROPS.mean(axis=(1, 2, 3)), atol=1e-6)


def test_a_quality_never_depends_on_the_batch(backend: OnnxBackend) -> None:
    together = backend.predict(CROPS)
    assert np.array_equal(together, np.concatenate([backend.predict(crop[None]) for crop in CROPS]))
    assert np.array_equal(together[::-1], backend.predict(np.ascontiguousarray(CROPS[::-1])))
    assert len(set(together)) == 6


def test_threads_share_it(backend: OnnxBackend) -> None:
    expected = backend.predict(CROPS)
    with ThreadPoolExecutor(8) as pool:
        assert all(np.array_equal(quality, expected) for quality in pool.map(backend.predict, [CROPS] * 64))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    whole = write_onnx(tmp_path / "toy.onnx", toy_nodes()).read_bytes()
    for damaged in (b"", b"no network", whole[: len(whole) // 2]):
        path = tmp_path / "damaged.onnx"
        path.write_bytes(damaged)
        with pytest.raises(
            WeightsError,
            match=r"damaged\.onnx: (ONNX Runtime cannot load it|cannot read the weights: not an ONNX file)",
        ):
            OnnxBackend(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.onnx: cannot read the weights: No such file"):
        OnnxBackend(tmp_path / "gone.onnx")


def test_another_kind_of_network_is_refused(tmp_path: Path) -> None:
    pixels = write_onnx(tmp_path / "pixels.onnx", [helper.make_node("Flatten", ["crops"], ["quality"])])
    with pytest.raises(WeightsError, match="not one number each"):
        OnnxBackend(pixels).predict(CROPS)


def test_crops_that_it_does_not_take_are_an_error_of_the_weights(backend: OnnxBackend) -> None:
    with pytest.raises(WeightsError, match=r"toy\.onnx: fails on crops of shape \(1, 2, 32, 64\)"):
        backend.predict(CROPS[:, :2])


@pytest.mark.parametrize("device", ["mps", "tpu", "cuda:x", ""])
def test_devices_that_onnx_runtime_does_not_know_are_a_usage_error(model: Path, device: str) -> None:
    with pytest.raises(UsageError, match="cpu or cuda"):
        OnnxBackend(model.with_name("toy.onnx"), device)


def test_cuda_is_refused_where_there_is_none(model: Path) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(UsageError, match="onnxruntime-gpu"):
        OnnxBackend(model.with_name("toy.onnx"), "cuda")


class Given:
    """A session of ONNX Runtime as one behaves where CUDA was built in: its own way back to the CPU writes on stdout."""

    def __init__(self, providers: list[str], failure: Exception | None = None) -> None:
        self.providers, self.failure = providers, failure

    def __call__(self, *_: Any, enable_fallback: bool = True, **__: Any) -> "Given":
        if self.failure is not None and enable_fallback:
            sys.stdout.write("EP Error")
            self.providers = ["CPUExecutionProvider"]
        elif self.failure is not None:
            raise self.failure
        return self

    def get_providers(self) -> list[str]:
        return self.providers


@pytest.fixture
def with_cuda(monkeypatch: pytest.MonkeyPatch) -> Callable[[Given], None]:
    """Has ONNX Runtime be one that was built with CUDA, whose sessions are those given."""

    def give(session: Given) -> None:
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
        monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: sys.stdout.write("Failed to load libcublas"), raising=False)
        monkeypatch.setattr(onnxruntime, "InferenceSession", session)

    return give


CUDA_FIRST = ["CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_a_device_that_was_named_is_used(
    with_cuda: Callable[[Given], None], capsys: pytest.CaptureFixture[str], device: str
) -> None:
    with_cuda(session := Given(CUDA_FIRST))
    assert open_session(Path("toy.onnx"), device) is session
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("session", "reason"),
    [
        (Given(["CPUExecutionProvider"]), r"device cuda:9: .* libraries of CUDA .* --device cpu"),
        (
            Given(CUDA_FIRST, RuntimeError("invalid device ordinal")),
            "device cuda:9: .* invalid device ordinal; .* --device cpu",
        ),
    ],
)
def test_a_device_that_was_named_is_never_the_cpu_instead(
    with_cuda: Callable[[Given], None], capsys: pytest.CaptureFixture[str], session: Given, reason: str
) -> None:
    with_cuda(session)
    with pytest.raises(UsageError, match=reason):
        open_session(Path("toy.onnx"), "cuda:9")
    assert capsys.readouterr().out == ""


def test_without_a_name_it_is_the_cpu_and_nothing_is_printed(
    with_cuda: Callable[[Given], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with_cuda(Given(["CPUExecutionProvider"]))
    assert open_session(Path("toy.onnx"), "auto").get_providers() == ["CPUExecutionProvider"]
    with_cuda(Given(["CPUExecutionProvider"], RuntimeError("no memory")))
    with pytest.raises(WeightsError, match="cannot load it: no memory"):
        open_session(Path("toy.onnx"), "auto")
    assert capsys.readouterr().out == ""


def test_weights_are_verified_before_they_are_loaded(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "toy.onnx", toy_nodes())
    card = replace(CARD, files={"onnx": WeightFile.of(path)})
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(WeightsError, match="SHA-256"):
        open_backend(card, tmp_path, BackendChoice.ONNX, "auto")


def test_a_card_opens_its_backend(model: Path) -> None:
    assert isinstance(open_backend(read_card(model), model.parent, BackendChoice.ONNX, "cpu"), OnnxBackend)


def test_without_torch_the_message_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "toy.safetensors").write_bytes(b"weights")
    script = f"""
import sys
sys.modules["torch"] = None  # as if it were not installed
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from dataclasses import replace
from pathlib import Path
from conftest import CARD
from iqa_cli.scoring.backends import open_backend
from iqa_cli.errors import ExtraMissing
from iqa_cli.options import BackendChoice
from iqa_cli.models.card import WeightFile
folder = Path({str(tmp_path)!r})
card = replace(CARD, files={{"safetensors": WeightFile.of(folder / "toy.safetensors")}})
try:
    open_backend(card, folder, BackendChoice.TORCH, "cpu")
except ExtraMissing as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, env=environment())
    assert "pip install 'iqa-cli[train]'" in done.stdout
