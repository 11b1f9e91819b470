"""Repair files that a decoder refused, or name what is wrong: an unsupported variant, or how much of the file is missing.

People delete what a tool calls damaged. So a file counts as damaged only where pixels are missing or broken: what stands beside
the pixels is left out, and a whole file of a kind that is not decoded is named as that.
"""

from __future__ import annotations

import io
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import ImageFile, JpegImagePlugin

from iqa_cli.images.containers import png, tiff
from iqa_cli.images.containers.jpeg import END, SCAN
from iqa_cli.images.containers.jpeg_ends import MARKS, count_intervals, ends_in_grey, find_end, thins_out
from iqa_cli.records import Status, Undecodable

TRUNCATED = ("truncated", "eof", "end of file", "too short", "not enough data", "needs more", "incomplete", "unpack")
"""Words in the messages of decoders for truncated files."""
FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # markers of JPEG frames
PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
UNSUPPORTED_FRAMES = {
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical JPEG"),
    **dict.fromkeys((0xC3, 0xCB), "lossless JPEG"),
    0xF7: "JPEG-LS",
}
"""Frames that are not decoded here."""
COEFFICIENTS = 64  # of a block
NOISE = b"\x5a\xa5\x33\xcc" * 4096  # bits that any decoder takes for pixels


class Frame(NamedTuple):
    """What the header of a JPEG says: the marker of its frame, bits a sample, and whether all its scans are there."""

    marker: int
    bits: int
    complete: bool


def repair_file(file: BinaryIO, kind: str, failure: BaseException) -> png.Repaired:
    """The file without what its decoder refused. Raises Undecodable with the reason where that cannot be left out."""
    file.seek(0)
    if kind == "JPEG":
        return png.Repaired(repair_jpeg(file.read()), None)
    if kind == "PNG":
        return repair_png(file, failure)
    if kind == "TIFF":
        refuse_tiff(file, failure)
    if kind == "BMP" and (reason := name_bmp_variant(file.read(64))):
        raise Undecodable(Status.UNSUPPORTED, f"BMP {reason}: not decoded here")
    raise Undecodable(Status.DAMAGED, describe_failure(kind, failure))


def describe_failure(kind: str, failure: BaseException, share: float | None = None) -> str:
    """What is wrong with a file, in words, from its decoder's exception. share: of the rows that are there, if known."""
    message = str(failure).lower()
    if share is not None and share < 1:
        return f"{kind} cut short: {say_share(share)}"
    if isinstance(failure, EOFError | IndexError) or any(word in message for word in TRUNCATED):
        return f"{kind} cut short"
    if isinstance(failure, SyntaxError | KeyError | TypeError):
        return f"{kind} whose header makes no sense"
    return f"{kind} whose pixels cannot be decoded: they are broken"


def say_share(share: float) -> str:
    """How many rows of a file are there that lacks some, be it a few."""
    return f"{min(99, round(100 * share))} % of the rows are there"


def refuse_tiff(file: BinaryIO, failure: BaseException) -> None:
    """Raises Undecodable for a TIFF whose end is missing, or which is of a kind that is not decoded here."""
    try:
        tags = tiff.read_tags(file)
        share, reason = tiff.count_rows(file, tags), tiff.name_unsupported(tags)
    except Exception as error:  # as in decode: broken bytes may raise anything
        raise Undecodable(Status.DAMAGED, describe_failure("TIFF", error)) from error
    if share < 1:
        rows = f": {say_share(share)}" if share else ""
        raise Undecodable(Status.DAMAGED, f"TIFF cut short{rows}")
    if not reason and "unknown" in str(failure):  # a mode or a compression that Pillow does not know
        reason = f"with {len(tags.get(tiff.BITS, (1,)))} channels of {max(tags.get(tiff.BITS, (1,)))} bits in a rare layout"
    if reason:
        raise Undecodable(Status.UNSUPPORTED, f"TIFF {reason}: not decoded here")


def repair_png(file: BinaryIO, failure: BaseException) -> png.Repaired:
    """A PNG without broken chunks beside its pixels. Raises Undecodable for Apple's kind of PNG."""
    file.seek(png.SIGNATURE + 4)
    if file.read(4) == b"CgBI":
        raise Undecodable(Status.UNSUPPORTED, "PNG of Apple's own kind (CgBI): not decoded here")
    share = png.count_rows(file)
    if share is not None and share < 1:
        raise Undecodable(Status.DAMAGED, describe_failure("PNG", failure, share))
    return png.clean_png(file)


def repair_jpeg(data: bytes, loss: str = "cut short") -> io.BytesIO:
    """A JPEG with its end mark, if every pixel is there. Raises Undecodable for other kinds, and where rows are missing.

    loss: what happened to it, in words.
    """
    frame = read_frame(data)
    if frame is None:
        raise Undecodable(Status.DAMAGED, "JPEG whose header makes no sense")
    if name := UNSUPPORTED_FRAMES.get(frame.marker):
        raise Undecodable(Status.UNSUPPORTED, f"{name}: not decoded here")
    if frame.bits != 8:
        raise Undecodable(Status.UNSUPPORTED, f"JPEG of {frame.bits} bits: not decoded here")
    data = data.removesuffix(END[:1])  # half of an end mark
    share = count_jpeg_rows(data)
    if share < 1:
        raise Undecodable(Status.DAMAGED, f"JPEG {loss}: {say_share(share)}")
    if not frame.complete:
        raise Undecodable(Status.DAMAGED, f"JPEG {loss}: its last scans, which hold the details, are missing")
    return io.BytesIO(data + END)


def refuse_missing(file: BinaryIO, picture: ImageFile.ImageFile, share: float) -> None:
    """Raises Undecodable where a decoded JPEG has its end mark, and lacks coded pixels before that, as far as that shows.

    Of a progressive one whose last scan is cut, or of a small part lost from the middle, it does not.

    share: of its rows, those that were decoded. file: as it was left by that.
    """
    if share < 1 and thins_out(file, share):
        file.seek(0)
        picture = JpegImagePlugin.JpegImageFile(file)
        picture.draft(None, (1, 1))
        picture.load()
    there = count_intervals(file)
    if there == 1 and (ends_in_grey(picture) or "progressive" in picture.info):
        file.seek(0)
        data = file.read()
        data = data[: find_end(data)]
        frame = read_frame(data)
        if ends_in_grey(picture) or (frame and not frame.complete):
            there = count_jpeg_rows(data)
    if there < 1:
        raise Undecodable(Status.DAMAGED, describe_failure("JPEG", EOFError(), there))


def read_frame(data: bytes) -> Frame | None:
    """The frame that the markers of a JPEG describe; None where there is none."""
    marker, bits, place = 0, 0, 2
    missing: dict[tuple[int, int], int] = {}  # (component, coefficient) -> bits that no scan has brought
    while found := MARKS.search(data, place):
        place, mark = found.end(), found[0][1]
        if mark in (0x01, 0xD8, 0xD9):
            continue
        length = int.from_bytes(data[place : place + 2], "big")
        body = data[place + 2 : place + length]
        if mark in FRAMES and len(body) >= 6 and not marker:
            marker, bits = mark, body[0]
            parts = [body[at] for at in range(6, min(len(body), 6 + 3 * body[5]), 3)]
            missing = {(part, k): 1 for part in parts for k in range(COEFFICIENTS)}
        elif mark == SCAN and body:
            record_scan(body, missing)
        place += length
    if not marker:
        return None
    return Frame(marker, bits, marker not in PROGRESSIVE or not any(missing.values()))


def record_scan(body: bytes, missing: dict[tuple[int, int], int]) -> None:
    """Update the bits that are missing after a scan."""
    count = body[0]
    if len(body) < 4 + 2 * count:
        return
    first, last, low = body[1 + 2 * count], body[2 + 2 * count], body[3 + 2 * count] & 15
    for part in body[1 : 1 + 2 * count : 2]:
        for k in range(first, min(last + 1, COEFFICIENTS)):
            missing[part, k] = low


def count_jpeg_rows(data: bytes) -> float:
    """The share of the rows of a JPEG that are there: those that stay as they are, whatever bits follow the file."""
    quiet, noisy = (decode_truncated(data + tail + END) for tail in (b"", NOISE))
    if quiet is None or noisy is None or quiet.shape != noisy.shape:
        return 0.0
    changed = np.flatnonzero((quiet != noisy).reshape(len(quiet), -1).any(1))
    return float(changed[0]) / len(quiet) if changed.size else 1.0


def decode_truncated(data: bytes) -> np.ndarray | None:
    """The pixels of a truncated JPEG to which an end mark was added; None where it cannot be decoded."""
    try:
        picture = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
        picture.decodermaxblock = len(data)
        picture.load()
        return np.asarray(picture)
    except Exception:  # as in decode: broken bytes may raise anything
        return None


def name_bmp_variant(head: bytes) -> str:
    """The variant, in words, of an intact BMP that is not decoded here; empty for all others."""
    size, compression = (int.from_bytes(head[at : at + 4], "little") for at in (14, 30))
    bits = int.from_bytes(head[28:30], "little")
    if size < 40 or bits not in (1, 2, 4, 8, 16, 24, 32):
        return ""
    if compression in (3, 6):
        return "with bit fields of this order"
    return {4: "that holds a JPEG", 5: "that holds a PNG"}.get(compression, "of 2 bits" if bits == 2 else "")
