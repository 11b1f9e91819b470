"""Backend: what runs the network; one method. OnnxBackend is the one of the base install."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from iqa_cli.errors import UsageError, WeightsError
from iqa_cli.images.crops import Crops
from iqa_cli.models.card import ModelCard, OutputScale
from iqa_cli.models.onnx_fit import check_input, choose_output
from iqa_cli.models.onnx_metadata import has_external_data

Quality = npt.NDArray[np.float32]  # [n], in about 0..1, higher is better

ELSEWHERE = "or use --device cpu, or --backend torch"
SEVERITY_ERROR = 3  # of ONNX Runtime's log: its warnings are about graphs, not about what the user does


class Backend(Protocol):
    """Runs a network. Knows nothing of files, images or score ranges; safe to call from many threads."""

    def predict(self, crops: Crops) -> Quality:
        """Crops [n, 3, h, w] -> quality [n]."""


def choose_providers(device: str) -> list[str | tuple[str, dict[str, str]]]:
    """ONNX Runtime's names for "auto" (the CPU), "cpu", "cuda" or "cuda:1". Raises UsageError for what is not there."""
    kind, _, number = device.partition(":")
    if kind in ("auto", "cpu"):
        return ["CPUExecutionProvider"]
    if kind != "cuda" or not (number or "0").isdecimal():
        raise UsageError(f"device {device}: ONNX Runtime runs on cpu or cuda here; for other devices use --backend torch")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise UsageError(f"device {device}: this ONNX Runtime has no CUDA; install onnxruntime-gpu, or use --backend torch")
    return [("CUDAExecutionProvider", {"device_id": number or "0"})]


def open_session(path: Path, device: str) -> onnxruntime.InferenceSession:
    """A session of one thread: several threads over it are faster than one session of several threads.

    Raises WeightsError where the file is damaged, UsageError where the device is not there.
    """
    return load_session(path, path, device)


def load_session(network: Path | bytes, path: Path, device: str) -> onnxruntime.InferenceSession:
    """The same of a file, or of one in memory that was made of it.

    ONNX Runtime's own way back to the CPU, which writes on stdout, is closed: a device that was named is the one that is used.
    """
    onnxruntime.disable_telemetry_events()  # where it does not look at what iqa_cli/__init__ sets, as on Windows
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = SEVERITY_ERROR
    providers = choose_providers(device)
    wanted = name_provider(providers[0])
    on_cpu = wanted == "CPUExecutionProvider"
    if not on_cpu:
        preload_libraries()
    try:
        session = onnxruntime.InferenceSession(network, options, providers=providers, enable_fallback=False)
    except Exception as error:  # ONNX Runtime's own errors have no common base
        if not on_cpu and isinstance(error, ValueError | RuntimeError):  # which are about devices, as it takes them itself
            raise UsageError(f"device {device}: ONNX Runtime cannot use it: {first_line(error)}; {ELSEWHERE}") from error
        raise WeightsError(f"{path}: ONNX Runtime cannot load it: {first_line(error)}") from error
    if session.get_providers()[0] != wanted:
        raise UsageError(
            f"device {device}: ONNX Runtime does not find the libraries of CUDA and cuDNN that it was made for: install those,"
            f" as does pip install 'onnxruntime-gpu[cuda,cudnn]'; {ELSEWHERE}"
        )
    return session


def name_provider(provider: str | tuple[str, dict[str, str]]) -> str:
    """The name alone of one of `choose_providers`."""
    return provider if isinstance(provider, str) else provider[0]


def preload_libraries() -> None:
    """Have ONNX Runtime load the libraries of CUDA that pip has installed. What it prints on stdout is kept from there."""
    if hasattr(onnxruntime, "preload_dlls"):  # since 1.21
        with redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()


def refuse_external_data(path: Path) -> None:
    """Raise WeightsError for an .onnx file that has ONNX Runtime read others, wherever they are: no card vouches for those."""
    try:
        external = has_external_data(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot read the weights: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: cannot read the weights: {error}") from error
    if external:
        raise WeightsError(
            f"{path}: keeps weights in other files, which its card's SHA-256 does not cover; save it as one file, with"
            " onnx.save(..., save_as_external_data=False)"
        )


def first_line(error: Exception) -> str:
    """What an error of a foreign library says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class OnnxBackend:
    """An .onnx file with one input, crops [n, 3, h, w], and the quality [n] as its first output, or that of another name.

    session: the file, where it has been opened already.

    Raises WeightsError where the file is damaged, not all of the network or another kind of it, UsageError where the device is
    not there.
    """

    def __init__(
        self, path: Path, device: str = "auto", session: onnxruntime.InferenceSession | None = None, output: str = ""
    ) -> None:
        self.path = path
        if session is None:
            refuse_external_data(path)
        self.session = session or open_session(path, device)
        self.on_cpu = self.session.get_providers()[0] == "CPUExecutionProvider"
        inputs: list[Any] = self.session.get_inputs()
        self.takes_one = len(inputs) == 1 and inputs[0].shape[:1] == [1]
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type != "tensor(float)":
            raise WeightsError(f"{path}: not a network from crops [n, 3, h, w] of single precision to quality [n]")
        self.input = inputs[0].name
        self.output = output or self.session.get_outputs()[0].name

    def predict(self, crops: Crops) -> Quality:
        """Crops [n, 3, h, w] -> quality [n]. Raises WeightsError where the network does not take them.

        On a CPU each crop is a run of its own: one thread gains nothing from more, and sums in another order would let a
        score depend on what else is in the batch.
        """
        parts = np.split(crops, len(crops)) if self.on_cpu or self.takes_one else [crops]
        return np.concatenate([self._run(part) for part in parts])

    def _run(self, crops: Crops) -> Quality:
        try:
            quality = np.asarray(self.session.run([self.output], {self.input: crops})[0], dtype=np.float32)
        except Exception as error:  # as in open_session
            raise WeightsError(f"{self.path}: fails on crops of shape {crops.shape}: {first_line(error)}") from error
        if quality.size != len(crops):
            raise WeightsError(f"{self.path}: gives {quality.shape} for {len(crops)} crops, not one number each")
        return quality.reshape(len(crops))


class ScaledOnnxBackend:
    """An .onnx file of other origin: its output, on the scale of its card, as quality in 0..1, higher is better.

    Raises as `OnnxBackend` does, and WeightsError where the file is not what the card says.
    """

    def __init__(self, path: Path, card: ModelCard, scale: OutputScale, device: str = "auto") -> None:
        refuse_external_data(path)
        session = open_session(path, device)
        check_input(path, session.get_inputs(), card.crops)
        output = choose_output(path, session.get_outputs(), scale.name)
        self.network, self.scale = OnnxBackend(path, device, session, output), scale

    def predict(self, crops: Crops) -> Quality:
        """Crops [n, 3, h, w] -> quality [n]. Raises as `OnnxBackend` does, and WeightsError for numbers far off the scale."""
        values = self.network.predict(crops)
        low, high = self.scale.low, self.scale.high
        far = values[(values < low - (high - low)) | (values > high + (high - low))]
        if len(far):
            raise WeightsError(
                f"{self.network.path}: puts out {far[0]:g}, and its card says range = [{low:g}, {high:g}]: mend that"
            )
        share = (values.astype(np.float64) - low) / (high - low)
        return (share if self.scale.higher_is_better else 1 - share).astype(np.float32)


class OnnxPatches:
    """An .onnx file with one input, patches [n, 1, side, side], and some numbers a patch as its first output.

    Raises WeightsError where the file is damaged or another kind of network.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        refuse_external_data(path)
        self.session = open_session(path, "cpu")
        inputs: list[Any] = self.session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type != "tensor(float)":
            raise WeightsError(f"{path}: not a network from patches [n, 1, side, side] of single precision")
        self.input = inputs[0].name

    def run(self, patches: Crops) -> npt.NDArray[np.float32]:
        """Patches [n, 1, side, side] in 0..255 -> [n, outputs]. Raises WeightsError where the network does not take them."""
        try:
            return np.asarray(self.session.run(None, {self.input: patches})[0], dtype=np.float32)
        except Exception as error:  # as in open_session
            raise WeightsError(f"{self.path}: fails on patches of shape {patches.shape}: {first_line(error)}") from error
