"""Whether an .onnx file of other origin is what its card says: one input of images, one number an image."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from iqa_cli.errors import WeightsError
from iqa_cli.images.crops import CropSpec

CHANNELS = 3


def check_input(path: Path, inputs: Sequence[Any], crops: CropSpec) -> None:
    """Raises WeightsError where the inputs that ONNX Runtime names do not take crops of these sizes, one at a time."""
    if len(inputs) != 1:
        names = ", ".join(each.name for each in inputs) or "none"
        raise WeightsError(f"{path}: has {len(inputs)} inputs ({names}); a network that scores images has one")
    (only,) = inputs
    if only.type != "tensor(float)":
        raise WeightsError(f"{path}: its input {only.name} is {only.type}, and numbers of single precision are needed")
    if len(only.shape) != 4 or (only.shape[1] not in (None, CHANNELS) and isinstance(only.shape[1], int)):
        raise WeightsError(f"{path}: its input {only.name} is {show_shape(only.shape)}, and images [n, 3, h, w] are needed")
    images, _, *sides = only.shape
    if isinstance(images, int) and images != 1:
        raise WeightsError(f"{path}: takes {images} images at a time; export it for one, or for any number")
    check_sides(path, sides, crops)


def check_sides(path: Path, sides: Sequence[Any], crops: CropSpec) -> None:
    """Raises WeightsError where an input of fixed height or width gets crops of another."""
    fixed = [side if isinstance(side, int) else None for side in sides]
    wanted: Sequence[int | None] = (None, None) if crops.fit == "native" else crops.crop_shape(1, 1)
    if all(side is None or side == own for side, own in zip(fixed, wanted, strict=True)):
        return
    said = "of any size" if crops.fit == "native" else " x ".join(map(str, wanted))
    height, width = fixed
    right = f"[{height or 'HEIGHT'}, {width or 'WIDTH'}]" if height != width else str(height)
    raise WeightsError(f"{path}: its card says that the input is {said}, and it is {show_shape(sides)}: write size = {right}")


def choose_output(path: Path, outputs: Sequence[Any], name: str) -> str:
    """The output that is the score. Raises WeightsError where that is not known, or is more than one number an image."""
    names = [each.name for each in outputs]
    if not name and len(outputs) > 1:
        raise WeightsError(
            f"{path}: has {len(outputs)} outputs; say in its card which is the score: output = {' or '.join(names)}"
        )
    if name and name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        raise WeightsError(f"{path}: has no output {name}; {hint}")
    chosen = next(each for each in outputs if each.name == (name or names[0]))
    if not chosen.type.startswith("tensor(") or any(isinstance(side, int) and side != 1 for side in chosen.shape[1:]):
        what = show_shape(chosen.shape) if chosen.type.startswith("tensor(") else chosen.type
        raise WeightsError(f"{path}: its output {chosen.name} is {what}, and one number an image is needed")
    return str(chosen.name)


def show_shape(shape: Sequence[Any]) -> str:
    """A shape as people write it; sides that are free go by their names, or by a question mark."""
    return f"[{', '.join('?' if side is None else str(side) for side in shape)}]"
