"""Equal pictures have equal scores, whatever they are kept in: within half a point."""

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pictures import ADOBE, ADOBE_GAMMA, ADOBE_PRIMARIES, SRGB_PRIMARIES, assert_close, chunk, decode, encode, forge_png
from PIL import Image

from iqa_cli import score_images
from iqa_cli.records import ScoreRecord

PHOTO = Path(__file__).parents[1] / "photos" / "astronaut.jpg"
HALF_A_POINT = 0.5
P3 = np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]])  # light of sRGB -> of Display P3
BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
WIDE_P3 = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)  # as cHRM says it

RGB = np.asarray(Image.open(PHOTO).convert("RGB").resize((480, 320)))
GREY = np.asarray(Image.fromarray(RGB).convert("L"))
FEW = np.asarray(Image.fromarray(RGB).quantize(64).convert("RGB"))  # colours, as palettes hold
LIGHT = np.where(RGB <= 10, RGB / 255 / 12.92, ((RGB / 255 + 0.055) / 1.055) ** 2.4)  # [h, w, 3], 1 is white
ALPHA = np.full(GREY.shape, 255, np.uint8)


def png16(samples: np.ndarray, *more: bytes) -> bytes:
    """Samples in 0..1 as a PNG of 16 bits: [h, w, 3] colours or [h, w] grey."""
    deep = np.clip(np.round(samples * 65535), 0, 65535).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    return forge_png(deep.shape[1], deep.shape[0], 16, 2 if deep.ndim == 3 else 0, rows, *more)


def code_pq(light: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084, white at 203 cd/m2."""
    p = (np.clip(light, 0, None) * 203 / 10000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * p) / (1 + 2392 / 128 * p)) ** (2523 / 32)


def tell_cicp(primaries: int, transfer: int) -> bytes:
    return chunk(b"cICP", bytes([primaries, transfer, 0, 1]))


def convert(kind: str, mode: str, picture: np.ndarray = RGB, **options: object) -> bytes:
    return encode(Image.fromarray(picture).convert(mode), kind, **options)


def adobe(kind: str, **options: object) -> bytes:
    """In the colours of Adobe RGB, with a profile that says so."""
    light = LIGHT @ (np.linalg.inv(ADOBE_PRIMARIES) @ SRGB_PRIMARIES).T
    samples = np.round(255 * np.clip(light, 0, 1) ** (1 / ADOBE_GAMMA)).astype(np.uint8)
    return encode(samples, kind, icc_profile=ADOBE, **options)


def avif_p3() -> bytes:
    """In Display P3, which its nclx box alone tells."""
    light = np.clip(LIGHT @ P3.T, 0, 1)
    coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    data = bytearray(encode(np.round(255 * coded).astype(np.uint8), "AVIF", quality=98, subsampling="4:4:4"))
    at = data.index(b"nclx") + 4
    data[at : at + 2] = struct.pack(">H", 12)
    return bytes(data)


def tiff16(picture: np.ndarray, **options: object) -> bytes:
    return encode(Image.fromarray(picture.astype(np.uint16) * 257), "TIFF", **options)


CONTAINERS: dict[str, tuple[np.ndarray, Callable[[], bytes]]] = {
    "png": (RGB, lambda: encode(RGB, "PNG")),
    "png-16": (RGB, lambda: png16(RGB / 255)),
    "png-alpha": (RGB, lambda: encode(np.dstack([RGB, ALPHA]), "PNG")),
    "png-srgb": (RGB, lambda: png16(RGB / 255, chunk(b"sRGB", b"\0"), chunk(b"gAMA", struct.pack(">I", 100000)))),
    "png-gama-of-srgb": (RGB, lambda: png16(RGB / 255, chunk(b"gAMA", struct.pack(">I", 45455)))),
    "png-linear": (RGB, lambda: png16(LIGHT, chunk(b"gAMA", struct.pack(">I", 100000)))),
    "png-gama-1.8": (RGB, lambda: png16(LIGHT ** (1 / 1.8), chunk(b"gAMA", struct.pack(">I", 55556)))),
    "png-chrm": (
        RGB,
        lambda: png16(
            np.clip(LIGHT @ P3.T, 0, 1) ** (1 / 1.8), chunk(b"gAMA", struct.pack(">I", 55556)), chunk(b"cHRM", WIDE_P3)
        ),
    ),
    "png-cicp-pq": (RGB, lambda: png16(code_pq(LIGHT @ BT2020.T), tell_cicp(9, 16))),
    "png-cicp-linear": (RGB, lambda: png16(LIGHT, tell_cicp(1, 8))),
    "png-icc": (RGB, lambda: adobe("PNG")),
    "png-grey": (GREY, lambda: encode(GREY, "PNG")),
    "png-grey-16": (GREY, lambda: png16(GREY / 255)),
    "png-palette": (FEW, lambda: encode(Image.fromarray(RGB).quantize(64), "PNG")),
    "gif": (FEW, lambda: encode(Image.fromarray(RGB).quantize(64), "GIF")),
    "bmp": (RGB, lambda: encode(RGB, "BMP")),
    "bmp-grey": (GREY, lambda: encode(GREY, "BMP")),
    "webp": (RGB, lambda: encode(RGB, "WEBP", lossless=True)),
    "webp-alpha": (RGB, lambda: encode(np.dstack([RGB, ALPHA]), "WEBP", lossless=True)),
    "webp-icc": (RGB, lambda: adobe("WEBP", lossless=True)),
    "tiff": (RGB, lambda: encode(RGB, "TIFF")),
    "tiff-lzw": (RGB, lambda: encode(RGB, "TIFF", compression="tiff_lzw")),
    "tiff-icc": (RGB, lambda: adobe("TIFF")),
    "tiff-grey": (GREY, lambda: encode(GREY, "TIFF")),
    "tiff-grey-16": (GREY, lambda: tiff16(GREY)),
    "tiff-palette": (FEW, lambda: encode(Image.fromarray(RGB).quantize(64), "TIFF")),
    "jpeg": (RGB, lambda: encode(RGB, "JPEG", quality=100, subsampling=0)),
    "jpeg-icc": (RGB, lambda: adobe("JPEG", quality=100, subsampling=0)),
    "jpeg-grey": (GREY, lambda: encode(GREY, "JPEG", quality=100)),
    "jpeg-cmyk": (RGB, lambda: convert("JPEG", "CMYK", quality=100, subsampling=0)),
    "avif": (RGB, lambda: encode(RGB, "AVIF", quality=98, subsampling="4:4:4")),
    "avif-nclx-p3": (RGB, avif_p3),
}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ScoreRecord]:
    """What becomes of each container, and under "of NAME" of the same picture as a plain PNG."""
    folder = tmp_path_factory.mktemp("containers")
    for name, (picture, write) in CONTAINERS.items():
        (folder / name).write_bytes(write())
        (folder / f"of {name}").write_bytes(encode(picture, "PNG"))
    return {Path(record.path).name: record for record in score_images(sorted(map(str, folder.iterdir())))}


@pytest.mark.parametrize("name", CONTAINERS)
def test_equal_pictures_have_equal_scores_in_any_container(records: dict[str, ScoreRecord], name: str) -> None:
    kept, plain = records[name], records[f"of {name}"]
    assert kept.status == plain.status == "ok", kept.detail
    assert kept.score == pytest.approx(plain.score, abs=HALF_A_POINT)


def test_a_transparent_shade_of_sixteen_bits_is_laid_on_white(tmp_path: Path) -> None:
    shade = int(GREY[0, 0]) * 257
    grey = decode(tmp_path / "grey", png16(GREY / 255, chunk(b"tRNS", struct.pack(">H", shade)))).rgb
    assert_close(grey, np.dstack([np.where(GREY[0, 0] == GREY, 255, GREY)] * 3), 0, 0)
    near = decode(tmp_path / "near", png16(GREY / 255, chunk(b"tRNS", struct.pack(">H", shade + 1)))).rgb
    assert_close(near, np.dstack([GREY] * 3), 0, 0)


def test_a_color_map_of_eight_bits_is_not_black(tmp_path: Path) -> None:
    data = encode(Image.fromarray(RGB).quantize(64), "TIFF")
    with Image.open(io.BytesIO(data)) as picture:
        map_of_sixteen = picture.tag_v2[320]
    narrow = tuple(value // 256 for value in map_of_sixteen)
    kept = data.replace(struct.pack(f"<{len(narrow)}H", *map_of_sixteen), struct.pack(f"<{len(narrow)}H", *narrow))
    assert kept != data
    assert_close(decode(tmp_path / "narrow", kept).rgb, FEW, 0, 0)


def test_brighter_than_white_is_rolled_off_and_keeps_its_order(tmp_path: Path) -> None:
    ramp = np.broadcast_to(np.linspace(0, 5, 100)[None, :, None], (20, 100, 3))  # up to five times white
    shown = decode(tmp_path / "hdr", png16(code_pq(ramp), tell_cicp(1, 16))).rgb[0, :, 1].astype(int)
    assert (np.diff(shown) >= 0).all()
    assert shown[-1] > shown[40] > shown[20] > 150


@pytest.mark.parametrize("name", ["cicp-pq.png", "palette-8bit-colormap.tif"])
def test_small_files_that_were_read_wrong(name: str) -> None:
    cases = Path(__file__).parents[3] / "shared" / "cases"
    if not cases.is_dir():
        pytest.skip("the files that went wrong are not here")
    wanted = decode(cases / "reference.png").rgb
    assert_close(decode(cases / name).rgb, wanted, 1.0 if name.startswith("cicp") else 12.0)
