"""EXIF orientation: from a stored picture to the upright one, and from windows of that back to the stored one."""

from __future__ import annotations

from PIL import ExifTags, Image

from iqa_cli.images.crops import Window

TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> the transpose that makes the picture upright."""

TRANSPOSED = 5  # from this orientation on, height and width are swapped
MIRRORED, UPSIDE_DOWN = (2, 3, 7, 8), (3, 4, 6, 7)  # where stored columns, and stored rows, run against the upright picture


UPRIGHT = ("TIFF", "HEIF", "JXL")
"""Formats whose decoders rotate pictures themselves; what their EXIF says of it is done, or is not meant to count."""


def read_orientation(picture: Image.Image, default: int = 1) -> int:
    """EXIF orientation, 1 to 8; 1 where it makes no sense, and the default where there is none."""
    if picture.format in UPRIGHT:
        return 1
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation, default)
    except Exception:  # EXIF is foreign bytes too, and however broken, it takes nothing from the pixels
        return 1
    return int(orientation) if orientation in TRANSPOSES else 1


def swap_sides(sides: tuple[int, int], orientation: int) -> tuple[int, int]:
    """The sides of an upright picture from those of the stored one, or the other way round."""
    return sides[::-1] if orientation >= TRANSPOSED else sides


def find_stored_window(window: Window, stored: tuple[int, int], orientation: int) -> Window:
    """The window of the stored picture that becomes a window of the upright one. stored: width and height in px."""
    left, top, right, bottom = window
    if orientation >= TRANSPOSED:
        left, top, right, bottom = top, left, bottom, right
    width, height = stored
    if orientation in MIRRORED:
        left, right = width - right, width - left
    if orientation in UPSIDE_DOWN:
        top, bottom = height - bottom, height - top
    return left, top, right, bottom


def rotate_upright(picture: Image.Image, orientation: int) -> Image.Image:
    """The stored picture, or a window of it, rotated and mirrored upright."""
    return picture.transpose(TRANSPOSES[orientation]) if orientation in TRANSPOSES else picture
