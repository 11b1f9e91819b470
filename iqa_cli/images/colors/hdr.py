"""HDR (BT.2100): the light of PQ and HLG, and how it is tone mapped to what a plain screen has.

Light is relative here too: 1 is diffuse white, 203 cd/m2 (BT.2408).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Light = npt.NDArray[np.float32]

WHITE = 203.0  # cd/m2
PQ_PEAK, HLG_PEAK = 10_000.0, 1000.0  # cd/m2
M1, M2 = 2610 / 16384, 2523 / 4096 * 128
C1, C2, C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
A = 0.17883277
B, C = 1 - 4 * A, 0.5 - A * np.log(4 * A)
SYSTEM_GAMMA = 1.2  # of a screen with HLG's peak
BRIGHT = 0.999  # share of the pixels that the peak is not below: a few sparks may burn out
STEPS = 65_535  # of light from black to the peak: the size of the tone mapping's table
CHUNK = 1 << 20  # pixels that are counted at a time


def decode_pq(values: Values) -> Values:
    """The light of PQ values from 0 to 1."""
    power = values ** (1 / M2)
    return np.asarray(PQ_PEAK / WHITE * (np.maximum(power - C1, 0) / (C2 - C3 * power)) ** (1 / M1))


def encode_pq(light: Values) -> Values:
    """The PQ values of light."""
    power = (light * (WHITE / PQ_PEAK)) ** M1
    return np.asarray(((C1 + C2 * power) / (1 + C3 * power)) ** M2)


def decode_hlg(values: Values) -> Values:
    """The light of the scene, from 0 to 1, of HLG values."""
    return np.where(values <= 0.5, values**2 / 3, (np.exp((values - C) / A) + B) / 12)


def apply_hlg_ootf(scene: Light, luminance: Values) -> Light:
    """HLG's OOTF: the light of a screen from that of the scene, [..., 3]. luminance: the weight of each channel."""
    gain = np.maximum(scene @ luminance.astype(np.float32), 1e-9) ** np.float32(SYSTEM_GAMMA - 1)
    return np.asarray(scene * gain[..., None] * np.float32(HLG_PEAK / WHITE))


def find_peak(samples: npt.NDArray[Any], light: Light) -> float:
    """The light that all but a few pixels stay below: of samples [n, 3], by what a grey of each sample has."""
    counts = np.zeros(len(light), np.int64)
    for start in range(0, len(samples), CHUNK):  # counting takes 8 bytes a pixel
        counts += np.bincount(max_channel(samples[start : start + CHUNK]), minlength=len(light))
    place = int(np.searchsorted(np.cumsum(counts), BRIGHT * counts.sum()))
    return float(light[place])


def max_channel(samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The largest of three channels: [..., 3] -> [...]; many times faster than `max` along so short an axis."""
    return np.asarray(np.maximum(np.maximum(samples[..., 0], samples[..., 1]), samples[..., 2]))


def tone_map(light: Light, peak: float) -> Light:
    """Tone map light [..., 3] with such a peak to at most 1: BT.2390's curve on the largest channel.

    What is dark stays as it is, hues do too; where nothing is above white, so does everything.
    """
    if peak <= 1:
        return light
    gains = tabulate_gains(peak)
    largest = max_channel(light)
    gain = gains[(np.minimum(largest, peak) * np.float32(STEPS / peak) + np.float32(0.5)).astype(np.uint16)]
    gain /= np.maximum(largest * np.float32(1 / peak), 1)  # what burns out is white at most
    return np.asarray(light * gain[..., None])


@lru_cache(maxsize=1)
def tabulate_gains(peak: float) -> Light:
    """The gains of the tone mapping at STEPS of light from black to the peak."""
    light = np.linspace(0, peak, STEPS + 1)
    values = encode_pq(light) / encode_pq(light[-1:])
    top = float(encode_pq(np.ones(1))[0] / encode_pq(light[-1:])[0])
    rolled = decode_pq(apply_eetf(values, top) * encode_pq(light[-1:]))
    gains = np.divide(rolled, light, out=np.ones_like(light), where=values > find_knee(top))
    return gains.astype(np.float32)


def find_knee(top: float) -> float:
    """The knee of BT.2390's curve, below which it is straight."""
    return 1.5 * top - 0.5


def apply_eetf(values: Values, top: float) -> Values:
    """BT.2390's EETF without its lift of blacks: values from 0 to 1 -> from 0 to `top`, straight below its knee."""
    knee = find_knee(top)
    t = (np.maximum(values, knee) - knee) / (1 - knee)
    bent = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * top
    return np.where(values < knee, values, bent)
