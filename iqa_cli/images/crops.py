"""CropSpec and cut_crops: pixels -> network input. The one place where an image is cropped, resized and normalised.

Training, PyTorch and ONNX all come through here, so they cannot disagree about pixels. Crops lie at fixed places: the same
image always gives the same crops, whatever the batch, the order or the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, isfinite
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # loaded where something is cut, and not beside the network
    from PIL import Image

Rgb = npt.NDArray[np.uint8]  # [H, W, 3], upright sRGB
Crops = npt.NDArray[np.float32]  # [n, 3, h, w], normalised
Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels of the image
Window = tuple[int, int, int, int]  # the same, whole pixels

MAX_ASPECT = 3.0  # of a whole view; of a longer panorama it shows the center
MIN_NATIVE = 32  # px: networks that reduce five times by two need so much
MAX_SIDE, MAX_ZOOM = 4096, 4.0  # far more than any network takes; whoever asks for more would only run out of memory
REDUCING_GAP = 3.0  # a box filter that reduces first leaves at least this many times the size wanted; Pillow's term
SUPPORT = 2.0  # of the bicubic filter to each side, in output pixels, or in input pixels where those are larger
CROP_VERSION = 7  # version of how pictures are decoded and cropped: part of the name of whatever is cached of crops
POSITIONS = (  # of crops, as shares of the slack: the center, the corners, the centers of the sides
    (0.5, 0.5),
    *((0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)),
    *((0.5, 0.0), (0.5, 1.0), (0.0, 0.5), (1.0, 0.5)),
)


@dataclass(frozen=True)
class Region:
    """A region of a picture, or all of it.

    picture: its pixels, of mode RGB, or L where the luma alone was wanted.
    height, width: px of the whole. left, top: where in the whole the region begins.
    """

    picture: Image.Image
    height: int
    width: int
    left: int = 0
    top: int = 0


class Wanted(Protocol):
    """What is wanted of a picture, so that no more of it is decoded.

    luma: its luma alone, where that is coded by itself.
    """

    @property
    def luma(self) -> bool: ...

    def required_size(self, height: int, width: int) -> tuple[int, int]: ...

    def window(self, height: int, width: int) -> Window: ...


@dataclass(frozen=True)
class NativeWindow:
    """A part of a picture in its own pixels, of which the luma is enough. As `Wanted`."""

    left: int
    top: int
    right: int
    bottom: int
    luma: ClassVar[bool] = True

    def required_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in px: all there are."""
        return height, width

    def window(self, height: int, width: int) -> Window:
        """What of a picture of that size is wanted, whole pixels; at least one."""
        left, top = min(self.left, width - 1), min(self.top, height - 1)
        return left, top, min(self.right, width), min(self.bottom, height)


@dataclass(frozen=True)
class CropSpec:
    """Facts about a network's input; part of every model card.

    size: side in px of a square crop, or of the square whose area a whole view has.
    fit: "whole": a crop has the image's aspect ratio and, alone, shows all of it (networks of any height and width);
        "square": a crop is size x size and, alone, shows the center of the image (networks of fixed input);
        "native": the image as it is, reduced where its longer side has more px than size, and enlarged where its shorter one
        has less than MIN_NATIVE (networks of any height and width).
    width: px of a "square" crop that is none; 0: as high as wide.
    multiple: height and width of a whole view are multiples of this, the stride of the network, and at least twice it.
        A native view is not twice it at least.
    count: crops an image, 1 to 9: the center, then the corners, then the sides.
    zoom: with more than one crop, the image is enlarged by this before they are cut, so that they differ.
    mean, std: of the pixel values in 0..1, per channel; a crop is (pixel - mean) / std.
    """

    size: int
    fit: Literal["whole", "square", "native"] = "whole"
    multiple: int = 32
    count: int = 1
    zoom: float = 1.2
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    width: int = 0
    luma: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for value in (self.size, self.width, self.multiple, self.count):  # a card is foreign bytes
            if not isinstance(value, int) or value > MAX_SIDE:
                raise ValueError(f"impossible crops: {value!r} where a whole number up to {MAX_SIDE} is needed")
        if len(self.mean) != 3 or len(self.std) != 3 or not all(map(isfinite, self.mean)) or not 0 < min(self.std) < inf:
            raise ValueError(f"impossible crops: a mean of {self.mean!r} and a deviation of {self.std!r} for three channels")
        if self.fit not in ("whole", "square", "native"):
            raise ValueError(f"fit is 'whole', 'square' or 'native', not {self.fit!r}")
        if self.width < 0 or (self.width and self.fit != "square"):
            raise ValueError(f"impossible crops: a width of {self.width} px for fit {self.fit!r}")
        if not 1 <= self.count <= len(POSITIONS):
            raise ValueError(f"the number of crops is 1 to {len(POSITIONS)}, not {self.count}")
        if self.multiple < 1 or self.size < self.multiple or not 1 <= self.zoom <= MAX_ZOOM:
            raise ValueError(f"impossible crops: size {self.size}, multiple {self.multiple}, zoom {self.zoom}")

    def crop_shape(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in px of every crop of an image of that size."""
        if self.fit == "square":
            return self.size, self.width or self.size
        if self.fit == "native":
            scale, least = min(1.0, self.size / max(height, width)), ceil(MIN_NATIVE / self.multiple)
            rows, columns = (max(least, round(side * scale / self.multiple)) * self.multiple for side in (height, width))
            return rows, columns
        aspect = min(max(width / height, 1 / MAX_ASPECT), MAX_ASPECT)
        sides = self.size / aspect**0.5, self.size * aspect**0.5
        rows, columns = (max(2, round(side / self.multiple)) * self.multiple for side in sides)
        return rows, columns

    def required_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in px of the smallest picture of that aspect ratio whose crops need no upscaling."""
        zoom = self.zoom if self.count > 1 else 1.0
        rows, columns = self.crop_shape(height, width)
        return ceil(rows * zoom), ceil(columns * zoom)

    def window(self, height: int, width: int) -> Window:
        """The part of an image of that size that its crops depend on: they and the support of the resize around them."""
        boxes, shape = place_crops(height, width, self), self.crop_shape(height, width)
        lefts, tops, rights, bottoms = zip(*(find_support(box, shape, height, width) for box in boxes), strict=True)
        return min(lefts), min(tops), max(rights), max(bottoms)


def place_crops(height: int, width: int, spec: CropSpec) -> list[Box]:
    """The boxes of an image of that size that become its crops: `spec.count`, of the crops' aspect ratio."""
    rows, columns = spec.crop_shape(height, width)
    zoom = spec.zoom if spec.count > 1 else 1.0
    scale = min(height / rows, width / columns) / zoom  # image pixels per crop pixel
    h, w = rows * scale, columns * scale
    corners = [(x * max(0.0, width - w), y * max(0.0, height - h)) for x, y in POSITIONS[: spec.count]]
    return [(left, top, min(left + w, width), min(top + h, height)) for left, top in corners]  # never over, by rounding


def plan_reduction(box: Box, shape: tuple[int, int]) -> tuple[int, int]:
    """The factors, across and down, of the box filter before the box is resized to the shape: 1, 2, 4, ..."""
    (left, top, right, bottom), (rows, columns) = box, shape
    scales = (right - left) / columns, (bottom - top) / rows
    across, down = (max(1, int(scale / REDUCING_GAP)).bit_length() - 1 for scale in scales)
    return 1 << across, 1 << down


def find_support(box: Box, shape: tuple[int, int], height: int, width: int) -> Window:
    """The pixels of an image of that size that a box of it, resized to a shape, depends on: the support of the filter."""
    left, top, right, bottom = box
    across, down = (SUPPORT * max(1.0, scale) for scale in ((right - left) / shape[1], (bottom - top) / shape[0]))
    left, top = max(0, floor(left - across)), max(0, floor(top - down))
    return left, top, min(width, ceil(right + across)), min(height, ceil(bottom + down))


def resize_box(region: Region, box: Box, shape: tuple[int, int]) -> Rgb:
    """One box of a picture, in pixels of the whole, resized to (height, width) px: antialiased bicubic, uint8 [h, w, 3].

    Reductions by six or more go through a box filter first, far cheaper and a little softer: as far as leaves thrice the size
    wanted. Were it twice, a JPEG decoded at a half would come out softer than the whole of it; and as JPEGs are, pictures are
    halved, or halved again. Rows come before columns: Pillow alone would choose by the size of what it is given, and a region
    would not give what all of it does.
    """
    from PIL import Image

    rows, columns = shape
    left, top, right, bottom = find_support(box, shape, region.height, region.width)
    window = left - region.left, top - region.top, right - region.left, bottom - region.top
    across, down = plan_reduction(box, shape)
    visible = region.picture.crop(window) if across == down == 1 else region.picture.reduce((across, down), window)
    begin, end = (box[0] - left) / across, (box[2] - left) / across
    narrower = visible.resize((columns, visible.height), Image.Resampling.BICUBIC, (begin, 0, end, visible.height))
    begin, end = (box[1] - top) / down, (box[3] - top) / down
    return np.asarray(narrower.resize((columns, rows), Image.Resampling.BICUBIC, (0, begin, columns, end)))


def make_region(rgb: Rgb) -> Region:
    """All of an image, uint8 [H, W, 3]."""
    from PIL import Image

    return Region(Image.fromarray(rgb), *rgb.shape[:2])


def cut_box(rgb: Rgb, box: Box, shape: tuple[int, int]) -> Rgb:
    """One box of an image, as `resize_box` does it."""
    return resize_box(make_region(rgb), box, shape)


def normalise(views: Sequence[Rgb] | Rgb, spec: CropSpec) -> Crops:
    """Equal-sized uint8 views [n, h, w, 3] -> float32 [n, 3, h, w], normalised."""
    scale = (1.0 / (255.0 * np.asarray(spec.std))).astype(np.float32)[:, None, None]
    shift = (np.asarray(spec.mean) / np.asarray(spec.std)).astype(np.float32)[:, None, None]
    planes = np.ascontiguousarray(np.asarray(views).transpose(0, 3, 1, 2))  # [n, 3, h, w], while it is small
    crops: Crops = planes * scale
    crops -= shift
    return crops


def cut_views(region: Region, spec: CropSpec) -> Rgb:
    """The crops of one picture, at fixed places, before they are normalised: uint8 [count, h, w, 3].

    A region that holds `spec.window` of the picture gives the same pixels as all of it.
    """
    shape = spec.crop_shape(region.height, region.width)
    return np.stack([resize_box(region, box, shape) for box in place_crops(region.height, region.width, spec)])


def cut_crops(rgb: Rgb, spec: CropSpec) -> Crops:
    """The crops of one image, at fixed places: uint8 [H, W, 3] -> float32 [count, 3, h, w], normalised."""
    return normalise(cut_views(make_region(rgb), spec), spec)
