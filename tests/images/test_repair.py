"""Whole files are never called damaged: what stands beside the pixels is left out, and kinds that are not decoded are named."""

import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pictures import ADOBE, PICTURE, assert_close, chunk, decode, encode, forge_png, make_exif, refuse
from PIL import Image

from iqa_cli.images.crops import CropSpec
from iqa_cli.records import Status, Undecodable

SHARED = Path(__file__).parents[3] / "shared" / "cases"
ROWS = b"".join(b"\0" + row.tobytes() for row in PICTURE)
LARGE = np.asarray(Image.fromarray(PICTURE).resize((400, 300)))
JPEG = encode(LARGE, "JPEG", quality=90)
WRONG = bytes(4)  # a checksum


def spoil(name: bytes, data: bytes) -> bytes:
    """A chunk with a wrong checksum."""
    return chunk(name, data)[:-4] + WRONG


def pack(data: bytes) -> bytes:
    return b"name\0\0" + zlib.compress(data)


ASIDE = {
    "a profile that is none": chunk(b"iCCP", pack(b"nonsense" * 100)),
    "a profile that is not packed": chunk(b"iCCP", b"name\0\0nonsense"),
    "a profile cut short": chunk(b"iCCP", pack(ADOBE)[:-20]),
    "a profile with a wrong checksum": spoil(b"iCCP", pack(ADOBE)),
    "a text of 2 MB": chunk(b"zTXt", pack(b"x" * 2_000_000)),
    "texts of 80 MB": chunk(b"zTXt", pack(b"x" * 999_000)) * 80,
    "a text with a wrong checksum": spoil(b"tEXt", b"Title\0x"),
    "a text without an end of its name": chunk(b"tEXt", b"x" * 200),
    "a packed text that is not": chunk(b"zTXt", b"k\0\0nonsense"),
    "an international text that is none": chunk(b"iTXt", b"k\0\1\0\0\0nonsense"),
    "orientation with a wrong checksum": spoil(b"eXIf", make_exif(6).tobytes()[6:]),
    "orientation that is none": chunk(b"eXIf", b"nonsense"),
    "a time that is none": chunk(b"tIME", b"x"),
    "a time with a wrong checksum": spoil(b"tIME", bytes(7)),
    "a gamma of two bytes": chunk(b"gAMA", b"\0\1"),
    "primaries of two bytes": chunk(b"cHRM", b"\0\1"),
    "primaries without the last": chunk(b"cHRM", bytes(28)),
    "an empty sRGB": chunk(b"sRGB", b""),
    "an empty cICP": chunk(b"cICP", b""),
    "a transparent colour of one byte": chunk(b"tRNS", b"\0"),
    "a transparent colour of two bytes": chunk(b"tRNS", b"\0\1"),
    "a private chunk with a wrong checksum": spoil(b"prVt", b"x"),
}


@pytest.mark.parametrize("late", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("what", ASIDE)
def test_what_is_broken_beside_the_pixels_of_a_png_is_left_out(tmp_path: Path, what: str, late: bool) -> None:
    if late and any(word in what for word in ("profile", "orientation", "gamma", "primaries", "sRGB", "cICP", "transparent")):
        pytest.skip("what changes the look of pixels stands before them")
    data = forge_png(80, 48, 8, 2, ROWS, late=ASIDE[what]) if late else forge_png(80, 48, 8, 2, ROWS, ASIDE[what])
    assert_close(decode(tmp_path / "x", data).rgb, PICTURE, 0, 0)


def test_a_profile_of_more_than_a_megabyte_is_applied(tmp_path: Path) -> None:
    plain = forge_png(80, 48, 8, 2, ROWS, chunk(b"iCCP", pack(ADOBE)))
    size = 1_500_000
    padded = struct.pack(">I", size) + ADOBE[4:].ljust(size - 4, b"\0")
    large = forge_png(80, 48, 8, 2, ROWS, chunk(b"iCCP", pack(padded)))
    wanted = decode(tmp_path / "plain", plain).rgb
    assert np.abs(wanted.astype(int) - PICTURE).max() > 10
    assert_close(decode(tmp_path / "large", large).rgb, wanted, 0, 0)


def test_what_is_left_of_a_mended_png_is_as_upright_and_as_transparent(tmp_path: Path) -> None:
    aside = spoil(b"tEXt", b"Title\0x")
    turned = forge_png(80, 48, 8, 2, ROWS, aside, chunk(b"eXIf", make_exif(6).tobytes()[6:]))
    assert_close(decode(tmp_path / "turned", turned).rgb, np.rot90(PICTURE, -1), 0, 0)
    key = struct.pack(">3H", *PICTURE[5, 5])
    clear = decode(tmp_path / "clear", forge_png(80, 48, 8, 2, ROWS, aside, chunk(b"tRNS", key))).rgb
    assert clear[5, 5].tolist() == [255, 255, 255]


@pytest.mark.parametrize(("colour", "key"), [(0, b"\0"), (0, b""), (3, b""), (3, bytes(300)), (4, b"\0"), (6, b"\0")])
def test_a_transparent_colour_of_a_wrong_length_is_none(tmp_path: Path, colour: int, key: bytes) -> None:
    samples = {0: 1, 3: 1, 4: 2, 6: 4}[colour]
    rows = (b"\0" + b"\xff" * (8 * samples)) * 8
    palette = [chunk(b"PLTE", b"\x14\x28\x3c" * 256)] if colour == 3 else []
    plain = decode(tmp_path / "plain", forge_png(8, 8, 8, colour, rows, *palette)).rgb
    assert (decode(tmp_path / "x", forge_png(8, 8, 8, colour, rows, *palette, chunk(b"tRNS", key))).rgb == plain).all()


@pytest.mark.parametrize("cut", [1, 2])
@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"subsampling": 2}, {"restart_marker_rows": 1}],
    ids=["plain", "pro", "420", "restarts"],
)
@pytest.mark.parametrize("crops", [None, CropSpec(64)], ids=["whole", "crops"])
def test_a_jpeg_without_its_end_mark_is_the_same_picture(
    tmp_path: Path, options: dict[str, object], crops: CropSpec | None, cut: int
) -> None:
    data = encode(LARGE, "JPEG", quality=90, **options)
    wanted = decode(tmp_path / "whole", data, crops=crops)
    kept = decode(tmp_path / "cut", data[:-cut], crops=crops)
    rows = min(len(kept.rgb), len(wanted.rgb))
    assert_close(kept.rgb[:rows], wanted.rgb[:rows], 0, 0)
    assert kept.region.height == wanted.region.height


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_jpeg_cut_within_its_rows_says_how_many_are_there(tmp_path: Path, share: float) -> None:
    noise = np.random.default_rng(5).integers(0, 255, (400, 300, 3)).astype(np.uint8)
    data = encode(noise, "JPEG", quality=80)
    refused = refuse(tmp_path / "x", data[: round(share * len(data))])
    assert refused.status is Status.DAMAGED
    said = re.fullmatch(r"JPEG cut short: (\d+) % of the rows are there", refused.detail)
    assert said, refused.detail
    assert abs(int(said[1]) - 100 * share) < 6
    assert (refused.width, refused.height) == (300, 400)


CODINGS = {
    "plain": {},
    "420": {"subsampling": 2},
    "fine tables": {"optimize": True},
    "restarts": {"restart_marker_rows": 1},
    "short intervals": {"restart_marker_blocks": 7},
}
MODES = ["RGB", "L", "CMYK"]


def make_noise(mode: str = "RGB", height: int = 401, width: int = 301) -> Image.Image:
    noise = np.random.default_rng(5).integers(0, 255, (height, width, 3)).astype(np.uint8)
    return Image.fromarray(noise).convert(mode)


@pytest.mark.parametrize("options", CODINGS.values(), ids=CODINGS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("crops", [None, CropSpec(64), CropSpec(64, "square")], ids=["all", "whole", "square"])
def test_an_end_mark_hides_no_missing_rows(
    tmp_path: Path, options: dict[str, object], mode: str, crops: CropSpec | None
) -> None:
    data = encode(make_noise(mode), "JPEG", quality=80, **options)
    for share in (0.3, 0.6, 0.9):
        refused = refuse(tmp_path / "x", data[: round(share * len(data))] + b"\xff\xd9", crops=crops)
        said = re.fullmatch(r"JPEG cut short: (\d+) % of the rows are there", refused.detail)
        assert said, refused.detail
        assert abs(int(said[1]) - 100 * share) < 7
        assert (refused.status, refused.width, refused.height) == (Status.DAMAGED, 301, 401)
    middle = len(data) // 2
    lost = refuse(tmp_path / "x", data[:middle] + data[middle + len(data) // 10 :], crops=crops)
    assert lost.status is Status.DAMAGED


@pytest.mark.parametrize("options", [*CODINGS.values(), {"progressive": True}], ids=[*CODINGS, "progressive"])
@pytest.mark.parametrize("mode", MODES)
def test_a_jpeg_that_ends_in_grey_is_whole(tmp_path: Path, options: dict[str, object], mode: str) -> None:
    picture = make_noise(mode)
    picture.paste(Image.new("RGB", (301, 200), (128, 128, 128)).convert(mode), (0, 201))
    data = encode(picture, "JPEG", quality=80, **options)
    wanted = decode(tmp_path / "x", data).rgb
    for behind in (b"\xff\xd9", bytes(5000), b"a maker's note", data):
        assert (decode(tmp_path / "x", data + behind).rgb == wanted).all()


def test_an_end_mark_hides_no_missing_scans(tmp_path: Path) -> None:
    data = encode(make_noise(), "JPEG", quality=90, progressive=True)
    scans = [found.start() for found in re.finditer(b"\xff\xda", data)]
    assert len(scans) > 5
    for cut in (scan + 500 for scan in scans[:-1]):
        assert refuse(tmp_path / "x", data[:cut] + b"\xff\xd9").status is Status.DAMAGED, cut


def test_a_progressive_jpeg_without_its_last_scans_is_cut_short(tmp_path: Path) -> None:
    data = encode(LARGE, "JPEG", quality=90, progressive=True)
    last = data.rindex(b"\xff\xda")
    assert refuse(tmp_path / "x", data[:last]).status is Status.DAMAGED
    assert refuse(tmp_path / "y", data[: last + 40]).status is Status.DAMAGED


@pytest.mark.parametrize("share", [0.3, 0.7])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_rows_that_are_there_are_counted_in_other_files(tmp_path: Path, kind: str, share: float) -> None:
    noise = np.random.default_rng(5).integers(0, 255, (400, 300, 3)).astype(np.uint8)
    data = encode(noise, kind)
    refused = refuse(tmp_path / "x", data[: round(share * len(data))])
    said = re.fullmatch(rf"{kind} cut short(: (\d+) % of the rows are there)?", refused.detail)
    assert refused.status is Status.DAMAGED
    assert said, refused.detail
    assert kind == "TIFF" or abs(int(said[2]) - 100 * share) < 6


def make_cgbi() -> bytes:
    """A PNG as Apple's programs pack it: a chunk before all others, and pixels without the header of zlib."""
    plain = forge_png(80, 48, 8, 2, ROWS)
    packed = plain.replace(chunk(b"IDAT", zlib.compress(ROWS)), chunk(b"IDAT", zlib.compress(ROWS)[2:-4]), 1)
    return packed[:8] + chunk(b"CgBI", b"\x50\0\x20\x06") + packed[8:]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("12 bits", lambda: JPEG.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc1\x00\x11\x0c", 1)),
        ("lossless", lambda: JPEG.replace(b"\xff\xc0", b"\xff\xc3", 1)),
        ("CgBI", lambda: make_cgbi()),
        ("bit fields", lambda: (SHARED / "bitfields-rgbx.bmp").read_bytes()),
    ],
)
def test_kinds_that_are_not_decoded_are_named(tmp_path: Path, name: str, data: Callable[[], bytes]) -> None:
    try:
        made = data()
    except FileNotFoundError:
        pytest.skip("the files that went wrong are not here")
    refused = refuse(tmp_path / "x", made)
    assert refused.status is Status.UNSUPPORTED
    assert name in refused.detail


WANTED = {
    "bitfields-rgbx.bmp": "unsupported", "cicp-pq.png": "ok", "cmyk-alpha.tif": "unsupported", "grey16-transparent.png": "ok",
    "grey16-zstd.tif": "ok", "icc-over-1MB.png": "ok", "no-eoi.jpg": "ok", "palette-8bit-colormap.tif": "ok",
    "reference.png": "ok", "rgb8-webp.tif": "unsupported", "text-bad-crc.png": "ok", "twelve-bit.jpg": "unsupported",
}  # fmt: skip


@pytest.mark.parametrize("name", WANTED)
def test_files_that_went_wrong_have_their_right_outcome(name: str) -> None:
    if not SHARED.is_dir():
        pytest.skip("the files that went wrong are not here")
    try:
        status = decode(SHARED / name) and "ok"
    except Undecodable as refused:
        status = str(refused.status)
    assert status == WANTED[name]
    if name in ("icc-over-1MB.png", "text-bad-crc.png"):
        assert_close(decode(SHARED / name).rgb, decode(SHARED / "reference.png").rgb, 1, 2)


def find_magick() -> str | None:
    """ImageMagick's convert, by any of its names."""
    for name in ("magick", "convert-im6.q16", "convert"):
        if path := shutil.which(name):
            done = subprocess.run([path, "-version"], check=False, capture_output=True)
            if b"ImageMagick" in done.stdout:
                return path
    return None


MAGICK = find_magick()
TYPES = ("Bilevel", "Grayscale", "GrayscaleAlpha", "Palette", "TrueColor", "TrueColorAlpha")
PRINT = ("ColorSeparation", "ColorSeparationAlpha")
PACKED = ("Fax", "Group4", "JPEG", "LZMA", "LZW", "RLE", "Zip", "ZSTD", "WebP")
FORMS = {
    "tif": [
        *(["-type", kind, "-depth", depth] for kind in (*TYPES, *PRINT) for depth in ("1", "4", "8", "12", "16", "32")),
        *(["-compress", kind, "-depth", depth] for kind in PACKED for depth in ("8", "16")),
        *(["-compress", kind, "-type", "Grayscale", "-depth", "16"] for kind in ("LZMA", "LZW", "ZSTD", "Zip")),
        *(["-define", "quantum:format=floating-point", "-depth", depth] for depth in ("16", "24", "32", "64")),
        *(["-colorspace", space] for space in ("Lab", "YCbCr", "CMYK", "Gray")), ["-interlace", "plane"], ["-endian", "MSB"],
    ],
    "png": [["-type", kind, "-depth", depth] for kind in TYPES for depth in ("1", "2", "4", "8", "16")],
    "bmp": [
        *(["-type", kind] for kind in TYPES), ["-compress", "RLE"],
        *(["-define", f"bmp:subtype={kind}"] for kind in ("RGB555", "RGB565", "ARGB1555", "ARGB4444")),
    ],
    "jpg": [
        ["-define", "jpeg:arithmetic-coding=true"], ["-interlace", "JPEG"], ["-colorspace", "Gray"], ["-colorspace", "CMYK"],
        *(["-sampling-factor", each] for each in ("4:1:1", "4:4:0", "4:2:0", "2x2,1x1,1x2")),
    ],
    "gif": [["-interlace", "GIF"], ["-colors", "4"]],
    "webp": [[], ["-define", "webp:lossless=true"]],
}  # fmt: skip


@pytest.mark.skipif(MAGICK is None, reason="needs ImageMagick")
@pytest.mark.parametrize("suffix", FORMS)
def test_whatever_imagemagick_opens_without_a_warning_is_not_damaged(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "source.png")
    called = []
    for number, options in enumerate(FORMS[suffix]):
        path = tmp_path / f"{number}.{suffix}"
        subprocess.run([str(MAGICK), tmp_path / "source.png", *options, path], check=False, capture_output=True)
        if not path.exists():
            continue
        try:
            decode(path)
        except Undecodable as refused:
            read = subprocess.run([str(MAGICK), path, "null:"], check=False, capture_output=True)
            if refused.status is not Status.UNSUPPORTED and not read.returncode and not read.stderr:
                called.append((options, str(refused)))
    assert not called


@pytest.mark.skipif(shutil.which("jpegtran") is None, reason="needs jpegtran, as nothing else here codes arithmetically")
@pytest.mark.parametrize("options", [[], ["-progressive"]])
def test_an_arithmetic_jpeg_of_any_size_is_decoded(tmp_path: Path, options: list[str]) -> None:
    noise = np.random.default_rng(5).integers(0, 255, (400, 300, 3)).astype(np.uint8)
    plain = encode(noise, "JPEG", quality=95)
    done = subprocess.run(["jpegtran", "-arithmetic", *options], input=plain, check=True, capture_output=True)
    assert len(done.stdout) > 1 << 16
    wanted = decode(tmp_path / "plain", plain)
    assert_close(decode(tmp_path / "arithmetic", done.stdout).rgb, wanted.rgb, 0, 0)
    assert decode(tmp_path / "arithmetic", crops=CropSpec(64)).height == 400
