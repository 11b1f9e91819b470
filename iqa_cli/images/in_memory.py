"""Pictures in memory: arrays and Pillow's images, checked, as pixels or as a file that holds the same."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeGuard

import numpy as np

from iqa_cli.errors import InputError
from iqa_cli.images.crops import Rgb
from iqa_cli.records import Status, Undecodable

if TYPE_CHECKING:
    import os

    from PIL import Image, PngImagePlugin

    Picture = Image.Image
    ImageInput = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Picture | np.ndarray[Any, Any]

Channels = Literal["rgb", "bgr"]
CHANNELS: tuple[Channels, ...] = ("rgb", "bgr")
WANTED = "wanted is uint8 of shape [height, width, 3], or [height, width] for grey"
PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")  # that a PNG holds as they are,
TIFF_MODES = ("CMYK", "LAB")  # and a TIFF
CONVERTED = {"PA": "RGBA", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "YCbCr": "RGB", "HSV": "RGB"}
COLOR_KEYS = ("icc_profile", "transparency", "gamma", "chromaticity")  # of `Image.info`, of what is more than plain sRGB


def read_array(array: np.ndarray[Any, Any], channels: Channels = "rgb") -> Rgb:
    """A copy of an array as upright sRGB, uint8 [H, W, 3]. channels: the order of its last axis; grey has none.

    Raises InputError, which says what to do, for any other array: floats, 16 bits, 1 or 4 channels, channels first, empty ones.
    """
    if channels not in CHANNELS:
        raise InputError(f"channels are {' or '.join(CHANNELS)}, not {channels!r}")
    if problem := find_problem(array.dtype, array.shape):
        raise InputError(f"an array of {array.dtype} and shape {list(array.shape)}: {problem}; {WANTED}")
    colored = np.repeat(array[..., None], 3, axis=2) if array.ndim == 2 else array
    return np.array(colored[..., ::-1] if channels == "bgr" else colored, np.uint8, order="C", subok=False)


def find_problem(dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    """What is wrong with an array, and what to do about it; empty where nothing is."""
    if len(shape) not in (2, 3):
        return "no picture has so many axes" + (": of a batch, give one after the other" if len(shape) == 4 else "")
    if 0 in shape:
        return "it is empty"
    if len(shape) == 3 and shape[2] != 3:
        return find_axis_problem(shape)
    if dtype != np.uint8:
        return find_value_problem(dtype)
    return ""


def find_axis_problem(shape: tuple[int, ...]) -> str:
    """What is wrong with three axes whose last is not three long."""
    if shape[0] in (1, 3, 4) and shape[2] not in (1, 4):
        return "its channels come first: give array.transpose(1, 2, 0)"
    if shape[2] == 1:
        return "one channel: give array[..., 0]"
    if shape[2] == 4:
        return "four channels: give array[..., :3], or as Image.fromarray(array) if the fourth is transparency"
    return f"{shape[2]} channels"


def find_value_problem(dtype: np.dtype[Any]) -> str:
    """What is wrong with values that are not whole numbers of 8 bits."""
    if dtype.kind == "f":
        return "of floats nobody knows where white is: give (255 * array).round().clip(0, 255).astype(np.uint8) if it is at 1"
    if dtype == np.uint16:
        return "16 bits: give (array // 257).astype(np.uint8) if white is at 65535"
    return "values of another kind"


def is_picture(image: object) -> TypeGuard[Image.Image]:
    """Whether it is one of Pillow's images."""
    from PIL import Image

    return isinstance(image, Image.Image)


def read_picture(picture: Image.Image) -> Rgb | bytes:
    """One of Pillow's images: its pixels, uint8 [H, W, 3], where those are plain sRGB; else a file that holds all that it says.

    That is its mode, its orientation (turned upright), its ICC profile, its gamma and what is transparent. Of an animation it
    is the frame that is shown. Raises Undecodable where its file cannot be decoded, InputError for a mode that is no photo's.
    """
    from iqa_cli.images.orientation import read_orientation, rotate_upright

    if 0 in picture.size:
        raise InputError(f"an image of {picture.width} x {picture.height} px: it is empty")
    try:
        picture.load()
    except Exception as error:  # of a lazily opened file, which may be broken in any way
        raise Undecodable(Status.DAMAGED, f"its file cannot be decoded: {type(error).__name__}") from error
    info = {key: picture.info[key] for key in (*COLOR_KEYS, "srgb") if key in picture.info}
    upright = rotate_upright(picture, read_orientation(picture))
    if upright.mode in CONVERTED:
        upright = upright.convert(CONVERTED[upright.mode])
    if upright.mode == "RGB" and not set(COLOR_KEYS) & set(info):
        return np.asarray(upright).copy()
    if upright.mode in TIFF_MODES:
        return save(upright, "TIFF", icc_profile=info.get("icc_profile"))
    if upright.mode not in PNG_MODES:
        raise InputError(f"an image of mode {upright.mode}: nobody knows where white is: convert it to RGB or L first")
    return save(upright, "PNG", compress_level=0, icc_profile=info.get("icc_profile"), pnginfo=note_colors(info))


def save(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """A file of a picture."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def note_colors(info: dict[str, Any]) -> PngImagePlugin.PngInfo:
    """What a PNG says of its colours besides a profile, from what Pillow read of one."""
    from PIL import PngImagePlugin

    noted = PngImagePlugin.PngInfo()
    if "srgb" in info:
        noted.add(b"sRGB", bytes([info["srgb"]]))
    if "gamma" in info:
        noted.add(b"gAMA", struct.pack(">I", round(100_000 * info["gamma"])))
    if "chromaticity" in info:
        noted.add(b"cHRM", struct.pack(">8I", *(round(100_000 * value) for value in info["chromaticity"])))
    return noted
