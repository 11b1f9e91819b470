"""What `onnx_metadata` promises: to find whatever makes ONNX Runtime read another file, wherever in the graph."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import CARD, Run, toy_nodes, write_onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from iqa_cli.errors import WeightsError
from iqa_cli.models.card import WeightFile, write_card
from iqa_cli.models.onnx_backend import OnnxBackend
from iqa_cli.models.onnx_metadata import has_external_data

CROPS = np.random.default_rng(0).normal(size=(2, 3, 32, 64)).astype(np.float32)


def move_out(tensor: TensorProto, location: str, file: Path) -> TensorProto:
    """The tensor, its values in that file."""
    file.write_bytes(tensor.raw_data)
    set_external_data(tensor, location, offset=0, length=len(tensor.raw_data))
    tensor.ClearField("raw_data")
    return tensor


def write_parted(folder: Path, location: str, file: Path) -> Path:
    """The toy, its kernel in another file, which it names so."""
    path = write_onnx(folder / "toy.onnx", toy_nodes())
    model = onnx.load(path)
    move_out(model.graph.initializer[0], location, file)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture(params=["inside", "relative", "absolute"])
def parted(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A toy whose kernel is in a file that does exist: in its folder, beside it, or anywhere."""
    folder = tmp_path / "model"
    folder.mkdir()
    file = (folder if request.param == "inside" else tmp_path) / "values.bin"
    location = {"inside": file.name, "relative": f"../{file.name}", "absolute": str(file)}[request.param]
    return write_parted(folder, location, file)


def test_a_model_in_several_files_is_refused_in_one_line(iqa: Run, photos: Path, parted: Path) -> None:
    card = write_card(replace(CARD, files={"onnx": WeightFile.of(parted)}), parted.parent)  # whose hash is right
    done = iqa("score", photos, "--model", card)
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.decode() == (
        f"iqa: error: {parted}: keeps weights in other files, which its card's SHA-256 does not cover;"
        " save it as one file, with onnx.save(..., save_as_external_data=False)\n"
    )


def test_saved_as_one_file_it_computes_the_same_to_the_last_bit(tmp_path: Path) -> None:
    whole = write_onnx(tmp_path / "whole.onnx", toy_nodes())
    parted = write_parted(tmp_path, "values.bin", tmp_path / "values.bin")
    with pytest.raises(WeightsError, match="in other files"):
        OnnxBackend(parted)
    onnx.save(onnx.load(parted), tmp_path / "again.onnx", save_as_external_data=False)
    (tmp_path / "values.bin").unlink()
    again, expected = (OnnxBackend(path).predict(CROPS) for path in (tmp_path / "again.onnx", whole))
    assert again.tobytes() == expected.tobytes()


def outside() -> TensorProto:
    tensor = numpy_helper.from_array(np.arange(4, dtype=np.float32), "values")
    set_external_data(tensor, "values.bin")
    tensor.ClearField("raw_data")
    return tensor


def graph_of(*nodes: onnx.NodeProto, **parts: object) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "graph", [], [], **parts)


def constant() -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["made"], value=outside())


def sparse() -> onnx.SparseTensorProto:
    return helper.make_sparse_tensor(outside(), numpy_helper.from_array(np.arange(4)), [8])


def branch(graph: onnx.GraphProto) -> onnx.NodeProto:
    return helper.make_node("If", ["condition"], ["made"], then_branch=graph, else_branch=graph_of())


def function(*nodes: onnx.NodeProto) -> onnx.FunctionProto:
    return helper.make_function("own", "make", [], ["made"], list(nodes), [helper.make_opsetid("", 18)])


def training() -> onnx.ModelProto:
    model = helper.make_model(graph_of())
    model.training_info.add().algorithm.CopyFrom(graph_of(constant()))
    return model


PLACES: dict[str, Callable[[], onnx.ModelProto]] = {
    "initializer": lambda: helper.make_model(graph_of(initializer=[outside()])),
    "sparse initializer": lambda: helper.make_model(graph_of(sparse_initializer=[sparse()])),
    "constant": lambda: helper.make_model(graph_of(constant())),
    "constants": lambda: helper.make_model(graph_of(helper.make_node("Own", [], ["made"], values=[outside(), outside()]))),
    "sparse constant": lambda: helper.make_model(graph_of(helper.make_node("Constant", [], ["made"], sparse_value=sparse()))),
    "branch": lambda: helper.make_model(graph_of(branch(graph_of(branch(graph_of(initializer=[outside()])))))),
    "function": lambda: helper.make_model(graph_of(), functions=[function(constant())]),
    "training": training,
}


@pytest.mark.parametrize("place", PLACES)
def test_external_data_are_seen_wherever_they_are_named(tmp_path: Path, place: str) -> None:
    path = tmp_path / "model.onnx"
    model = PLACES[place]()
    path.write_bytes(model.SerializeToString())
    assert has_external_data(path)
    path.write_bytes(path.read_bytes().replace(b"\x6a\x16", b"\x7a\x16"))  # field 15, which no tensor has
    assert not has_external_data(path)


def test_models_of_one_file_have_none(tmp_path: Path) -> None:
    assert not has_external_data(write_onnx(tmp_path / "toy.onnx", toy_nodes(), metadata={"location": "values.bin"}))


def test_a_graph_nested_without_measure_is_refused(tmp_path: Path) -> None:
    graph = b""
    for _ in range(1000):  # Protocol Buffers go 100 deep
        for number in (6, 5, 1):  # a graph in an attribute in a node in a graph
            graph = bytes([number << 3 | 2, *varint(len(graph))]) + graph
    path = tmp_path / "deep.onnx"
    path.write_bytes(bytes([7 << 3 | 2, *varint(len(graph))]) + graph)
    with pytest.raises(WeightsError, match=r"deep\.onnx: cannot read the weights: "):
        OnnxBackend(path)


def varint(value: int) -> list[int]:
    low = [value >> 7 * place & 0x7F for place in range(5)]
    while len(low) > 1 and not low[-1]:
        low.pop()
    return [*(byte | 0x80 for byte in low[:-1]), low[-1]]
