"""Orientation: how the picture in a file lies, and how it is turned upright."""

from __future__ import annotations

from PIL import ExifTags, Image

from iqa_cli.images.crops import Window

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the picture upright."""

LYING = 5  # from this orientation on height and width change places
MIRRORED, UPSIDE_DOWN = (2, 3, 7, 8), (3, 4, 6, 7)  # where stored columns, and stored rows, run against the upright picture


def read_orientation(picture: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none, or none that makes sense."""
    if picture.format == "TIFF":
        return 1  # Pillow turns TIFFs itself
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # EXIF is foreign bytes too, and however broken, it takes nothing from the pixels
        return 1
    return int(orientation) if orientation in TURNS else 1


def swap_sides(sides: tuple[int, int], orientation: int) -> tuple[int, int]:
    """The sides of an upright picture from those of the stored one, or the other way round."""
    return sides[::-1] if orientation >= LYING else sides


def lay(window: Window, stored: tuple[int, int], orientation: int) -> Window:
    """A part of the upright picture -> where it is in the stored one, whose width and height are given."""
    left, top, right, bottom = window
    if orientation >= LYING:
        left, top, right, bottom = top, left, bottom, right
    width, height = stored
    if orientation in MIRRORED:
        left, right = width - right, width - left
    if orientation in UPSIDE_DOWN:
        top, bottom = height - bottom, height - top
    return left, top, right, bottom


def turn(picture: Image.Image, orientation: int) -> Image.Image:
    """The stored picture, or a part of it, upright."""
    return picture.transpose(TURNS[orientation]) if orientation in TURNS else picture
