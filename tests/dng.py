"""Camera RAW for tests: DNGs made byte by byte, of one sensor picture and a preview."""

import struct

import numpy as np

BYTE, ASCII, SHORT, LONG, RATIONAL, SIGNED = 1, 2, 3, 4, 5, 10
SIZES = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, SIGNED: 8}
CODES = {BYTE: "B", ASCII: "B", SHORT: "H", LONG: "I"}
Tags = dict[int, tuple[int, tuple[float, ...]]]
IDENTITY = (1, 0, 0, 0, 1, 0, 0, 0, 1)
XYZ_TO_SRGB = (3.2404542, -1.5371385, -0.4985314, -0.969266, 1.8760108, 0.041556, 0.0556434, -0.2040259, 1.0572252)


def pack(kind: int, values: tuple[float, ...]) -> bytes:
    if kind in (RATIONAL, SIGNED):
        return b"".join(struct.pack("<ii", round(value * 10000), 10000) for value in values)
    return struct.pack(f"<{len(values)}{CODES[kind]}", *map(int, values))


def pack_directory(tags: Tags, at: int) -> bytes:
    """A TIFF's directory that stands at byte `at`, with what does not fit into its entries behind it."""
    entries, outside = b"", b""
    behind = at + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in sorted(tags.items()):
        data = pack(kind, values)
        entries += struct.pack("<HHI", tag, kind, len(values))
        if len(data) <= 4:
            entries += data.ljust(4, b"\0")
        else:
            entries += struct.pack("<I", behind + len(outside))
            outside += data + bytes(len(data) % 2)
    return struct.pack("<H", len(tags)) + entries + bytes(4) + outside


def make_mosaic(rgb: np.ndarray) -> np.ndarray:
    """What a sensor with the pattern RGGB sees of sRGB of 8 bits: light of 16 bits, [h, w]."""
    light = np.where(rgb <= 10, rgb / 255 / 12.92, ((rgb / 255 + 0.055) / 1.055) ** 2.4)
    mosaic = light[..., 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = light[::2, ::2, 0], light[1::2, 1::2, 2]
    return np.round(mosaic * 65535).astype("<u2")


def make_dng(rgb: np.ndarray, *, preview: bytes = b"", preview_size: tuple[int, int] = (0, 0), orientation: int = 1) -> bytes:
    """A DNG of a picture as it lies on the sensor. preview: a JPEG, and its width and height."""
    height, width = rgb.shape[:2]
    sensor = make_mosaic(rgb).tobytes()
    main: Tags = {
        **{254: (LONG, (0,)), 256: (LONG, (width,)), 257: (LONG, (height,)), 258: (SHORT, (16,)), 259: (SHORT, (1,))},
        **{262: (SHORT, (32803,)), 277: (SHORT, (1,)), 278: (LONG, (height,)), 279: (LONG, (len(sensor),)), 284: (SHORT, (1,))},
        **{33421: (SHORT, (2, 2)), 33422: (BYTE, (0, 1, 1, 2)), 50714: (LONG, (0,)), 50717: (LONG, (65535,))},
    }
    first: Tags = {
        **{254: (LONG, (1,)), 256: (LONG, preview_size[:1]), 257: (LONG, preview_size[1:]), 258: (SHORT, (8, 8, 8))},
        **{259: (SHORT, (7,)), 262: (SHORT, (6,)), 277: (SHORT, (3,)), 278: (LONG, preview_size[1:])},
        **{279: (LONG, (len(preview),)), 284: (SHORT, (1,))},
    }
    camera: Tags = {
        **{271: (ASCII, tuple(b"Test\0")), 272: (ASCII, tuple(b"Toy\0")), 274: (SHORT, (orientation,))},
        **{50706: (BYTE, (1, 4, 0, 0)), 50707: (BYTE, (1, 1, 0, 0)), 50708: (ASCII, tuple(b"Test Toy\0"))},
        **{50721: (SIGNED, XYZ_TO_SRGB), 50728: (RATIONAL, (1, 1, 1)), 50778: (SHORT, (21,))},
    }
    if not preview:
        tags = main | camera | {273: (LONG, (0,))}
        start = 8 + len(pack_directory(tags, 8))
        return b"II*\0\x08\0\0\0" + pack_directory(tags | {273: (LONG, (start,))}, 8) + sensor
    tags = first | camera | {273: (LONG, (0,)), 330: (LONG, (0,))}
    main |= {273: (LONG, (0,))}
    second = 8 + len(pack_directory(tags, 8))
    picture_at = second + len(pack_directory(main, second))
    tags |= {273: (LONG, (picture_at,)), 330: (LONG, (second,))}
    main |= {273: (LONG, (picture_at + len(preview) + len(preview) % 2,))}
    body = pack_directory(tags, 8) + pack_directory(main, second)
    return b"II*\0\x08\0\0\0" + body + preview + bytes(len(preview) % 2) + sensor
