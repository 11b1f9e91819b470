"""What `formats` promises: the first bytes say what a file is, whatever it is called, and what is not decoded has a name."""

from pathlib import Path

import numpy as np
import pytest
from pictures import HEIC_HEAD, KINDS, LOSSLESS, PICTURE, assert_close, decode, encode_any, refuse

from iqa_cli.images.decode import OPENERS
from iqa_cli.images.formats import DECODED, HEAD, HEIC, JXL, RAW, identify_kind, kind_of_suffix
from iqa_cli.images.openers.libraries import LIBRARIES, MISSING
from iqa_cli.records import Status


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["right", "photo.txt", "photo", "photo.png", "photo.jpg"])
def test_the_first_bytes_and_not_the_name_decide(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / (f"photo.{kind.lower()}" if name == "right" else name)
    decoded = decode(path, encode_any(kind))
    assert (decoded.width, decoded.height) == (80, 48)
    assert decoded.rgb.dtype == np.uint8
    assert decoded.rgb.flags.c_contiguous
    if kind in LOSSLESS:
        assert (decoded.rgb == PICTURE).all()
    else:
        assert_close(decoded.rgb, PICTURE, mean=12 if kind == "GIF" else 2.5)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("x", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG image"),
        ("x.SVG", b"<?xml version='1.0'?><svg/>", "SVG image"),
        ("x.jpg", b"%PDF-1.7\n", "PDF document"),
        ("x.jpg", b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", "video"),
        ("x", b"RIFF\x10\0\0\0AVI LIST", "video"),
    ],
)
def test_what_is_not_decoded_is_named(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    refused = refuse(tmp_path / name, data)
    assert (refused.status, refused.detail) == (Status.UNSUPPORTED, f"{words}: not decoded here")


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("x.jpg", HEIC_HEAD, HEIC),
        ("x", b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf", HEIC),
        ("x.heic", b"whatever", ""),
        ("x.nef", encode_any("TIFF"), RAW),
        ("x.nef", b"whatever", RAW),
        ("x.jpg", b"II*\0\x10\0\0\0CR\x02\0" + bytes(40), RAW),
        ("x", b"FUJIFILMCCD-RAW " + bytes(40), RAW),
        ("x", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", RAW),
        ("x.jpg", b"8BPS\0\1" + bytes(40), "PSD"),
        ("x", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), JXL),
        ("x", b"\xff\x0a" + bytes(40), JXL),
        ("x", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), "JPEG 2000"),
        ("x.txt", b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0" + bytes(40), "ICO"),
        ("x.ttf", b"\0\1\0\0\0\x0c\0\x80" + bytes(40), ""),
    ],
)
def test_what_a_file_is(name: str, data: bytes, kind: str) -> None:
    assert identify_kind(data[:HEAD], Path(name).suffix) == kind


@pytest.mark.parametrize(
    "data", [b"x", b"<html>not found</html>", bytes(1000), b"BMI is weight / height^2", b"RIFF\0\0\0\0WAVEfmt "]
)
def test_what_is_no_image(tmp_path: Path, data: bytes) -> None:
    refused = refuse(tmp_path / "x.jpg", data)
    assert (refused.status, refused.detail) == (Status.UNSUPPORTED, "not an image")


def test_every_format_that_is_decoded_has_an_opener() -> None:
    assert set(DECODED) == {*OPENERS, RAW}
    assert set(MISSING.values()) == LIBRARIES.keys() < {*DECODED}


@pytest.mark.parametrize("kind", KINDS)
def test_formats_go_by_their_first_bytes_alone(kind: str) -> None:
    head = encode_any(kind)[:HEAD]
    named = {"WEBP": "WebP"}.get(kind, kind)
    for suffix in ("", ".jpg", ".png", ".heic", ".txt"):
        assert identify_kind(head, suffix) == named


def test_a_suffix_promises_but_does_not_make_an_image() -> None:
    for suffix in (
        ".jpg",
        ".jpeg",
        ".png",
        ".webp",
        ".avif",
        ".tif",
        ".tiff",
        ".bmp",
        ".gif",
        ".heic",
        ".jxl",
        ".jp2",
        ".psd",
        ".ico",
    ):
        assert kind_of_suffix(suffix) == "image"
        assert identify_kind(b"some text", suffix) == ""
    for suffix in ("", ".txt", ".jpg2", "jpg", ".JPG"):  # suffixes come in lower case, with their dot
        assert kind_of_suffix(suffix) == ""
