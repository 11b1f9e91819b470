"""Pictures of other colour spaces than sRGB, made of sRGB ones, by formulas of their own (BT.2100, BT.2087, sRGB)."""

import struct

import cv2
import numpy as np
from pictures import chunk, encode, forge_png

BT2020 = np.array([[0.6274039, 0.3292830, 0.0433131], [0.0690973, 0.9195404, 0.0113623], [0.0163914, 0.0880133, 0.8955953]])
DISPLAY_P3 = np.array([[0.8224620, 0.1775380, 0.0], [0.0331942, 0.9668058, 0.0], [0.0170827, 0.0723974, 0.9105199]])
"""sRGB's light -> that of wider primaries."""

XY_SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
XY_P3 = (0.3127, 0.3290, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)


def to_light(rgb: np.ndarray) -> np.ndarray:
    v = rgb / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def to_srgb(light: np.ndarray) -> np.ndarray:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def to_pq(light: np.ndarray) -> np.ndarray:
    """Light of which 1 is 203 cd/m2."""
    y = (np.clip(light, 0, None) * 203 / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def to_hlg(light: np.ndarray) -> np.ndarray:
    """Light of BT.2020's primaries, of which 1 is 203 cd/m2, on a screen of 1000 cd/m2."""
    shown = np.clip(light, 0, None) * 0.203
    luminance = shown @ (0.2627, 0.6780, 0.0593)
    scene = shown * np.maximum(luminance, 1e-12)[..., None] ** (1 / 1.2 - 1)
    return np.where(
        scene <= 1 / 12, np.sqrt(3 * scene), 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    )


def deepen(values: np.ndarray, bits: int = 16) -> np.ndarray:
    """Values from 0 to 1 as integers."""
    return np.round(np.clip(values, 0, 1) * ((1 << bits) - 1)).astype(np.uint16 if bits > 8 else np.uint8)


def write_png(samples: np.ndarray, *chunks: bytes) -> bytes:
    """A PNG of samples [h, w] or [h, w, 2 to 4], of 8 or 16 bits."""
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[samples.shape[2] if samples.ndim == 3 else 1]
    rows = b"".join(b"\0" + row.tobytes() for row in samples.astype(samples.dtype.newbyteorder(">")))
    return forge_png(samples.shape[1], samples.shape[0], 8 * samples.itemsize, kind, rows, *chunks)


def cicp(primaries: int, transfer: int, matrix: int = 0, full: int = 1) -> bytes:
    return chunk(b"cICP", bytes([primaries, transfer, matrix, full]))


def gama(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(value * 100000)))


def chrm(xy: tuple[float, ...]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100000) for value in xy)))


def name_colors(avif: bytes, primaries: int, transfer: int) -> bytes:
    """An AVIF whose nclx box says other colours."""
    at = avif.index(b"colrnclx") + 8
    return avif[:at] + struct.pack(">HH", primaries, transfer) + avif[at + 4 :]


def write_avif(samples: np.ndarray, primaries: int, transfer: int, bits: int = 8) -> bytes:
    """An AVIF of samples [h, w, 3 or 4] of so many bits; above 8 by OpenCV, without loss."""
    if bits == 8:
        return name_colors(encode(samples, "AVIF", quality=100, subsampling="4:4:4"), primaries, transfer)
    order = [2, 1, 0, 3][: samples.shape[2]]
    options = [cv2.IMWRITE_AVIF_QUALITY, 100, cv2.IMWRITE_AVIF_DEPTH, bits]
    done, data = cv2.imencode(".avif", np.ascontiguousarray(samples[..., order]), options)
    assert done
    return name_colors(data.tobytes(), primaries, transfer)


DEEP_AVIF = cv2.haveImageWriter("x.avif") and hasattr(cv2, "IMWRITE_AVIF_DEPTH")
"""Whether the OpenCV that is installed writes and reads AVIF, as its wheels do since version 5."""
