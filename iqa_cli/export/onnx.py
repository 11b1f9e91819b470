"""export: weights -> ONNX, put in place only once ONNX Runtime agrees with PyTorch on real images."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import nn

from iqa_cli.errors import DataError, UsageError, WeightsError
from iqa_cli.files.replacing import replacing
from iqa_cli.images.crops import Crops, CropSpec, cut_crops
from iqa_cli.images.decode import decode_image
from iqa_cli.images.find import find_images
from iqa_cli.models.card import CARD_KEY, ModelCard, WeightFile, drop_nan, write_facts
from iqa_cli.models.find import FoundModel, verify_file
from iqa_cli.models.onnx_backend import OnnxBackend
from iqa_cli.networks.checkpoint import load_network
from iqa_cli.options import BackendChoice
from iqa_cli.records import Undecodable

Numbers = npt.NDArray[np.float32]

PARITY = 1e-3  # of the score range: what the two backends may differ by
OPSET = 18
LARGE = 1024  # elements from which a weight is stored in half precision: below, a cast costs more bytes than it saves


def export_model(model: FoundModel, output: Path | None, photos: Sequence[str]) -> tuple[Path, float]:
    """Write a model as ONNX and let the card beside it say so; the file, and the largest difference from PyTorch on the photos.

    output: None: beside the model's card, by its name. In the folder of that card it is the one that says so, and a file
    elsewhere gets a card of its own. Photos may be folders.
    Raises UsageError without photos, WeightsError where the two differ by more than `PARITY`; then nothing is written.
    DataError where a file cannot be written.
    """
    output = output or model.source.with_suffix(".onnx")
    place = model.place_card(output)
    card = model.card if place == model.source else replace(model.card, name=output.stem, files={})
    found = list(find_images(photos or sample_photos(), Counter()))
    if not found:
        raise UsageError("that PyTorch and ONNX agree is shown on real images: name some by --photo")
    fact, difference = export(card, verify_file(model.card, model.folder, BackendChoice.TORCH), output, found)
    write_facts(asdict(replace(card, files={**card.files, "onnx": fact})), place)
    return output, difference


def sample_photos() -> list[str]:
    """The photos of a source checkout; none in an installed package."""
    folder = Path(__file__).parents[2] / "tests" / "photos"
    return [str(folder)] if folder.is_dir() else []


def export(card: ModelCard, weights: Path, output: Path, photos: Sequence[str]) -> tuple[WeightFile, float]:
    """Write the ONNX file of a card's network; the file's facts and the largest difference from PyTorch on the photos.

    Its large weights are in half precision, unless the two differ by more than `PARITY` then. Raises WeightsError where they do
    in single precision, too, DataError where the file cannot be written; then nothing is.
    """
    network = load_network(card, weights)
    expected = [predict_photo(network, card.crops, photo) for photo in photos]  # first: of broken weights, in no time
    model = make_onnx(network, card)
    try:
        with replacing(output) as aside:
            for stored in (store_in_half(model), model):
                onnx.save(stored, aside)
                difference = measure_parity(expected, aside, card.crops, photos)
                if difference <= PARITY:
                    break
            else:
                raise WeightsError(
                    f"{output}: not written: ONNX differs from PyTorch by {difference:.2g} of the range, over {PARITY:g}"
                )
    except OSError as error:
        raise DataError(f"{output}: cannot write: {error.strerror}") from error
    return WeightFile.of(output), difference


def make_onnx(network: nn.Module, card: ModelCard) -> onnx.ModelProto:
    """The network as ONNX: "crops" [n, 3, h, w] -> "quality" [n]; n is free, and h and w are if crops are whole images."""
    spec = card.crops
    whole = spec.fit == "whole"
    sides = (spec.size, spec.size + 2 * spec.multiple if whole else spec.size)
    free = {0: torch.export.Dim("n", min=1, max=4096)}
    if whole:  # multiples of the stride, as the crops are
        rows, columns = (torch.export.Dim(name, min=2, max=256) for name in ("rows", "columns"))
        free |= {2: spec.multiple * rows, 3: spec.multiple * columns}
    example = torch.zeros(2, 3, *sides)
    try:
        model = trace(network, example, free)
    except torch.onnx.OnnxExporterError:  # which knows fused attention over batches and heads alone, not over windows, too
        unfuse_attention(network)
        model = trace(network, example, free)
    forget_making(model.graph)
    onnx.helper.set_model_props(model, {CARD_KEY: json.dumps(drop_nan(asdict(replace(card, files={}))))})
    onnx.checker.check_model(model, full_check=True)
    return model


def trace(
    network: nn.Module, example: torch.Tensor, free: Mapping[int, Any], names: tuple[str, str] = ("crops", "quality")
) -> onnx.ModelProto:
    """The network as a graph. free: dimensions of its input that are. names: of its input and its output."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):  # the exporter chats
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            network, (example,), dynamo=True, opset_version=OPSET, dynamic_shapes=(free,),
            input_names=[names[0]], output_names=[names[1]], verbose=False, optimize=True,
        )  # fmt: skip
    assert program is not None
    return program.model_proto


def unfuse_attention(network: nn.Module) -> None:
    """Let timm's layers of attention compute it by the operations that it is made of, in place; the function stays the same."""
    for module in network.modules():
        if getattr(module, "fused_attn", False):
            module.fused_attn = False  # type: ignore[assignment]


def store_in_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same with large weights in half precision and a cast in front of their use; all arithmetic stays in single precision.

    The file is half the size, and ONNX Runtime casts once, when it loads it. Weights come from half precision (see
    `checkpoint`), but the scales that the exporter moves between layers round them anew, so answers change a little.
    """
    half = onnx.ModelProto()
    half.CopyFrom(model)
    graph, casts = half.graph, []
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1 and np.prod(tensor.dims) >= LARGE:
            name, values = tensor.name, onnx.numpy_helper.to_array(tensor)
            if np.abs(values).max() < np.finfo(np.float16).max:
                tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
                casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return half


def forget_making(graph: onnx.GraphProto) -> None:
    """Leave out what the exporter notes on how it came to each node, with the paths of its machine, and shapes in between."""
    for node in graph.node:
        node.ClearField("metadata_props")
    graph.ClearField("value_info")


def predict_photo(network: nn.Module, spec: CropSpec, photo: str) -> Numbers:
    """What PyTorch gives for the crops of a photo. Raises WeightsError where that is no number, DataError for no photo."""
    with torch.no_grad():
        expected: Numbers = network(torch.from_numpy(read_crops(photo, spec))).numpy()
    if not np.isfinite(expected).all():
        raise WeightsError(f"{photo}: the network gives no number for this image, so its weights are broken")
    return expected


def read_crops(photo: str, spec: CropSpec) -> Crops:
    """The crops of a photo. Raises DataError where it cannot be read."""
    try:
        return cut_crops(decode_image(photo).rgb, spec)
    except Undecodable as error:
        raise DataError(f"{photo}: cannot show parity on this image: {error.detail}") from error


def measure_parity(expected: Sequence[Numbers], path: Path, spec: CropSpec, photos: Sequence[str]) -> float:
    """The largest difference in quality between what PyTorch gives for the photos and what the ONNX file does."""
    backend = OnnxBackend(path)
    given = [backend.predict(read_crops(photo, spec)) for photo in photos]
    return max(map(find_difference, given, expected))


def find_difference(given: Numbers, expected: Numbers) -> float:
    """The largest difference between what the backends give; infinity where one of them gives no number."""
    both = np.isfinite(given) & np.isfinite(expected)
    return float(np.abs(given - expected).max()) if both.all() else inf
