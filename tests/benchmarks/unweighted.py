"""A program that uses pyiqa or piq, with random weights: for timing only, where the hub of the true ones is out of reach.

    python -P tests/benchmarks/unweighted.py pyiqa 'import pyiqa; ...' PHOTO...

A network takes as long whatever its weights are. Its layers keep the values that they are made with, so the start lacks only
the reading of a file; BRISQUE and NIQE read their few parameters from files of the true shapes. Metrics with files of another
kind (arniqa, qualiclip, ...) end with an error. It runs in the Python that has pyiqa, and needs nothing of this project.
"""

import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

VECTORS, FEATURES = 774, 36  # of BRISQUE's support vector machine; NIQE has as many features

RESNET = {"embed_dim": 1024, "vision_layers": (3, 4, 6, 3), "vision_width": 64, "vision_patch_size": None}
TRANSFORMER = {"embed_dim": 512, "vision_layers": 12, "vision_width": 768, "vision_patch_size": 32}
TEXT = {"context_length": 77, "vocab_size": 49408, "transformer_width": 512, "transformer_heads": 8, "transformer_layers": 12}
CLIPS: dict[str, dict[str, Any]] = {"RN50": RESNET, "ViT-B/32": TRANSFORMER}
"""CLIP's image encoders; their sizes otherwise come with the weights."""


def do_nothing(*_: object, **__: object) -> None:
    """Stands for whatever would load weights."""


def make_clip(name: str, *_: object, **__: object) -> torch.nn.Module:
    """CLIP as it is made, on the CPU in single precision. Raises KeyError where its sizes are not known here."""
    network: torch.nn.Module = import_module("pyiqa.archs.clip_model").CLIP(image_resolution=224, **CLIPS[name], **TEXT)
    return network.float().eval()


def write_parameters(hub: Path) -> None:
    """The files that BRISQUE and NIQE read, where pyiqa and piq look for them, with random numbers."""
    draw = np.random.default_rng(0)
    for folder in (hub / "pyiqa", hub / "checkpoints"):
        folder.mkdir()
    vectors = torch.from_numpy(draw.uniform(-1, 1, (VECTORS, FEATURES)).astype(np.float32))
    weights = torch.from_numpy(draw.normal(0, 1, VECTORS).astype(np.float32))
    torch.save((weights, vectors), hub / "pyiqa" / "brisque_svm_weights.pth")
    torch.save((weights, vectors), hub / "checkpoints" / "brisque_svm_weights.pt")
    spread = draw.normal(0, 1, (FEATURES, FEATURES))
    parameters = {"mu_prisparam": draw.normal(0, 1, (1, FEATURES)), "cov_prisparam": spread @ spread.T}
    import_module("scipy.io").savemat(hub / "pyiqa" / "niqe_modelparameters.mat", parameters)


def forget_weights() -> None:
    """From now on nothing that pyiqa builds gets trained weights."""
    import_module("timm.models._builder").load_pretrained = do_nothing
    import_module("torchvision.models._api").WeightsEnum.get_state_dict = do_nothing
    torch.nn.Module.load_state_dict = do_nothing  # type: ignore[assignment,method-assign]
    import_module("pyiqa.archs.arch_util").load_pretrained_network = do_nothing
    import_module("pyiqa.archs.clip_model").load = make_clip


def main(module: str, program: str, arguments: list[str]) -> None:
    """Run a program, given as text, that uses that module."""
    with tempfile.TemporaryDirectory() as hub:
        torch.hub.set_dir(hub)  # before pyiqa is imported, which then knows no other
        write_parameters(Path(hub))
        if module == "pyiqa":
            forget_weights()
        torch.set_flush_denormal(True)  # tiny activations of random layers would be slow, as those of trained ones are not
        sys.argv = ["-c", *arguments]
        exec(program, {"__name__": "__main__"})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
