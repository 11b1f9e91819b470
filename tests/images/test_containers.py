"""Equal pictures have equal scores, whatever the file that holds them and however that says what its colours are."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from colors import (
    BT2020,
    DEEP_AVIF,
    DISPLAY_P3,
    XY_P3,
    XY_SRGB,
    chrm,
    cicp,
    deepen,
    gama,
    to_hlg,
    to_light,
    to_pq,
    to_srgb,
    write_avif,
    write_png,
)
from pictures import ADOBE, ADOBE_GAMMA, SRGB_PRIMARIES, chunk, encode, forge_tiff, make_profile
from PIL import Image

from iqa_cli.options import ScoreOptions
from iqa_cli.scoring.pipeline import open_pipeline

PHOTO = Path(__file__).parents[1] / "photos" / "coffee.jpg"
HALF_A_POINT = 0.5
P3 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])  # XYZ of D50
P3_PROFILE = make_profile(b"RGB ", ADOBE_GAMMA, P3)
P3_TAGS = {318: (0.3127, 0.329), 319: (0.68, 0.32, 0.265, 0.69, 0.15, 0.06)}  # white; red, green and blue

COLOUR = np.asarray(Image.open(PHOTO).convert("RGB"))
GREY = np.asarray(Image.fromarray(COLOUR).convert("L"))
PALETTE = Image.fromarray(COLOUR).quantize(256)
MASK = np.zeros(COLOUR.shape[:2], bool)
MASK[150:250, 200:400] = True  # in the middle, where the model looks
CUT_OUT = np.where(MASK[..., None], 255, COLOUR).astype(np.uint8)  # what a hole shows on white
SPARE = np.uint16(0x1235)  # a shade of 16 bits that the picture, of multiples of 257, has not got
WANTED = {
    "colour": COLOUR,
    "grey": np.dstack([GREY] * 3),
    "palette": np.asarray(PALETTE.convert("RGB")),
    "cut out": CUT_OUT,
    "cut-out grey": np.dstack([np.where(MASK, 255, GREY)] * 3).astype(np.uint8),
}


def wide(matrix: np.ndarray) -> np.ndarray:
    """The photo's light, in other primaries."""
    return to_light(COLOUR) @ matrix.T


def rgba(samples: np.ndarray) -> np.ndarray:
    full = np.iinfo(samples.dtype).max
    return np.dstack([samples, np.where(MASK, 0, full).astype(samples.dtype)])


def keyed(samples: np.ndarray) -> bytes:
    """A PNG in which one colour of 16 bits, near which there are others, stands for nothing."""
    deep = samples.astype(np.uint16) * 257
    deep[MASK] = SPARE
    return write_png(deep, chunk(b"tRNS", struct.pack(">H", SPARE) * (3 if deep.ndim == 3 else 1)))


def narrow(values: np.ndarray) -> np.ndarray:
    """Values from 0 to 1 as video's 16 bits, from 16 to 235 times 256."""
    return np.round(256 * (16 + 219 * values)).astype(np.uint16)


def profiled() -> np.ndarray:
    """The photo as samples of P3_PROFILE."""
    return deepen(np.clip(wide(np.linalg.inv(P3) @ SRGB_PRIMARIES), 0, 1) ** (1 / ADOBE_GAMMA), 8)


def add(png: bytes, *chunks: bytes) -> bytes:
    """A PNG with more chunks behind its header."""
    return png[:33] + b"".join(chunks) + png[33:]


def name_profile(name: bytes) -> bytes:
    """The chunk of a profile that has a name, and nothing else that makes sense."""
    return chunk(b"iCCP", b"x\0\0" + zlib.compress(make_profile(b"RGB ", 1.0, np.eye(3), name)))


def map_colors(*, eight_bits: bool) -> bytes:
    """A palette TIFF whose colour map goes to 65535, or as old scanners' to 255."""
    colors = np.array(PALETTE.getpalette()).reshape(-1, 3).T.ravel().astype(int)
    colors = np.pad(colors.reshape(3, -1), ((0, 0), (0, 256 - colors.size // 3))).ravel()
    indices = np.asarray(PALETTE)[..., None]
    return forge_tiff(indices, 3, extra={320: tuple(map(int, colors * (1 if eight_bits else 257)))})


LOSSLESS = {"WEBP": {"lossless": True}, "TIFF": {}, "BMP": {}, "PNG": {}}
PQ, HLG = (9, 16), (9, 18)  # primaries and transfer
ENCODERS: dict[str, tuple[str, Callable[[], bytes]]] = {
    # PNG and what it says of its colours
    "PNG": ("colour", lambda: encode(COLOUR, "PNG")),
    "PNG of 16 bits": ("colour", lambda: write_png(deepen(COLOUR / 255))),
    "PNG, grey": ("grey", lambda: encode(GREY, "PNG")),
    "PNG, grey of 16 bits": ("grey", lambda: write_png(deepen(GREY / 255))),
    "PNG, palette": ("palette", lambda: encode(PALETTE, "PNG")),
    "PNG, alpha": ("cut out", lambda: encode(rgba(COLOUR), "PNG")),
    "PNG, alpha of 16 bits": ("cut out", lambda: write_png(rgba(deepen(COLOUR / 255)))),
    "PNG, a transparent colour of 16 bits": ("cut out", lambda: keyed(COLOUR)),
    "PNG, a transparent grey of 16 bits": ("cut-out grey", lambda: keyed(GREY)),
    "PNG, gAMA of sRGB": ("colour", lambda: write_png(COLOUR, gama(0.45455), chrm(XY_SRGB))),
    "PNG, gAMA of 1.8": ("colour", lambda: write_png(deepen(to_light(COLOUR) ** (1 / 1.8), 8), gama(1 / 1.8))),
    "PNG, grey, gAMA of 1.8": ("grey", lambda: write_png(deepen(to_light(GREY) ** (1 / 1.8), 8), gama(1 / 1.8))),
    "PNG, linear gAMA of 16 bits": ("colour", lambda: write_png(deepen(to_light(COLOUR)), gama(1))),
    "PNG, linear grey of 16 bits": ("grey", lambda: write_png(deepen(to_light(GREY)), gama(1))),
    "PNG, linear, a hole in it": ("cut out", lambda: write_png(rgba(deepen(to_light(COLOUR))), gama(1))),
    "PNG, cHRM of P3": ("colour", lambda: write_png(deepen(to_srgb(wide(DISPLAY_P3)), 8), gama(0.45455), chrm(XY_P3))),
    "PNG, cHRM alone": ("colour", lambda: write_png(deepen(to_srgb(wide(DISPLAY_P3)), 8), chrm(XY_P3))),
    "PNG, sRGB before gAMA": ("colour", lambda: write_png(COLOUR, chunk(b"sRGB", b"\0"), gama(1), chrm(XY_P3))),
    "PNG, iCCP before gAMA": ("colour", lambda: add(encode(profiled(), "PNG", icc_profile=P3_PROFILE), gama(1))),
    "PNG, cICP before all": ("colour", lambda: add(encode(COLOUR, "PNG", icc_profile=ADOBE), cicp(1, 13), gama(1))),
    "PNG, cICP of P3": ("colour", lambda: write_png(deepen(to_srgb(wide(DISPLAY_P3)), 8), cicp(12, 13))),
    "PNG, cICP of BT.2020": ("colour", lambda: write_png(deepen(to_srgb(wide(BT2020))), cicp(9, 14))),
    "PNG, cICP of video's range": ("colour", lambda: write_png(narrow(COLOUR / 255), cicp(1, 1, full=0))),
    "PNG, cICP that means nothing": ("colour", lambda: write_png(COLOUR, cicp(9, 16, matrix=9))),
    "PNG, PQ": ("colour", lambda: write_png(deepen(to_pq(wide(BT2020))), cicp(*PQ))),
    "PNG, PQ of P3": ("colour", lambda: write_png(deepen(to_pq(wide(DISPLAY_P3))), cicp(12, 16))),
    "PNG, PQ, a hole in it": ("cut out", lambda: write_png(rgba(deepen(to_pq(wide(BT2020)))), cicp(*PQ))),
    "PNG, PQ of video's range": ("colour", lambda: write_png(narrow(to_pq(wide(BT2020))), cicp(*PQ, full=0))),
    "PNG, PQ, grey": ("grey", lambda: write_png(deepen(to_pq(to_light(GREY))), cicp(*PQ))),
    "PNG, HLG": ("colour", lambda: write_png(deepen(to_hlg(wide(BT2020))), cicp(*HLG))),
    "PNG, PQ by its profile": (
        "colour",
        lambda: write_png(deepen(to_pq(wide(BT2020))), name_profile(b"ITUR_2100_PQ_FULL")),
    ),
    # the other containers
    **{kind: ("colour", lambda kind=kind: encode(COLOUR, kind, **LOSSLESS[kind])) for kind in LOSSLESS if kind != "PNG"},
    **{
        f"{kind}, ICC of P3": (
            "colour",
            lambda kind=kind: encode(profiled(), kind, icc_profile=P3_PROFILE, **LOSSLESS[kind]),
        )
        for kind in LOSSLESS
        if kind != "BMP"
    },
    "WebP, alpha": ("cut out", lambda: encode(rgba(COLOUR), "WEBP", lossless=True)),
    "GIF": ("palette", lambda: encode(PALETTE, "GIF")),
    "BMP, palette": ("palette", lambda: encode(PALETTE, "BMP")),
    "BMP, grey": ("grey", lambda: encode(GREY, "BMP")),
    "JPEG": ("colour", lambda: encode(COLOUR, "JPEG", quality=100, subsampling=0)),
    "JPEG, grey": ("grey", lambda: encode(GREY, "JPEG", quality=100)),
    "JPEG, CMYK": ("colour", lambda: encode(Image.fromarray(COLOUR).convert("CMYK"), "JPEG", quality=100, subsampling=0)),
    "JPEG, ICC of P3": (
        "colour",
        lambda: encode(profiled(), "JPEG", quality=100, subsampling=0, icc_profile=P3_PROFILE),
    ),
    "TIFF, grey": ("grey", lambda: encode(GREY, "TIFF")),
    "TIFF, grey of 16 bits": ("grey", lambda: forge_tiff(deepen(GREY / 255)[..., None], 1)),
    "TIFF of 16 bits": ("colour", lambda: forge_tiff(deepen(COLOUR / 255), 2)),
    "TIFF of floats": ("colour", lambda: forge_tiff((COLOUR / 255).astype(np.float32), 2)),
    "TIFF in planes": ("colour", lambda: forge_tiff(COLOUR, 2, planes=True)),
    "TIFF, CMYK": ("colour", lambda: encode(Image.fromarray(COLOUR).convert("CMYK"), "TIFF")),
    "TIFF, alpha": ("cut out", lambda: encode(rgba(COLOUR), "TIFF")),
    "TIFF, palette": ("palette", lambda: map_colors(eight_bits=False)),
    "TIFF, palette of 8 bits": ("palette", lambda: map_colors(eight_bits=True)),
    "TIFF of P3 by its tags": ("colour", lambda: encode(deepen(to_srgb(wide(DISPLAY_P3)), 8), "TIFF", tiffinfo=P3_TAGS)),
    "TIFF of P3 by its tags, 16 bits": (
        "colour",
        lambda: forge_tiff(deepen(to_srgb(wide(DISPLAY_P3))), 2, extra={tag: tuple(P3_TAGS[tag]) for tag in (318, 319)}),
    ),
    "TIFF with the tags of P3 and a profile": (
        "colour",
        lambda: encode(profiled(), "TIFF", icc_profile=P3_PROFILE, tiffinfo={**P3_TAGS, 319: (0.7, 0.3, 0.2, 0.7, 0.1, 0.1)}),
    ),
    "TIFF with tags that make no sense": ("colour", lambda: encode(COLOUR, "TIFF", tiffinfo={**P3_TAGS, 319: (0.1,) * 6})),
    "TIFF, grey, with tags of colours": ("grey", lambda: encode(GREY, "TIFF", tiffinfo=P3_TAGS)),
    "AVIF": ("colour", lambda: write_avif(COLOUR, 1, 13)),
    "AVIF, video's curve": ("colour", lambda: write_avif(COLOUR, 1, 1)),
    "AVIF, grey": ("grey", lambda: encode(GREY, "AVIF", quality=100)),
    "AVIF, alpha": ("cut out", lambda: write_avif(rgba(COLOUR), 1, 13)),
    "AVIF of P3": ("colour", lambda: write_avif(deepen(to_srgb(wide(DISPLAY_P3)), 8), 12, 13)),
    "AVIF of BT.2020": ("colour", lambda: write_avif(deepen(to_srgb(wide(BT2020)), 8), 9, 14)),
    "AVIF of BT.2020, a hole in it": ("cut out", lambda: write_avif(rgba(deepen(to_srgb(wide(BT2020)), 8)), 9, 14)),
    "AVIF, ICC before nclx": (
        "colour",
        lambda: encode(profiled(), "AVIF", quality=100, subsampling="4:4:4", icc_profile=P3_PROFILE),
    ),
}
if DEEP_AVIF:
    ENCODERS |= {
        "AVIF, PQ of 10 bits": ("colour", lambda: write_avif(deepen(to_pq(wide(BT2020)), 10), *PQ, 10)),
        "AVIF, PQ of 12 bits": ("colour", lambda: write_avif(deepen(to_pq(wide(BT2020)), 12), *PQ, 12)),
        "AVIF, HLG of 10 bits": ("colour", lambda: write_avif(deepen(to_hlg(wide(BT2020)), 10), *HLG, 10)),
        "AVIF of 10 bits": ("colour", lambda: write_avif(deepen(COLOUR / 255, 10), 1, 13, 10)),
        "AVIF of BT.2020, 10 bits": ("colour", lambda: write_avif(deepen(to_srgb(wide(BT2020)), 10), 9, 15, 10)),
    }


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float | None]:
    """The scores of all files, and of what each is to show as PNG of sRGB, by the default model through ONNX."""
    folder = tmp_path_factory.mktemp("containers")
    files = {name: write() for name, (_, write) in ENCODERS.items()} | {
        name: encode(rgb, "PNG") for name, rgb in WANTED.items()
    }
    for i, data in enumerate(files.values()):
        (folder / str(i)).write_bytes(data)
    records = open_pipeline(ScoreOptions()).score(str(folder / str(i)) for i in range(len(files)))
    return {name: record.score for name, record in zip(files, records, strict=True)}


@pytest.mark.parametrize("name", ENCODERS)
def test_equal_pictures_have_equal_scores(scores: dict[str, float | None], name: str) -> None:
    coarse = name == "AVIF of BT.2020, a hole in it"  # 8 bits of its gamut are up to 5 steps of sRGB off: not quite equal
    assert scores[name] == pytest.approx(scores[ENCODERS[name][0]], abs=2 * HALF_A_POINT if coarse else HALF_A_POINT)
