"""Pictures for tests, made here: most by Pillow, the odd ones byte by byte. And how decoded ones are judged."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iqa_cli.images.decode import Decoded, decode_image
from iqa_cli.records import Undecodable


def make_picture(height: int = 48, width: int = 80) -> np.ndarray:
    """Smooth colours without any symmetry, so that a wrong turn or a swapped channel shows."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, 255 - (x + y) * 200 // (height + width)], -1).astype(np.uint8)


PICTURE = make_picture()


def encode(picture: Image.Image | np.ndarray, kind: str, **options: object) -> bytes:
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


LOSSLESS = {"PNG": {}, "TIFF": {}, "BMP": {}, "WEBP": {"lossless": True}}
LOSSY = {"JPEG": {"quality": 97, "subsampling": 0}, "AVIF": {"quality": 95, "subsampling": "4:4:4"}}


def encode_any(kind: str, picture: np.ndarray = PICTURE, **options: object) -> bytes:
    if kind == "GIF":  # the picture in the colours that GIF can hold
        return encode(Image.fromarray(picture).quantize(64), "GIF", **options)
    return encode(picture, kind, **(LOSSLESS | LOSSY)[kind], **options)


KINDS = (*LOSSLESS, *LOSSY, "GIF")


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def forge_png(width: int, height: int, bits: int, colour: int, rows: bytes, *more: bytes, late: bytes = b"") -> bytes:
    """A PNG from its parts; `rows` are the filtered scan lines, `more` and `late` whole chunks before and behind them."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + pixels + late + chunk(b"IEND", b"")


def forge_tiff(
    samples: np.ndarray,
    photometric: int,
    *,
    order: str = "<",
    planes: bool = False,
    deflate: bool = False,
    size: tuple[int, int] | None = None,
    bits: int | None = None,
    extra: dict[int, tuple[float, ...]] | None = None,
) -> bytes:
    """A TIFF of samples [h, w, channels] of any dtype and byte order, in one strip or one for each plane."""
    height, width, channels = samples.shape
    stored = samples.astype(samples.dtype.newbyteorder(order))
    strips = [stored[..., i].tobytes() for i in range(channels)] if planes else [stored.tobytes()]
    if deflate:
        strips = [zlib.compress(strip) for strip in strips]
    depth = (bits or samples.itemsize * 8,) * channels
    formats = ({"u": 1, "i": 2, "f": 3}[samples.dtype.kind],) * channels
    tags = {256: (width,), 257: (height,), 258: depth, 259: (8 if deflate else 1,), 262: (photometric,), 277: (channels,)}
    tags |= {278: (height,), 284: (2 if planes else 1,), 339: formats, **(extra or {})}
    if size:
        tags |= {256: size[:1], 257: size[1:]}
    tags |= {273: (0,) * len(strips), 279: tuple(map(len, strips))}
    start = 8 + 2 + 12 * len(tags) + 4  # of what does not fit into its tag
    strips_at = start + sum(4 * len(values) for values in tags.values() if len(values) > 1)
    tags[273] = tuple(strips_at + sum(map(len, strips[:i])) for i in range(len(strips)))
    entries = outside = b""
    for tag, values in sorted(tags.items()):
        kind, code = (11, "f") if isinstance(values[0], float) else (4, "I")
        packed = struct.pack(f"{order}{len(values)}{code}", *values)
        entries += struct.pack(order + "HHI", tag, kind, len(values))
        if len(values) > 1:
            entries += struct.pack(order + "I", start + len(outside))
            outside += packed
        else:
            entries += packed
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, len(tags))
    return head + entries + bytes(4) + outside + b"".join(strips)


STORED = {  # EXIF orientation -> how an upright picture lies in the file
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


def make_exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def composite_on_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return np.round(colour * share + 255 * (1 - share)).astype(np.uint8)


ALPHA = (np.mgrid[:48, :80][1] * 255 // 79).astype(np.uint8)
RAMP = np.linspace(0, 65535, 80).astype(np.uint16)
DEEP = np.ascontiguousarray(np.broadcast_to(RAMP[:, None], (48, 80, 3)))  # [48, 80, 3], 0 to 65535
WANTED = np.round(DEEP / 257).astype(np.uint8)
SRGB_PRIMARIES = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
ADOBE_PRIMARIES = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
ADOBE_GAMMA = 563 / 256


def make_profile(space: bytes, gamma: float, primaries: np.ndarray | None = None, name: bytes = b"wide") -> bytes:
    """An ICC profile of version 2: one curve a channel, and for colours the XYZ (D50) of the primaries, in columns."""

    def xyz(values: np.ndarray) -> bytes:
        return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in values))

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    text = b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name + bytes(79)
    tags = {b"desc": text + bytes(-len(text) % 4), b"cprt": b"text" + bytes(8), b"wtpt": xyz(np.array([0.9642, 1, 0.8249]))}
    if primaries is None:
        tags[b"kTRC"] = curve
    else:
        for i, channel in enumerate((b"r", b"g", b"b")):
            tags |= {channel + b"XYZ": xyz(primaries[:, i]), channel + b"TRC": curve}
    table, body, at = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for tag, data in tags.items():
        table += tag + struct.pack(">II", at + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", at + len(body), bytes(4), 0x02400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + body


ADOBE = make_profile(b"RGB ", ADOBE_GAMMA, ADOBE_PRIMARIES)
HEIC_HEAD = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)


def decode(path: Path | str, data: bytes | None = None, **options: object) -> Decoded:
    if data is not None:
        Path(path).write_bytes(data)
    return decode_image(str(path), **options)


def refuse(path: Path | str, data: bytes | None = None, **options: object) -> Undecodable:
    with pytest.raises(Undecodable) as caught:
        decode(path, data, **options)
    detail = caught.value.detail
    assert detail
    assert detail.isprintable()
    assert len(detail) <= 160
    assert not path or str(path) not in detail
    return caught.value


def assert_close(rgb: np.ndarray, wanted: np.ndarray, mean: float, worst: int = 255) -> None:
    assert rgb.shape == wanted.shape
    difference = np.abs(rgb.astype(int) - wanted.astype(int))
    assert difference.mean() <= mean
    assert difference.max() <= worst
