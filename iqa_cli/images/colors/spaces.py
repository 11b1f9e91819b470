"""Colour spaces as files name them, by CICP code points (ITU-T H.273) or by PNG's gAMA and cHRM, and the light they stand for.

Light is relative: 1 is white, that of paper; only HDR has more.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iqa_cli.images.colors.hdr import decode_hlg, decode_pq

Light = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]  # [3, 3]
Chromaticities = tuple[float, ...]  # x and y of white, red, green and blue: cHRM's order

D65, ILLUMINANT_C = (0.3127, 0.3290), (0.310, 0.316)
PRIMARIES: dict[int, Chromaticities] = {
    1: (*D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060),  # BT.709, sRGB
    4: (*ILLUMINANT_C, 0.670, 0.330, 0.210, 0.710, 0.140, 0.080),  # BT.470 M
    5: (*D65, 0.640, 0.330, 0.290, 0.600, 0.150, 0.060),  # BT.470 BG
    6: (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),  # SMPTE 170M
    7: (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),  # SMPTE 240M
    8: (*ILLUMINANT_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),  # film
    9: (*D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),  # BT.2020
    10: (1 / 3, 1 / 3, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0),  # XYZ
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # DCI P3
    12: (*D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # Display P3
    22: (*D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),  # EBU 3213
}
UNSPECIFIED = 2  # as primaries and as transfer: sRGB's
SRGB, LINEAR, PQ, HLG = 13, 8, 16, 18  # transfer characteristics
LIKE_SRGB = (1, UNSPECIFIED, 6, 7, 11, 12, SRGB, 14, 15)  # video's curves too: screens show both the same
GAMMAS = {4: 2.2, 5: 2.8, LINEAR: 1.0, 17: 2.6}
DECADES = {9: 2.0, 10: 2.5}  # of logarithmic curves
CINEMA, CINEMA_WHITE = 17, 52.37 / 48  # SMPTE 428 leaves room above its white

SRGB_GAMMA, GAMMA_SLACK = 2.2, 0.05  # within which libpng, too, takes a gAMA for sRGB's
SLACK = 0.005  # of x and y that are the same
HDR_CURVE, HDR_PRIMARIES = (
    re.compile(rb"(?<![A-Za-z])(PQ|HLG)(?![A-Za-z])"),
    re.compile(rb"2020|2100|P3"),
)  # as profiles are called
TAGS = 100  # that a profile may have
LEAST_AREA = 0.02  # of the triangle of primaries: sRGB's has 0.11
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


@dataclass(frozen=True)
class ColorSpace:
    """What the samples of an RGB picture mean.

    chromaticities: of white and primaries. transfer: the CICP code of the curve. gamma: the exponent, where a file gives that
    in place of a code; 0: it does not. full: whether black and white are the least and the largest sample; if not, they are
    video's 16 and 235.
    """

    chromaticities: Chromaticities = PRIMARIES[1]
    transfer: int = SRGB
    gamma: float = 0.0
    full: bool = True

    @property
    def hdr(self) -> bool:
        """Whether there may be more light than that of white."""
        return not self.gamma and self.transfer in (PQ, HLG)

    @property
    def scene(self) -> bool:
        """Whether its light is that of the scene, and not yet that of a screen."""
        return not self.gamma and self.transfer == HLG

    @property
    def srgb(self) -> bool:
        """Whether this is sRGB, or nothing that anybody could tell from it."""
        same = max(abs(a - b) for a, b in zip(self.chromaticities, PRIMARIES[1], strict=True)) <= SLACK
        return same and self.full and not self.gamma and self.transfer in LIKE_SRGB

    def tabulate(self, levels: int) -> Light:
        """The light of each sample from 0 to `levels`; of HLG, that of the scene, from 0 to 1."""
        values = np.arange(levels + 1)
        if not self.full:
            unit = (levels + 1) // 256
            values = np.clip((values - 16 * unit) / (219 * unit) * levels, 0, levels)
        return self.decode(values / levels).astype(np.float32)

    def decode(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The light of values from 0 to 1."""
        if self.gamma:
            return np.asarray(values**self.gamma)
        if self.transfer == PQ:
            return decode_pq(values)
        if self.transfer == HLG:
            return decode_hlg(values)
        if self.transfer in DECADES:
            return np.where(values > 0, 10.0 ** (DECADES[self.transfer] * (values - 1)), 0.0)
        if self.transfer in GAMMAS:
            return np.asarray(values ** GAMMAS[self.transfer] * (CINEMA_WHITE if self.transfer == CINEMA else 1.0))
        return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)

    def matrix(self) -> Matrix:
        """Light of this space -> light of sRGB; white stays white. Raises LinAlgError for primaries that are none."""
        white, goal = (mix_white(chromaticities[:2]) for chromaticities in (self.chromaticities, PRIMARIES[1]))
        adapted = np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ goal / (BRADFORD @ white)) @ BRADFORD
        return np.asarray(np.linalg.inv(mix_primaries(PRIMARIES[1])) @ adapted @ mix_primaries(self.chromaticities))

    def luminance(self) -> npt.NDArray[np.float64]:
        """How much each of the primaries has of white's luminance: [3]."""
        return np.asarray(mix_primaries(self.chromaticities)[1])


def mix_white(xy: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """XYZ of a white of luminance 1."""
    x, y = xy
    return np.array([x / y, 1.0, (1 - x - y) / y])


def mix_primaries(chromaticities: Chromaticities) -> Matrix:
    """Light of a space -> XYZ. Raises LinAlgError where the primaries lie in a line."""
    x, y = np.array(chromaticities[2::2]), np.array(chromaticities[3::2])
    columns = np.array([x, y, 1 - x - y])
    return np.asarray(columns * np.linalg.solve(columns, mix_white(chromaticities[:2])))


def space_from_cicp(primaries: int, transfer: int, full: bool = True) -> ColorSpace | None:
    """The space of two code points; None for those that mean nothing."""
    supported = (*LIKE_SRGB, *GAMMAS, *DECADES, PQ, HLG)
    chromaticities = PRIMARIES.get(1 if primaries == UNSPECIFIED else primaries)
    return ColorSpace(chromaticities, transfer, full=full) if chromaticities and transfer in supported else None


def space_from_gamma(gamma: float | None, chromaticities: Chromaticities | None) -> ColorSpace:
    """The space of PNG's gAMA and cHRM, either of which may lack, and counts as lacking where it makes no sense."""
    exponent = 1 / gamma if gamma and 0.1 <= gamma <= 10 else 0.0
    if abs(exponent / SRGB_GAMMA - 1) < GAMMA_SLACK:  # sRGB's curve is written so, too
        exponent = 0.0
    return ColorSpace(chromaticities if chromaticities and span_colors(chromaticities) else PRIMARIES[1], gamma=exponent)


def span_colors(chromaticities: Chromaticities) -> bool:
    """Whether there are colours between these primaries, and white among them."""
    xw, yw, xr, yr, xg, yg, xb, yb = chromaticities
    area = abs((xg - xr) * (yb - yr) - (xb - xr) * (yg - yr)) / 2
    if not (area > LEAST_AREA and min(xw, yw) > LEAST_AREA and all(0 <= value <= 1 for value in chromaticities)):
        return False
    return all(0 < share < 1 for share in mix_primaries(chromaticities)[1])


def space_from_profile(icc: bytes) -> ColorSpace | None:
    """The HDR space of an ICC profile, whose tables do not go that far: by its `cicp` tag, or its name. None for others."""
    cicp = find_tag(icc, b"cicp")[8:12]
    if len(cicp) == 4:
        space = space_from_cicp(cicp[0], cicp[1], bool(cicp[3]))
        return space if space and space.hdr else None
    name = find_tag(icc, b"desc").replace(b"\0", b"")  # of ASCII, or of UTF-16
    curve, primaries = HDR_CURVE.search(name), HDR_PRIMARIES.search(name)
    if not curve or not primaries:
        return None
    return space_from_cicp(12 if primaries[0] == b"P3" else 9, PQ if curve[0] == b"PQ" else HLG)


def find_tag(icc: bytes, name: bytes) -> bytes:
    """The content of a tag of an ICC profile; empty where there is none."""
    for at in range(132, 132 + 12 * min(int.from_bytes(icc[128:132], "big"), TAGS), 12):
        if icc[at : at + 4] == name:
            start, size = struct.unpack(">II", icc[at + 4 : at + 12].ljust(8, b"\0"))
            return icc[start : start + size]
    return b""
