"""Camera RAW: the picture that the camera itself made and put into the file, or one that is developed from its sensor."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any, BinaryIO, NamedTuple

from PIL import Image, JpegImagePlugin

from iqa_cli.images.crops import Wanted
from iqa_cli.images.formats import RAW
from iqa_cli.images.openers.libraries import import_library
from iqa_cli.images.orientation import TRANSPOSED, read_orientation, swap_sides
from iqa_cli.records import Status, Undecodable

ORIENTATIONS = {0: 1, 3: 3, 5: 8, 6: 6}  # LibRaw's flip -> EXIF orientation
LEAST_PREVIEW = 1000  # px of the longer side: less is a thumbnail, which says nothing of the photo


class RawPicture(NamedTuple):
    """A picture out of a RAW file: a JPEG or a decoded one, and the orientation that makes it upright, whatever it says itself.

    width, height: px of the photo, upright. reduction: 2 where the picture was developed at half of that, else 1.
    """

    picture: io.BytesIO | Image.Image
    orientation: int
    width: int
    height: int
    reduction: int = 1


def read_raw(file: BinaryIO, *, develop: bool, max_pixels: int, crops: Wanted | None) -> RawPicture:
    """The preview of a RAW file where it is large enough, else, or for `develop`, the sensor's data in sRGB.

    Half the size is developed where that is all that crops need. Raises Undecodable, or whatever the decoder raises.
    """
    library = import_library(RAW)
    file.seek(0)
    try:
        raw = library.imread(file)
    except library.LibRawFileUnsupportedError as error:
        raise Undecodable(Status.UNSUPPORTED, f"{RAW} of a kind that is not decoded here") from error
    with raw:
        orientation = ORIENTATIONS.get(raw.sizes.flip, 1)
        width, height = swap_sides((raw.sizes.width, raw.sizes.height), orientation)
        if width * height > max_pixels:
            raise Undecodable(Status.TOO_LARGE, describe_size(width, height, max_pixels), width, height)
        preview = None if develop else find_preview(library, raw, orientation)
        if preview is None:
            picture = develop_raw(raw, crops, width, height)
            halved = max(picture.size) <= 0.75 * max(width, height)  # asked of the outcome: not every sensor can be halved
            return RawPicture(picture, 1, width, height, 2 if halved else 1)
        upright = preview.orientation >= TRANSPOSED and is_portrait(preview.sides) == is_portrait((width, height))
        return RawPicture(preview.picture, 1 if upright else preview.orientation, width, height)  # some cameras store it so


class Preview(NamedTuple):
    """A JPEG or a decoded picture, its width and height, and its orientation."""

    picture: io.BytesIO | Image.Image
    sides: tuple[int, int]
    orientation: int


def is_portrait(sides: tuple[int, int]) -> bool | None:
    """Whether a picture is higher than wide; None for a square."""
    return None if sides[0] == sides[1] else sides[0] < sides[1]


def find_preview(library: Any, raw: Any, orientation: int) -> Preview | None:
    """The largest picture in the file; None where it has none that is large enough. orientation: of the sensor."""
    with suppress(library.LibRawError, library.NotSupportedError, OSError, SyntaxError):
        thumb = raw.extract_thumb()
        if thumb.format == library.ThumbFormat.JPEG:
            jpeg = JpegImagePlugin.JpegImageFile(io.BytesIO(thumb.data))
            found = Preview(io.BytesIO(thumb.data), jpeg.size, read_orientation(jpeg, orientation))
        elif thumb.format == library.ThumbFormat.BITMAP:
            picture = Image.fromarray(thumb.data)
            found = Preview(picture, picture.size, orientation)
        else:
            return None
        return found if max(found.sides) >= LEAST_PREVIEW else None
    return None


def develop_raw(raw: Any, crops: Wanted | None, width: int, height: int) -> Image.Image:
    """The sensor's data with the camera's white balance, in sRGB of 8 bits, upright. Raises whatever the decoder raises."""
    half = False
    if crops is not None:
        least_height, least_width = crops.required_size(height, width)
        half = 2 * least_height <= height and 2 * least_width <= width
    return Image.fromarray(raw.postprocess(use_camera_wb=True, half_size=half))


def describe_size(width: int, height: int, max_pixels: int) -> str:
    """Why a picture of more pixels than allowed is not decoded."""
    return f"{width} x {height} px are {width * height / 1e6:.0f} million, above the limit of {max_pixels / 1e6:g}"
