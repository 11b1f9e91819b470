"""A GPU where there is none: tensors that say they lie on one, are computed on the CPU, and mix with no others.

What PyTorch would refuse on a real one is refused: an operation on tensors of two devices, but for numbers without dimensions,
copies, and indices on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

GPU = torch.device("meta")  # the one kind but the CPU through which gradients flow without a device
aten = torch.ops.aten
COPIES = (aten.copy_.default, aten._to_copy.default)
INDEXING = (aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default)


class Pretended(Tensor):
    """A tensor on the GPU. held: what it holds, on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, real: Tensor) -> Pretended:
        made: Pretended = Tensor._make_wrapper_subclass(
            cls, real.size(), real.stride(), real.storage_offset(), dtype=real.dtype, device=GPU
        )
        made.held = real
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl
    is_meta = False  # type: ignore[assignment]  # it has values

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(function, args, kwargs or {})

    def tolist(self) -> Any:
        """Numbers."""
        return self.held.tolist()


class Mode(TorchDispatchMode):
    """Sees what has no pretended tensor among its arguments, too."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(function, args, kwargs or {})


def compute(function: Any, args: Any, kwargs: Any) -> Any:
    """An operation, where its arguments are on one device. Raises RuntimeError as PyTorch does."""
    check_devices(function, args, kwargs)
    named = kwargs.get("device")
    here = any(isinstance(each, Pretended) for each in tree_flatten((args, kwargs))[0])
    there = here if named is None else torch.device(named).type == GPU.type
    plain, named_plain = tree_map(lambda each: each.held if isinstance(each, Pretended) else each, (args, dict(kwargs)))
    if named is not None:
        named_plain["device"] = torch.device("cpu")
    out = function(*plain, **named_plain)
    if there and function is aten._to_copy.default and not here:
        out = tree_map(lambda each: Pretended(each.clone()) if isinstance(each, Tensor) else each, out)
    elif there:
        out = tree_map(lambda each: Pretended(each) if isinstance(each, Tensor) else each, out)
    elif here and isinstance(out, Tensor):
        return out  # a copy on the CPU
    return return_and_correct_aliasing(function, args, kwargs, out) if here else out


def check_devices(function: Any, args: Any, kwargs: Any) -> None:
    """Raises RuntimeError for tensors of two devices."""
    if function in COPIES:
        return
    if function in INDEXING and isinstance(args[0], Pretended):
        return  # any indices will do
    tensors = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, Tensor)]
    devices = {each.device.type for each in tensors if each.dim() or function in INDEXING}
    if len(devices) > 1:
        raise RuntimeError(f"{function}: expected all tensors to be on the same device, but found {sorted(devices)}")


@contextmanager
def pretended_gpu() -> Iterator[torch.device]:
    """In this block there is a GPU, with a generator of its own; it knows no autocast."""
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    generator = torch.Generator()
    module = SimpleNamespace(
        is_available=lambda: False,
        get_rng_state=lambda _: generator.get_state(),
        set_rng_state=lambda state, _: generator.set_state(state),
    )
    try:
        with (
            patch("torch.get_device_module", lambda _: module),
            patch("torch.autocast", lambda *_, **__: nullcontext()),
            Mode(),
        ):
            yield GPU
    finally:
        torch.__future__.set_swap_module_params_on_conversion(before)


@contextmanager
def unpretended() -> Iterator[None]:
    """In this block, within that of `pretended_gpu`, tensors are computed as always."""
    with _disable_current_modes():
        yield
