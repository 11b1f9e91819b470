"""CropSpec and cut_crops: pixels -> network input. The one place where an image is cut, resized and normalised.

Training, PyTorch and ONNX all come through here, so they cannot disagree about pixels. Crops lie at fixed places: the same
image always gives the same crops, whatever the batch, the order or the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, isfinite
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # loaded where something is cut, and not beside the network
    from PIL import Image

Rgb = npt.NDArray[np.uint8]  # [H, W, 3], upright sRGB
Crops = npt.NDArray[np.float32]  # [n, 3, h, w], normalised
Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels of the image
Window = tuple[int, int, int, int]  # the same, whole pixels

MAX_ASPECT = 3.0  # a whole view is at most this much longer than wide; of a longer panorama it is the middle
MAX_SIDE, MAX_ZOOM = 4096, 4.0  # far more than any network takes; whoever asks for more would only run out of memory
ROOM = 3.0  # times the size wanted: what a box filter leaves, where it reduces a picture before
REACH = 2.0  # how far a bicubic resize looks, in pixels that it makes, or in those of the image where they are larger
CUT = 4  # how pictures are decoded and cut: what is kept of crops names it, so that nothing from before another way is taken
PLACES = (  # where the slack goes, as shares of it: the middle, the corners, the middles of the sides
    (0.5, 0.5),
    *((0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)),
    *((0.5, 0.0), (0.5, 1.0), (0.0, 0.5), (1.0, 0.5)),
)


@dataclass(frozen=True)
class Piece:
    """A picture of mode RGB, or what was decoded of it.

    picture: the pixels that are there. height, width: px of the whole. left, top: where in it those pixels lie.
    """

    picture: Image.Image
    height: int
    width: int
    left: int = 0
    top: int = 0


@dataclass(frozen=True)
class CropSpec:
    """Facts about a network's input; part of every model card.

    size: side in px of a square crop, or of the square whose area a whole view has.
    fit: "whole": a crop has the image's aspect ratio and, alone, shows all of it (networks of any height and width);
        "square": a crop is size x size and, alone, shows the middle of the image (networks of fixed input).
    multiple: height and width of a whole view are multiples of this, the stride of the network, and at least twice it.
    count: crops an image, 1 to 9: the middle, then the corners, then the sides.
    zoom: with more than one crop, the image is enlarged by this before they are cut, so that they differ.
    middle: for networks that look closely at the middle alone: a crop is the square of that many px in the middle of what it
        would be. 0: all of that.
    mean, std: of the pixel values in 0..1, per channel; a crop is (pixel - mean) / std.
    """

    size: int
    fit: Literal["whole", "square"] = "whole"
    multiple: int = 32
    count: int = 1
    zoom: float = 1.2
    middle: int = 0
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        for value in (self.size, self.multiple, self.count, self.middle):  # a card is foreign bytes
            if not isinstance(value, int) or value > MAX_SIDE:
                raise ValueError(f"impossible crops: {value!r} where a whole number up to {MAX_SIDE} is needed")
        if len(self.mean) != 3 or len(self.std) != 3 or not all(map(isfinite, self.mean)) or not 0 < min(self.std) < inf:
            raise ValueError(f"impossible crops: a mean of {self.mean!r} and a deviation of {self.std!r} for three channels")
        if self.fit not in ("whole", "square"):
            raise ValueError(f"fit is 'whole' or 'square', not {self.fit!r}")
        if not 1 <= self.count <= len(PLACES):
            raise ValueError(f"the number of crops is 1 to {len(PLACES)}, not {self.count}")
        if self.multiple < 1 or self.size < self.multiple or not 1 <= self.zoom <= MAX_ZOOM:
            raise ValueError(f"impossible crops: size {self.size}, multiple {self.multiple}, zoom {self.zoom}")
        if not 0 <= self.middle <= self.narrowest:
            raise ValueError(f"impossible crops: a middle of {self.middle} px, and the narrowest views have {self.narrowest}")

    @property
    def narrowest(self) -> int:
        """The least height or width in px that views have: those of long panoramas."""
        return min(self.view_shape(1, round(MAX_ASPECT) + 1))

    def crop_shape(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in px of every crop of an image of that size."""
        return (self.middle, self.middle) if self.middle else self.view_shape(height, width)

    def view_shape(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in px of what a crop is the middle of, or else is itself."""
        if self.fit == "square":
            return self.size, self.size
        aspect = min(max(width / height, 1 / MAX_ASPECT), MAX_ASPECT)
        sides = self.size / aspect**0.5, self.size * aspect**0.5
        rows, columns = (max(2, round(side / self.multiple)) * self.multiple for side in sides)
        return rows, columns

    def enough(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in px of the least picture, of the aspect of that one, whose crops are not enlarged."""
        zoom = self.zoom if self.count > 1 else 1.0
        rows, columns = self.view_shape(height, width)
        return ceil(rows * zoom), ceil(columns * zoom)

    def window(self, height: int, width: int) -> Window:
        """The part of an image of that size that its crops are made of, with what resizing sees around it."""
        boxes, shape = place_cuts(height, width, self)
        lefts, tops, rights, bottoms = zip(*(reach(box, shape, height, width) for box in boxes), strict=True)
        return min(lefts), min(tops), max(rights), max(bottoms)


def place_boxes(height: int, width: int, spec: CropSpec) -> list[Box]:
    """The parts of an image of that size that become its views: `spec.count` boxes of their aspect ratio."""
    rows, columns = spec.view_shape(height, width)
    zoom = spec.zoom if spec.count > 1 else 1.0
    scale = min(height / rows, width / columns) / zoom  # image pixels per crop pixel
    h, w = rows * scale, columns * scale
    corners = [(x * max(0.0, width - w), y * max(0.0, height - h)) for x, y in PLACES[: spec.count]]
    return [(left, top, min(left + w, width), min(top + h, height)) for left, top in corners]  # never over, by rounding


def plan_reduction(box: Box, shape: tuple[int, int]) -> tuple[int, int]:
    """Across and down: how many pixels a box filter makes one of, before the box is resized to the shape: 1, 2, 4, ..."""
    (left, top, right, bottom), (rows, columns) = box, shape
    across, down = (max(1, int(scale / ROOM)).bit_length() - 1 for scale in ((right - left) / columns, (bottom - top) / rows))
    return 1 << across, 1 << down


def reach(box: Box, shape: tuple[int, int], height: int, width: int) -> Window:
    """The pixels of an image of that size that take part where a box of it is resized to a shape."""
    left, top, right, bottom = box
    across, down = (REACH * max(1.0, scale) for scale in ((right - left) / shape[1], (bottom - top) / shape[0]))
    left, top = max(0, floor(left - across)), max(0, floor(top - down))
    return left, top, min(width, ceil(right + across)), min(height, ceil(bottom + down))


def resize_box(piece: Piece, box: Box, shape: tuple[int, int]) -> Rgb:
    """One part of a picture, in pixels of the whole, resized to (height, width) px: antialiased bicubic, uint8 [h, w, 3].

    Reductions by six or more go through a box filter first, far cheaper and a little softer: as far as leaves thrice the size
    wanted. Were it twice, a JPEG decoded at a half would come out softer than the whole of it; and as JPEGs are, pictures are
    halved, or halved again. Rows come before columns: Pillow alone would choose by the size of what it is given, and a piece
    would not give what all of it does.
    """
    from PIL import Image

    rows, columns = shape
    left, top, right, bottom = reach(box, shape, piece.height, piece.width)
    window = left - piece.left, top - piece.top, right - piece.left, bottom - piece.top
    across, down = plan_reduction(box, shape)
    seen = piece.picture.crop(window) if across == down == 1 else piece.picture.reduce((across, down), window)
    begin, end = (box[0] - left) / across, (box[2] - left) / across
    narrower = seen.resize((columns, seen.height), Image.Resampling.BICUBIC, (begin, 0, end, seen.height))
    begin, end = (box[1] - top) / down, (box[3] - top) / down
    return np.asarray(narrower.resize((columns, rows), Image.Resampling.BICUBIC, (0, begin, columns, end)))


def cut_box(rgb: Rgb, box: Box, shape: tuple[int, int]) -> Rgb:
    """One part of an image, as `resize_box` does it."""
    from PIL import Image

    return resize_box(Piece(Image.fromarray(rgb), *rgb.shape[:2]), box, shape)


def narrow(box: Box, shape: tuple[int, int], spec: CropSpec) -> tuple[Box, tuple[int, int]]:
    """What is cut out of a box that is a view of that shape, and its shape: all, or the middle that the network looks at."""
    if not spec.middle:
        return box, shape
    (rows, columns), side = shape, spec.middle
    top, left = (rows - side) // 2, (columns - side) // 2
    down, across = (box[3] - box[1]) / rows, (box[2] - box[0]) / columns  # image pixels per crop pixel
    inner = (box[0] + left * across, box[1] + top * down, box[0] + (left + side) * across, box[1] + (top + side) * down)
    return inner, (side, side)


def cut_crop(rgb: Rgb, box: Box, shape: tuple[int, int], spec: CropSpec) -> Rgb:
    """One crop: a box as a view of that shape, see `resize_box`, or the middle of that, of which alone pixels are made."""
    return cut_box(rgb, *narrow(box, shape, spec))


def place_cuts(height: int, width: int, spec: CropSpec) -> tuple[list[Box], tuple[int, int]]:
    """The boxes that are cut out of an image of that size, and the shape that all are brought to."""
    shape = spec.view_shape(height, width)
    boxes, shapes = zip(*(narrow(box, shape, spec) for box in place_boxes(height, width, spec)), strict=True)
    return list(boxes), shapes[0]


def normalise(views: Sequence[Rgb] | Rgb, spec: CropSpec) -> Crops:
    """Equal-sized uint8 views [n, h, w, 3] -> float32 [n, 3, h, w], normalised."""
    scale = (1.0 / (255.0 * np.asarray(spec.std))).astype(np.float32)[:, None, None]
    shift = (np.asarray(spec.mean) / np.asarray(spec.std)).astype(np.float32)[:, None, None]
    planes = np.ascontiguousarray(np.asarray(views).transpose(0, 3, 1, 2))  # [n, 3, h, w], while it is small
    crops: Crops = planes * scale
    crops -= shift
    return crops


def cut_views(piece: Piece, spec: CropSpec) -> Rgb:
    """The crops of one picture, at fixed places, before they are normalised: uint8 [count, h, w, 3].

    A piece that holds `spec.window` of the picture gives the same pixels as all of it.
    """
    boxes, shape = place_cuts(piece.height, piece.width, spec)
    return np.stack([resize_box(piece, box, shape) for box in boxes])


def cut_crops(rgb: Rgb, spec: CropSpec) -> Crops:
    """The crops of one image, at fixed places: uint8 [H, W, 3] -> float32 [count, 3, h, w], normalised."""
    from PIL import Image

    return normalise(cut_views(Piece(Image.fromarray(rgb), *rgb.shape[:2]), spec), spec)
