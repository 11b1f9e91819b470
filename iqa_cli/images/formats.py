"""Kinds of image files: identified by their signatures, or expected from their suffixes."""

from __future__ import annotations

import re

HEIC, JXL, RAW = "HEIC", "JPEG XL", "RAW"  # the [formats] extra has what decodes these
DECODED = ("JPEG", "PNG", "WebP", "AVIF", "TIFF", "BMP", "GIF", "JPEG 2000", "PSD", "ICO", HEIC, JXL, RAW)
"""Decoded by `decode`. JPEG includes MPO, the telephones' several pictures in one, which begins with a whole JPEG."""

HEAD = 32  # bytes that tell what a file is
SIGNATURES = (  # where they stand, what they are, what they mean
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (8, b"WEBP", "WebP"),
    *((0, magic, "TIFF") for magic in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    *((0, magic, RAW) for magic in (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")),
    (0, b"8BPS", "PSD"),
    (0, b"<svg", "SVG image"),
    (0, b"\xff\x0a", JXL),
    (4, b"JXL \r\n\x87\n", JXL),
    (4, b"jP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"v/1\x01", "OpenEXR image"),
    (0, b"%PDF", "PDF document"),
    (0, b"\x1aE\xdf\xa3", "video"),
    (8, b"AVI ", "video"),
)
SUFFIXES = (  # in lower case; "image": one that is decoded here
    (re.compile(r"\.(jpe?g|jpe|jfif|mpo|a?png|webp|avifs?|tiff?|bmp|dib|gif|jp2|j2k|j2c|jpc|jpf|jpx|ps[db]|ico)"), "image"),
    (re.compile(r"\.(hei[cf]s?|hif|jxl)"), "image"),
    (re.compile(r"\.(3fr|arw|cr[23w]|dcr|dng|erf|fff|gpr|iiq|kdc|mef|mos|mrw|nef|nrw|orf|pef|raf|rw[2l]|sr[2fw]|x3f)"), RAW),
    (re.compile(r"\.svgz?"), "SVG image"),
)
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2"}
ICON_DEPTHS = {0, 1, 4, 8, 16, 24, 32}  # bits a pixel
BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}  # sizes in bytes; "BM" alone may begin any text


def identify_kind(head: bytes, suffix: str) -> str:
    """The kind of a file: one of DECODED; or words for one that is not decoded here; or "", not an image.

    The first bytes decide. The suffix does where they leave it open: most RAW formats look like TIFF.
    """
    kind = next((kind for at, magic, kind in SIGNATURES if head.startswith(magic, at)), "")
    expected = kind_of_suffix(suffix)
    if head[4:8] == b"ftyp":
        kind = kind_of_brands({head[8:12], *(head[at : at + 4] for at in range(16, HEAD, 4))})
    elif head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BMP_HEADERS:
        kind = "BMP"
    elif is_icon(head):
        kind = "ICO"
    elif kind == "TIFF" and (expected == RAW or head[8:10] == b"CR"):
        kind = RAW
    elif kind == "WebP" and not head.startswith(b"RIFF"):
        kind = ""
    return kind or (expected if expected != "image" else "")


def is_icon(head: bytes) -> bool:
    """Whether a file begins as an ICO does: few bytes, and so all that its first entry says of itself must make sense."""
    count, planes, depth = (int.from_bytes(head[at : at + 2], "little") for at in (4, 10, 12))
    return head[:4] == b"\0\0\1\0" and 0 < count < 256 and head[9:10] == b"\0" and planes < 2 and depth in ICON_DEPTHS


def kind_of_suffix(suffix: str) -> str:
    """The kind expected from a suffix in lower case: "image", words for one that is not decoded here, or "" for none."""
    return next((kind for pattern, kind in SUFFIXES if pattern.fullmatch(suffix)), "")


def kind_of_brands(brands: set[bytes]) -> str:
    """The kind of an ISO media file, from its brands: AVIF, HEIC, Canon's RAW and video share the container."""
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    if brands & HEIC_BRANDS:
        return HEIC
    return RAW if b"crx " in brands else "video"
