"""What the network says of a patch: which numbers, and in what units. Training and inference share this table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from iqa_cli.detail.combine import Estimates

Floats = npt.NDArray[np.float64]

OFFSETS: Mapping[str, float] = {"reduction": 0.0, "blur": 0.3, "scale": 0.0, "shake": 1.0, "noise": 1.0, "compression": 1.0}
"""Output -> what is added to a quantity before its logarithm to base 2 is taken, in the order of the network's outputs."""
LEAST = {"reduction": 1.0, "scale": 1.0}  # 0 for others
LOG_VARIANCE = (-6.0, 3.0)  # of an output: no patch says more, or less


def encode_truth(truth: Mapping[str, float]) -> Floats:
    """What the network is to say of a patch: float64 [outputs]. truth: the fields of `damage.Truth`."""
    return np.array([np.log2(truth[name] + offset) for name, offset in OFFSETS.items()])


def decode_outputs(outputs: npt.NDArray[np.float32]) -> Estimates:
    """Means and logarithms of variances, float32 [n, 2 x outputs], as quantities. Raises ValueError for another shape."""
    if outputs.ndim != 2 or outputs.shape[1] != 2 * len(OFFSETS):
        raise ValueError(f"{2 * len(OFFSETS)} outputs a patch are needed, not {list(outputs.shape[1:])}")
    means, logs = np.split(outputs.astype(np.float64), 2, axis=1)
    spreads = np.exp(np.clip(logs, *LOG_VARIANCE) / 2)
    columns = dict(zip(OFFSETS, means.T, strict=True))
    values = {name: np.maximum(2.0 ** columns[name] - offset, LEAST.get(name, 0.0)) for name, offset in OFFSETS.items()}
    known = dict(zip(OFFSETS, spreads.T, strict=True))
    return Estimates(**values | {"reduction": columns["reduction"]}, spreads=known)
