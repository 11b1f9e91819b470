"""TIFF, which is a box for anything: what its tags say, which decoder gets it right, and its deep samples.

Pillow reads most TIFFs well. It has no mode for most grey above 8 bits nor for floats, and swaps the bytes of some: OpenCV
takes those.
"""

from __future__ import annotations

import io
from numbers import Real
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps
from PIL.TiffImagePlugin import ImageFileDirectory_v2 as Tags
from PIL.TiffImagePlugin import TiffImageFile

from iqa_cli.images.colors.convert import Samples, scale_to_bytes

WIDTH, HEIGHT, BITS, PHOTOMETRIC, PLANES, SAMPLE_FORMAT = 256, 257, 258, 262, 284, 339
WHITE, PRIMARIES, COLOR_MAP = 318, 319, 320
ICC_PROFILE, DNG_VERSION = 34675, 50706
WHITE_IS_ZERO, BLACK_IS_ZERO = 0, 1  # photometric interpretations
SENSOR_DATA = (32803, 34892)
SUBFILE, SUB_IFDS, REDUCED = 254, 330, 1  # the kind of a picture, where more are, and a reduced one
UINT, FLOAT = 1, 3  # sample formats
SAMPLES, EXTRA = 277, 338  # how many there are of a pixel, and what those beyond its colours are
ANYTHING, PREMULTIPLIED, ALPHA = 0, 1, 2  # of the latter: it may be a mask; colours are multiplied by it; they are not
UNDEFINED = 4  # which means UINT
COMPRESSION = 259
COMPRESSIONS = {
    6: "old JPEG", 34661: "JBIG", 34887: "LERC", 33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000",
    34712: "JPEG 2000", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL", 34892: "lossy JPEG", 34676: "SGI's LogLuv",
    34677: "SGI's LogLuv", 32766: "NeXT's", 32809: "ThunderScan", 34933: "PNG", 34934: "JPEG XR",
}  # fmt: skip
"""Compressions that libtiff, as it comes with the decoders here, may lack."""
COLOURFUL = (2, 3, 6)  # photometric interpretations: RGB, a palette, YCbCr
COLOURS = {4: "a mask", 5: "CMYK", 6: "YCbCr", 8: "CIELab", 9: "ICCLab", 10: "ITULab", 32844: "LogL", 32845: "LogLuv"}
NATURAL = {0: 1, 1: 1, 2: 3, 3: 1, 4: 1, 5: 4, 32844: 1}  # photometric interpretation -> channels
TRANSPOSED = (5, 6, 7, 8)  # orientations that make height and width change places


def read_tags(file: BinaryIO) -> Tags:
    """The tags of a TIFF's first picture. Raises whatever broken bytes cause."""
    file.seek(0)
    head = file.read(8)
    tags = Tags(head + file.read(8) if 43 in head[2:4] else head)  # 43: BigTIFF
    file.seek(tags.next)
    tags.load(file)
    return tags


def is_raw(tags: Tags) -> bool:
    """Whether this is a camera's RAW file, whose first picture is but a thumbnail."""
    thumbnail = SUB_IFDS in tags and tags.get(SUBFILE) == REDUCED
    return thumbnail or DNG_VERSION in tags or tags.get(PHOTOMETRIC) in SENSOR_DATA


def is_raw_file(file: BinaryIO) -> bool:
    """The same of a file; one whose tags cannot be read is none."""
    try:
        return is_raw(read_tags(file))
    except Exception:  # as in decode: broken bytes may raise anything, and do so again where a picture is wanted
        return False


def is_deep(tags: Tags) -> bool:
    """Whether the samples are grey above 8 bits, floats, or deeper than 16 bits: what Pillow gets wrong."""
    bits, formats = tags.get(BITS, (1,)), tags.get(SAMPLE_FORMAT, (UINT,))
    grey = tags.get(PHOTOMETRIC, 0) in (WHITE_IS_ZERO, BLACK_IS_ZERO)
    return max(bits) > 8 and (max(bits) != 16 or grey or FLOAT in formats)


def is_planar(tags: Tags) -> bool:
    """Whether each colour lies apart, which OpenCV garbles."""
    return tags.get(PLANES, 1) != 1 and len(tags.get(BITS, (1,))) > 1


def is_transparent_grey(tags: Tags) -> bool:
    """Whether deep grey has transparency, of which OpenCV keeps nothing."""
    grey = tags.get(PHOTOMETRIC, 0) in (WHITE_IS_ZERO, BLACK_IS_ZERO)
    return grey and tags.get(SAMPLES, 1) > 1 and bool({*tags.get(EXTRA, ())} & {PREMULTIPLIED, ALPHA})


def read_chromaticities(tags: Tags) -> tuple[float, ...] | None:
    """The x and y of white, red, green and blue, where a colour picture says them all; they may make no sense."""
    white, primaries = tags.get(WHITE, ()), tags.get(PRIMARIES, ())
    said = (*white, *primaries) if isinstance(white, tuple) and isinstance(primaries, tuple) else ()
    known = (len(white), len(primaries)) == (2, 6) and all(isinstance(value, Real) for value in said)
    return tuple(float(value) for value in said) if known and tags.get(PHOTOMETRIC) in COLOURFUL else None


def read_size(tags: Tags) -> tuple[int, int]:
    """Width and height of the upright picture in px. Raises KeyError where there is none."""
    width, height = tags[WIDTH], tags[HEIGHT]
    return (height, width) if tags.get(ExifTags.Base.Orientation) in TRANSPOSED else (width, height)


def read_deep(file: BinaryIO, tags: Tags) -> npt.NDArray[np.uint8]:
    """The pixels of a deep TIFF as `scale_to_bytes` makes them, upright: [h, w] grey with 0 for black, or [h, w, 3 or 4].

    Raises ValueError where they cannot be decoded.
    """
    try:
        samples = scale_to_bytes(read_samples(file))
    except ValueError:
        samples = scale_to_bytes(read_with_pillow(file))
    if samples.ndim == 3 and samples.shape[2] == 4:
        samples = straighten(samples, (*tags.get(EXTRA, ()), ALPHA)[0])
    return 255 - samples if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else samples


def straighten(samples: npt.NDArray[np.uint8], extra: int) -> npt.NDArray[np.uint8]:
    """RGBA without its fourth channel where that is no alpha, and with colours not multiplied by it. extra: of TIFF."""
    if extra == ANYTHING:
        return samples[..., :3]
    if extra != PREMULTIPLIED:
        return samples
    alpha = samples[..., 3:].astype(np.uint16)
    colors = (samples[..., :3] * np.uint16(255) + alpha // 2) // np.maximum(alpha, 1)
    return np.dstack([np.minimum(colors, 255).astype(np.uint8), samples[..., 3]])


def read_with_pillow(file: BinaryIO) -> Samples:
    """The samples of a deep grey picture, upright, by Pillow, which knows more compressions than OpenCV. Raises ValueError."""
    file.seek(0)
    with TiffImageFile(file) as picture:
        if picture.mode not in ("I;16", "I;16B", "I;16L", "F"):
            raise ValueError(f"no samples of a known kind: {picture.mode}")
        return np.asarray(ImageOps.exif_transpose(picture))


def name_unsupported(tags: Tags) -> str:
    """In words what is unusual about a TIFF that no decoder here takes; empty where nothing is."""
    bits, formats = tags.get(BITS, (1,)), tags.get(SAMPLE_FORMAT, (UINT,))
    photometric, count = tags.get(PHOTOMETRIC, 0), len(tags.get(BITS, (1,)))
    if name := COMPRESSIONS.get(tags.get(COMPRESSION, 1)):
        return f"with {name} compression"
    if not {*formats} <= {UINT, FLOAT, UNDEFINED}:
        return "with signed or complex samples"
    if FLOAT in formats and max(bits) not in (32, 64):
        return f"of {max(bits)}-bit floats"
    if len({*bits}) > 1 or max(bits) not in (1, 2, 4, 8, 16, 32, 64):
        return f"with samples of {', '.join(map(str, sorted({*bits})))} bits"
    if name := COLOURS.get(photometric):
        return f"in {name}" + (f" with {count} channels" if count != NATURAL.get(photometric, 3) else "")
    if count != NATURAL.get(photometric, 1) or max(bits) > 16 or (count > 1 and max(bits) < 8):
        return f"with {count} channels of {max(bits)} bits"
    return ""


def count_rows(file: BinaryIO, tags: Tags) -> float:
    """The share of a TIFF's rows that are there, by where its strips or tiles end; those cut short count where one can tell."""
    size = file.seek(0, io.SEEK_END)
    places, counts = (tags.get(strips) or tags.get(tiles) or () for strips, tiles in ((273, 324), (279, 325)))
    plain = tags.get(COMPRESSION, 1) == 1
    shares = [
        1.0 if place + count <= size else max(0.0, (size - place) / count) if plain else 0.0
        for place, count in zip(places, counts, strict=False)
        if count
    ]
    return sum(shares) / len(shares) if shares else 1.0


def read_samples(file: BinaryIO) -> Samples:
    """All samples of a picture in their own depth, upright: [h, w], or [h, w, 3 or 4] as RGB or RGBA."""
    import cv2  # takes 0.1 s, which only a deep TIFF pays

    set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # OpenCV 4, 5
    set_log_level(0)  # else its complaints go to stderr
    file.seek(0)
    samples = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None:
        raise ValueError("cut short, or samples of an unknown kind")
    return samples if samples.ndim == 2 else samples[..., [2, 1, 0, 3][: samples.shape[2]]]


def rescale_palette(picture: Image.Image) -> None:
    """Take a colour map without any number above 255 for one of 8 bits, as libtiff does: old scanners wrote such."""
    colors = getattr(picture, "tag_v2", {}).get(COLOR_MAP, ())
    if picture.mode in ("P", "PA") and colors and max(colors) < 256:
        picture.putpalette(np.array(colors, np.uint8).reshape(3, -1).T.tobytes())
