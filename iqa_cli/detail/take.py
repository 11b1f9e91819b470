"""Take native patches of a file that a decoder has just reduced for its score."""

from __future__ import annotations

from iqa_cli.detail.native import SIDE, NativePatches, Place
from iqa_cli.detail.patches import choose_places, cut_patches, read_luma, reduce_luma
from iqa_cli.images.crops import NativeWindow, Region
from iqa_cli.images.decode import Decoded, decode_image
from iqa_cli.options import MAX_PIXELS, RawChoice


def take_patches(
    path: str,
    image: Decoded,
    *,
    max_pixels: int = MAX_PIXELS,
    raw: RawChoice = RawChoice.PREVIEW,
    suffix: str | None = None,
) -> NativePatches:
    """The patches of a file. image: of the same file; one that was reduced is decoded again, of a JPEG the luma.

    Others as of `decode_image`. So the score is what it is without. Patches lie in what the score's crops are made of. Raises
    Undecodable.
    """
    region = image.region
    height, width = find_native_size(image)
    left, top, right, bottom = scale_window(region, image.reduction, height, width)
    places = [(x + left, y + top) for x, y in choose_places(reduce_luma(region), bottom - top, right - left)]
    if image.reduction > 1:
        region = decode_image(path, max_pixels=max_pixels, crops=bound_places(places), raw=raw, suffix=suffix).region
    inside = [clip_inside(place, region) for place in places]
    patches = cut_patches(read_luma(region), [(x - region.left, y - region.top) for x, y in inside])
    return NativePatches(patches, tuple(inside), region.height, region.width)


def find_native_size(image: Decoded) -> tuple[int, int]:
    """Height and width in px before a reduction; to within that of the preview of a RAW file, whose size is not the file's."""
    sides = ((image.height, image.region.height), (image.width, image.region.width))
    height, width = (full if -(-full // image.reduction) == shown else shown * image.reduction for full, shown in sides)
    return height, width


def scale_window(region: Region, reduction: int, height: int, width: int) -> tuple[int, int, int, int]:
    """The window of the native picture that a region shows."""
    left, top = region.left * reduction, region.top * reduction
    right, bottom = left + region.picture.width * reduction, top + region.picture.height * reduction
    return left, top, min(right, width), min(bottom, height)


def bound_places(places: list[Place]) -> NativeWindow:
    """The window that holds all patches."""
    lefts, tops = zip(*places, strict=True)
    return NativeWindow(min(lefts), min(tops), max(lefts) + SIDE, max(tops) + SIDE)


def clip_inside(place: Place, region: Region) -> Place:
    """A place moved so far that its patch lies within a region, or begins where that does."""
    x, y = place
    right, bottom = region.left + region.picture.width - SIDE, region.top + region.picture.height - SIDE
    return max(region.left, min(x, right)), max(region.top, min(y, bottom))
