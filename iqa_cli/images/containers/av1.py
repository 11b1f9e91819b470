"""The sequence header of AV1 (AV1 bitstream specification, section 5.5), as far as its colours."""

from __future__ import annotations

SEQUENCE_HEADER = 1  # type of an OBU
UNITS = 8  # OBUs that are looked at: the header is the first, or behind a delimiter
LEB128 = 8  # bytes of the longest size
SELECT = 2  # of screen content tools: each frame says
UVLC = 32  # leading zeros of a number that is none


class Bits:
    """Bits from the front of some bytes; missing ones are zeros."""

    def __init__(self, data: bytes) -> None:
        self.value, self.left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        """An unsigned number of so many bits."""
        self.left -= count
        shifted = self.value >> self.left if self.left >= 0 else self.value << -self.left
        return shifted & ((1 << count) - 1)

    def take_uvlc(self) -> None:
        """A number of variable length, which nobody asks for."""
        zeros = 0
        while zeros < UVLC and self.left > 0 and not self.take(1):
            zeros += 1
        if zeros < UVLC:
            self.take(zeros)


def find_sequence_header(data: bytes) -> bytes:
    """The content of the first sequence header among OBUs; empty where there is none."""
    at = 0
    for _ in range(UNITS):
        if at >= len(data):
            return b""
        head = data[at]
        at += 2 if head & 4 else 1  # with an extension
        size = len(data) - at
        if head & 2:
            size, at = read_leb128(data, at)
        if head >> 3 & 15 == SEQUENCE_HEADER:
            return data[at : at + size]
        at += size
    return b""


def read_leb128(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = 0
    for i in range(LEB128):
        byte = data[at] if at < len(data) else 0
        at += 1
        value |= (byte & 127) << (7 * i)
        if byte < 128:
            break
    return value, at


def read_cicp(data: bytes) -> tuple[int, int] | None:
    """Primaries and transfer, as CICP code points, of a picture in OBUs; None where it does not say."""
    header = find_sequence_header(data)
    if not header:
        return None
    bits = Bits(header)
    profile, _, reduced = bits.take(3), bits.take(1), bits.take(1)
    if reduced:
        bits.take(5)
    else:
        skip_operating_points(bits)
    widths = bits.take(4) + 1, bits.take(4) + 1
    for width in widths:
        bits.take(width)
    skip_tools(bits, reduced=bool(reduced))
    deep = bits.take(1)
    if profile == 2 and deep:
        bits.take(1)
    if profile != 1:
        bits.take(1)  # whether it is grey
    return (bits.take(8), bits.take(8)) if bits.take(1) and bits.left >= 24 else None


def skip_operating_points(bits: Bits) -> None:
    """Go over the times and the operating points of a sequence."""
    delay, model = 0, 0
    if bits.take(1):  # timing
        bits.take(64)
        if bits.take(1):
            bits.take_uvlc()
        model = bits.take(1)
        if model:
            delay = bits.take(5) + 1
            bits.take(32 + 5 + 5)
    display = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if model and bits.take(1):
            bits.take(2 * delay + 1)
        if display and bits.take(1):
            bits.take(4)


def skip_tools(bits: Bits, *, reduced: bool) -> None:
    """Go over the flags of the coding tools."""
    if not reduced and bits.take(1):  # numbers of frames
        bits.take(4 + 3)
    bits.take(3)
    if not reduced:
        bits.take(4)
        order = bits.take(1)
        bits.take(2 * order)
        screen = SELECT if bits.take(1) else bits.take(1)
        if screen and not bits.take(1):
            bits.take(1)
        bits.take(3 * order)
    bits.take(3)
