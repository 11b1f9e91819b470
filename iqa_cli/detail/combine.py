"""From the estimates of a photo's patches, and of their spectrum, to what is said of the photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iqa_cli.detail.native import SIDE, NativePatches
from iqa_cli.records import Detail, Patch

Floats = npt.NDArray[np.float64]

SHARPEST = 0.4  # the share of the evidence that a photo's resolution is judged by: that of its sharpest patches
NOISY = 10.0  # SD of noise, as it is estimated, that halves the detail: some 16 in truth, of which detail hides a part
NINETY = 1.645  # SDs to both sides of a mean that hold nine in ten
LEAST_SPREAD = 0.1  # of log2 of the reduction: as well as it is known at best


@dataclass(frozen=True)
class Estimates:
    """What is estimated of n patches, each float64 [n].

    reduction: log2 of the factor by which a side could be reduced with nothing lost, from 0. blur: sigma in px. scale: factor
    of an enlargement, from 1. shake: px. noise, compression: SD and RMS on 0..255. spreads: of each of them by its name, the SD
    of its logarithm to base 2.
    """

    reduction: Floats
    blur: Floats
    scale: Floats
    shake: Floats
    noise: Floats
    compression: Floats
    spreads: Mapping[str, Floats]

    def weigh(self, name: str) -> Floats:
        """How much each patch knows of a quantity: the inverse of its variance."""
        return np.asarray(1.0 / (np.square(self.spreads[name]) + LEAST_SPREAD**2))


@dataclass(frozen=True)
class Whole:
    """What the spectrum of all patches says of the photo. reduction: as of `Estimates`; spread: its SD."""

    reduction: float
    spread: float


def combine(estimates: Estimates, whole: Whole, native: NativePatches) -> Detail:
    """What the patches of a photo say of it, each and together."""
    shares = weigh_sharpest(estimates.reduction, estimates.weigh("reduction"))
    reduction = max(0.0, float(shares @ estimates.reduction))
    lost, spread = max(0.0, whole.reduction), NINETY * max(whole.spread, LEAST_SPREAD)
    blur, scale, shake = (float(shares @ values) for values in (estimates.blur, estimates.scale, estimates.shake))
    noise, compression = (average(getattr(estimates, name), estimates.weigh(name)) for name in ("noise", "compression"))
    megapixels = native.height * native.width / 1e6
    low, mean, high = (megapixels * 4.0 ** -max(0.0, value) for value in (lost + spread, lost, lost - spread))
    kept = keep_after(noise)
    patches = describe_patches(estimates, native)
    return Detail(100 * 2.0**-reduction * kept, mean, low, high, patches, blur, scale, shake, noise, compression)


def weigh_sharpest(reduction: Floats, weights: Floats) -> Floats:
    """Shares, with the sum 1, of the sharpest patches that have SHARPEST of all evidence; of the last of them only a part."""
    shares = np.zeros_like(weights)
    left = SHARPEST * float(weights.sum())
    for number in np.argsort(reduction, kind="stable"):
        shares[number] = min(float(weights[number]), left)
        left -= float(shares[number])
    return np.asarray(shares / shares.sum())


def average(values: Floats, weights: Floats) -> float:
    """The mean of what all patches say of one photo, by what they know."""
    return float(np.average(values, weights=weights))


def keep_after(noise: float) -> float:
    """The share of the detail that noise leaves, 0 to 1."""
    return 1.0 / (1.0 + (noise / NOISY) ** 2)


def describe_patches(estimates: Estimates, native: NativePatches) -> tuple[Patch, ...]:
    """The patches with the detail of each."""
    values = 100 * 2.0 ** -np.maximum(estimates.reduction, 0.0)
    kept = map(keep_after, estimates.noise.tolist())
    certain = 1.0 / (1.0 + np.square(estimates.spreads["reduction"] / 0.5))
    return tuple(
        Patch(x, y, SIDE, float(value) * keep, float(certainty))
        for (x, y), value, keep, certainty in zip(native.places, values, kept, certain, strict=True)
    )
