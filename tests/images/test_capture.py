"""What `capture` promises: time, camera and exposure from the EXIF of any container, and nothing from a broken one."""

import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pictures import PICTURE
from PIL import Image, TiffImagePlugin
from PIL.ExifTags import IFD, Base

from iqa_cli.images.capture import parse_moment, read_capture
from iqa_cli.records import Capture

NOON = datetime(2025, 6, 12, 12, 0, 5, tzinfo=UTC).timestamp()


def make_exif(**tags: object) -> bytes:
    exif = Image.Exif()
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
