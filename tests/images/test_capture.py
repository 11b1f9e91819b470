"""What `capture` promises: time, camera and exposure from the EXIF of any container, and nothing from a broken one."""

import io
import struct
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pictures import PICTURE
from PIL import Image, TiffImagePlugin
from PIL.ExifTags import IFD, Base

from iqa_cli.images.capture import parse_moment, read_capture
from iqa_cli.images.containers.png_metadata import LARGEST, find_exif, list_packets
from iqa_cli.records import Capture

NOON = datetime(2025, 6, 12, 12, 0, 5, tzinfo=UTC).timestamp()


def make_exif(endian: str = ">", **tags: object) -> bytes:
    exif = Image.Exif()
    exif.endian = endian
    exif[Base.Make], exif[Base.Model] = "Canon\0 ", "EOS R5"
    exif.get_ifd(IFD.Exif).update({Base[name]: value for name, value in tags.items()})
    return exif.tobytes()


FULL = {
    "DateTimeOriginal": "2025:06:12 14:00:05",
    "SubsecTimeOriginal": "25",
    "OffsetTimeOriginal": "+02:00",
    "BodySerialNumber": "0815",
    "ExposureTime": TiffImagePlugin.IFDRational(1, 250),
    "FNumber": TiffImagePlugin.IFDRational(28, 10),
    "ISOSpeedRatings": 400,
    "ExposureBiasValue": TiffImagePlugin.IFDRational(-2, 3),
    "ExposureMode": 2,
}


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.avif", "jpeg called.png"])
def test_it_is_read_from_every_container(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(PICTURE).save(path, "JPEG" if " " in name else None, exif=make_exif(**FULL))
    capture = read_capture(str(path))
    assert capture.moment == pytest.approx(NOON + 0.25, abs=1e-6)
    assert capture.camera == "Canon EOS R5 0815"
    assert (capture.seconds, capture.aperture, capture.iso) == pytest.approx((1 / 250, 2.8, 400))
    assert capture.bias == pytest.approx(-2 / 3)
    assert capture.bracketing


def make_cr3(exif: bytes) -> bytes:
    """A CR3 as far as its boxes of metadata go: of the two TIFFs each has one directory."""
    whole = Image.Exif()
    whole.load(exif)
    exposure = Image.Exif()
    exposure.update(whole.get_ifd(IFD.Exif))
    inner = make_box(b"CMT1", exif[6:]) + make_box(b"CMT2", exposure.tobytes()[6:])
    own = make_box(b"uuid", bytes.fromhex("85c0b687820f11e08111f4ce462b6a48") + make_box(b"CNCV", b"CanonCR3") + inner)
    return make_box(b"ftyp", b"crx \0\0\0\1crx isom") + make_box(b"moov", own + make_box(b"mvhd", bytes(100)))


def make_box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def make_raf(exif: bytes) -> bytes:
    jpeg = io.BytesIO()
    Image.fromarray(PICTURE).save(jpeg, "JPEG", exif=exif)
    return b"FUJIFILMCCD-RAW 0201FF389501X-T5".ljust(84, b"\0") + struct.pack(">II", 160, 1 << 20) + bytes(68) + jpeg.getvalue()


def make_mrw(exif: bytes) -> bytes:
    blocks = b"\0PRD" + struct.pack(">I", 24) + bytes(24) + b"\0TTW" + struct.pack(">I", len(exif) - 6) + exif[6:]
    return b"\0MRM" + struct.pack(">I", len(blocks)) + blocks


RAWS = {
    "CR3": make_cr3,
    "raf": make_raf,
    "mrw": make_mrw,
    "nef": lambda exif: exif[6:],
}
OTHER_MAGICS = {"ORF": b"IIRO", "orf": b"IIRS", "Orf": b"MMOR", "rw2": b"IIU\0"}


@pytest.mark.parametrize("suffix", [*RAWS, *OTHER_MAGICS])
def test_it_is_read_from_raw_files(tmp_path: Path, suffix: str) -> None:
    """However their makers have them begin; what lies behind is not read, and cut short anywhere they are no failure."""
    path = tmp_path / f"a.{suffix}"
    if magic := OTHER_MAGICS.get(suffix):
        data = magic + make_exif(">" if magic.startswith(b"MM") else "<", **FULL)[10:]
    else:
        data = RAWS[suffix](make_exif(**FULL))
    path.write_bytes(data)
    capture = read_capture(str(path))
    assert capture.moment == pytest.approx(NOON + 0.25, abs=1e-6)
    assert capture.camera == "Canon EOS R5 0815"
    assert (capture.seconds, capture.aperture, capture.iso, capture.bias) == pytest.approx((1 / 250, 2.8, 400, -2 / 3))
    assert capture.bracketing
    for cut in range(0, len(data), 7):
        path.write_bytes(data[:cut])
        assert read_capture(str(path)).moment in (None, pytest.approx(NOON, abs=0.3), pytest.approx(NOON + 7200, abs=0.3))


def test_a_raw_file_without_exif_has_no_time(tmp_path: Path) -> None:
    (tmp_path / "a.crw").write_bytes(b"II\x1a\0\0\0HEAPCCDR" + bytes(99))
    loop = b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x8769, 4, 1, 8) + struct.pack("<HHHI", 0x9003, 2, 20, 1 << 31)
    (tmp_path / "b.nef").write_bytes(loop)
    assert read_capture(str(tmp_path / "a.crw")) == read_capture(str(tmp_path / "b.nef")) == Capture()


def test_what_is_not_said_is_not_known(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "plain.jpg")
    (tmp_path / "text.jpg").write_text("no picture")
    assert read_capture(str(tmp_path / "plain.jpg")) == read_capture(str(tmp_path / "text.jpg")) == Capture()
    assert read_capture(str(tmp_path / "missing.jpg")) == Capture()


def test_broken_exif_is_no_failure(tmp_path: Path) -> None:
    path = tmp_path / "broken.jpg"
    Image.fromarray(PICTURE).save(path, exif=b"Exif\0\0II*\0" + struct.pack("<IHHHII", 8, 900, 0x8769, 4, 1, 1 << 31))
    assert read_capture(str(path)) == Capture()


@pytest.mark.parametrize("day", ["", None, 7, "0000:00:00 00:00:00", "2025:13:01 00:00:00", "    :  :     :  :  ", "yesterday"])
def test_what_is_no_time_is_none(day: object) -> None:
    assert parse_moment(day) is None


@pytest.mark.parametrize(
    ("fraction", "zone", "moment"),
    [
        (None, None, NOON),
        ("5", None, NOON + 0.5),
        ("050", "Z", NOON + 0.05),
        ("123456789012", "+00:00", NOON + 0.123456789),
        ("x", "-03:30", NOON + 3.5 * 3600),
        (b"25\0", b"+02:00", NOON + 0.25 - 7200),
    ],
)
def test_parts_of_a_second_and_zones_count(fraction: object, zone: object, moment: float) -> None:
    assert parse_moment("2025-06-12T12:00:05", fraction, zone) == pytest.approx(moment, abs=1e-6)


def test_numbers_that_are_none_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "odd.jpg"
    nothing = TiffImagePlugin.IFDRational(0, 0)
    Image.fromarray(PICTURE).save(path, exif=make_exif(ExposureTime=nothing, FNumber=TiffImagePlugin.IFDRational(0, 1)))
    capture = read_capture(str(path))
    assert (capture.seconds, capture.aperture, capture.iso, capture.bracketing) == (None, None, None, False)


def test_exif_behind_the_pixels_of_a_png_counts(tmp_path: Path) -> None:
    """Also that of ImageMagick, which is a text; a broken one takes nothing from the others."""
    plain, exif = io.BytesIO(), make_exif(**FULL)
    Image.fromarray(PICTURE).save(plain, "PNG")
    text = b"\nexif\n%8d\n%s\n" % (len(exif), exif.hex().encode())
    for chunk in (
        (b"eXIf", exif[6:]),
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text)),
        (b"tEXt", b"Raw profile type APP1\0" + text),
    ):
        broken = make_chunk(b"zTXt", b"Raw profile type exif\0\0broken") + make_chunk(b"iTXt", b"\0")
        (tmp_path / "a.png").write_bytes(plain.getvalue()[:-12] + broken + make_chunk(*chunk) + plain.getvalue()[-12:])
        assert read_capture(str(tmp_path / "a.png")).moment == pytest.approx(NOON + 0.25, abs=1e-6)


def test_what_a_png_packs_is_not_unpacked_without_end(tmp_path: Path) -> None:
    bomb = make_chunk(b"zTXt", b"Raw profile type xmp\0\0" + zlib.compress(bytes(15 << 20), 9))
    path = tmp_path / "a.png"
    Image.fromarray(PICTURE).save(path)
    path.write_bytes(path.read_bytes() + 200 * bomb)
    with path.open("rb") as file:
        began = time.process_time()
        assert sum(map(len, list_packets(file))) < LARGEST
        assert not find_exif(file)
        assert time.process_time() - began < 5  # all of it would be 3 GB


def make_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content), name) + content + struct.pack(">I", zlib.crc32(name + content))
