"""DetailModel: native patches in, `Detail` out. `open_detail` opens the one that comes with the tool."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from iqa_cli.detail.classical import estimate_blur, estimate_noise
from iqa_cli.detail.combine import Estimates, combine
from iqa_cli.detail.patches import Luma, Place, choose_places, cut_patches, reduce_luma, to_luma
from iqa_cli.images.crops import Rgb
from iqa_cli.records import Detail, Patch

__all__ = ["Detail", "DetailModel", "Patch", "open_detail"]

NATIVE_BLUR = 1.46  # by how much a side may be reduced per px of a gaussian's sigma: its MTF is then 0.1 at the new limit


class DetailModel:
    """Measures how much of a photo's resolution is real. Safe to call from many threads."""

    def measure(self, rgb: Rgb) -> Detail:
        """The detail of a photo, uint8 [H, W, 3], upright sRGB in native pixels."""
        luma = to_luma(rgb)
        places = choose_places(reduce_luma(luma), *luma.shape)
        return self.judge(cut_patches(luma, places), places, *luma.shape)

    def judge(self, patches: Luma, places: Sequence[Place], height: int, width: int) -> Detail:
        """The detail of a photo of height x width px from its patches, uint8 [n, SIDE, SIDE], and where they lie."""
        return combine(self.estimate(patches), places, height, width)

    def estimate(self, patches: Luma) -> Estimates:
        """What is estimated of each patch, uint8 [n, SIDE, SIDE]."""
        blur = np.array([estimate_blur(patch) for patch in patches])
        noise = np.array([estimate_noise(patch) for patch in patches])
        none = np.zeros(len(patches))
        reduction = np.log2(np.maximum(NATIVE_BLUR * blur, 1.0))
        return Estimates(reduction, none + 0.3, blur, none + 1.0, none, noise, none)


def open_detail() -> DetailModel:
    """The model that comes with the tool. Raises WeightsError where its files are missing or broken."""
    return DetailModel()
