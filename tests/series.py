"""Series of photos as cameras make them, made from clean photos: bursts, brackets, focus stacks, panoramas.

A frame is a window of the photo, enlarged to the megapixels asked for. Every series is the same for the same seed.
"""

import io
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin
from PIL.ExifTags import IFD, Base

from iqa_cli.records import Capture, ScoreRecord, Status

START = datetime(2025, 6, 12, 9, 0, 0, tzinfo=UTC)
Pixels = np.ndarray  # uint8 [H, W, 3]


@dataclass
class Frame:
    """pixels: of the frame. after: seconds since the one before. tags: of its exposure. fault: 0 for the best of a burst."""

    pixels: Pixels
    after: float
    tags: dict[str, object] = field(default_factory=dict)
    fault: float = 0.0


Maker = Callable[[Pixels, np.random.Generator, float], Iterator[Frame]]


def cut_frame(
    photo: Pixels,
    pixels: float,
    *,
    at: tuple[float, float] = (0.5, 0.5),
    part: float = 0.9,
    turn: float = 0.0,
    width: float = 1,
) -> Pixels:
    """A window of a photo with so many pixels in all.

    at: its center, in shares of the photo's sides. part: of its height, and times `width` of its width, that the window has.
    turn: degrees. What would lie outside mirrors what is inside.
    """
    height, across = photo.shape[0] * part, photo.shape[1] * part * width
    scale = math.sqrt(pixels / (height * across))
    size = round(across * scale), round(height * scale)
    matrix = cv2.getRotationMatrix2D((at[0] * photo.shape[1], at[1] * photo.shape[0]), turn, scale)
    matrix[:, 2] += np.array(size) / 2 - np.array(at) * photo.shape[1::-1]
    return cv2.warpAffine(photo, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def rescale(frame: Pixels, gain: float) -> Pixels:
    """The frame with so many times the values."""
    return cv2.convertScaleAbs(frame, alpha=gain)


def shake(frame: Pixels, length: float, angle: float) -> Pixels:
    """Blur along a line of so many px. angle: radians."""
    size = int(length) | 1
    kernel = np.zeros((size, size), np.float32)
    middle, along = size // 2, np.array([math.cos(angle), math.sin(angle)]) * (size // 2)
    cv2.line(kernel, tuple(np.rint(middle - along).astype(int)), tuple(np.rint(middle + along).astype(int)), 1.0)
    return cv2.filter2D(frame, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


def defocus(frame: Pixels, sigma: float) -> Pixels:
    """Blur by so many px."""
    return cv2.GaussianBlur(frame, (0, 0), sigma, borderType=cv2.BORDER_REFLECT) if sigma > 0.2 else frame


def add_noise(frame: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    """Noise of a sensor: of single pixels, mostly of brightness. sigma: in grey levels."""
    tile = rng.normal(0, sigma, (512, 512, 3)).astype(np.float32)
    tile = 0.8 * tile[..., :1] + 0.6 * tile
    rows, columns = (-(-side // 512) for side in frame.shape[:2])
    noise = np.tile(tile, (rows, columns, 1))[: frame.shape[0], : frame.shape[1]]
    return np.clip(frame + noise, 0, 255).astype(np.uint8)


def expose(frame: Pixels, ev: float) -> Pixels:
    """The frame as it would be with so many stops more light; what is too bright is white."""
    values = np.arange(256) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4) * 2.0**ev
    curve = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return cv2.LUT(frame, np.clip(curve * 255 + 0.5, 0, 255).astype(np.uint8))


# ---- series ----


def make_burst(photo: Pixels, rng: np.random.Generator, pixels: float) -> Iterator[Frame]:
    """3 to 8 frames: one clean, the others shaken, out of focus or noisy; each framed anew, up to 4 % brighter or darker."""
    count, kind = int(rng.integers(3, 9)), rng.choice(["shake", "focus", "noise", "mixed"])
    best, step = int(rng.integers(count)), float(rng.uniform(3, 8))
    fast = rng.random() < 0.7
    side = math.sqrt(pixels)
    for place in range(count):
        shift = rng.normal(0, 0.006, 2)
        frame = cut_frame(
            photo, pixels, at=tuple(0.5 + shift), part=0.9 * float(rng.uniform(0.996, 1.004)), turn=rng.normal(0, 0.2)
        )
        frame = rescale(frame, float(rng.uniform(0.96, 1.04)))
        fault = 0.0
        if place != best:
            fault = abs(place - best) if kind == "focus" else float(rng.uniform(1, 3))
            does = {"mixed": rng.choice(["shake", "focus", "noise"])}.get(str(kind), kind)
            if does == "shake":
                frame = shake(frame, fault * side / 200, float(rng.uniform(0, math.pi)))
            elif does == "focus":
                frame = defocus(frame, fault * step * side / 3464)
            else:
                frame = add_noise(frame, 8 * fault, rng)
        frame = add_noise(frame, 1.5, rng)
        yield Frame(frame, float(rng.uniform(0.08, 0.4)) if fast else float(rng.uniform(0.4, 1.1)), {}, fault)


def make_bracket(photo: Pixels, rng: np.random.Generator, pixels: float) -> Iterator[Frame]:
    """3 or 5 frames of one view, 1 or 2 stops apart. Some say so, some only have the exposure times, some have nothing."""
    steps = ([0, -2, 2], [0, -1, 1, -2, 2], [-1, 0, 1], [0, -1.3, 1.3])[int(rng.integers(4))]
    says = int(rng.integers(3))
    for ev in steps:
        frame = cut_frame(photo, pixels, at=tuple(0.5 + rng.normal(0, 0.003, 2)))
        seconds = TiffImagePlugin.IFDRational(round(2.0**ev * 10000 / 125), 10000)
        tags = ({"ExposureTime": seconds, "ExposureBiasValue": ev, "ExposureMode": 2}, {"ExposureTime": seconds}, {})[says]
        yield Frame(add_noise(expose(frame, ev), 1.5, rng), float(rng.uniform(0.2, 1.5)), tags)


def make_stack(photo: Pixels, rng: np.random.Generator, pixels: float) -> Iterator[Frame]:
    """5 to 9 frames of one view, the focus wandering through it from near to far."""
    count = int(rng.integers(5, 10))
    whole = cut_frame(photo, pixels)
    side = math.sqrt(pixels)
    relief = cv2.resize(rng.uniform(-0.2, 0.2, (4, 5)).astype(np.float32), whole.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    depth = np.clip(np.linspace(1, 0, whole.shape[0], dtype=np.float32)[:, None] + relief, 0, 1)
    blurs = [0.0, 2.0, 5.0, 10.0, 18.0]  # px of 12 million
    layers = [defocus(whole, sigma * side / 3464) for sigma in blurs]
    for place in range(count):
        level = np.interp(np.abs(depth - place / (count - 1)), [0.08, 0.2, 0.35, 0.6, 0.9], np.arange(5)).astype(np.float32)
        frame = np.zeros(whole.shape, np.float32)
        for number, layer in enumerate(layers):
            frame += np.clip(1 - np.abs(level - number), 0, 1)[..., None] * layer
        breathing = cut_frame(frame.astype(np.uint8), pixels, part=1 - 0.003 * place)
        yield Frame(add_noise(breathing, 1.5, rng), float(rng.uniform(0.5, 4)))


def make_pan(photo: Pixels, rng: np.random.Generator, pixels: float) -> Iterator[Frame]:
    """3 to 5 frames side by side that overlap by 25 to 45 %, by hand: not quite level, from left to right or back."""
    count, overlap = int(rng.integers(3, 6)), float(rng.uniform(0.25, 0.45))
    width = 0.96 / (1 + (count - 1) * (1 - overlap))  # of the photo's
    places = [0.02 + width / 2 + place * width * (1 - overlap) for place in range(count)]
    for place in places[:: int(rng.choice([-1, 1]))]:
        frame = cut_frame(
            photo, pixels, at=(place, 0.5 + rng.normal(0, 0.01)), part=0.85, turn=rng.normal(0, 0.7), width=width / 0.85
        )
        yield Frame(add_noise(rescale(frame, float(rng.uniform(0.99, 1.01))), 1.5, rng), float(rng.uniform(0.7, 4)))


def make_single(photo: Pixels, rng: np.random.Generator, pixels: float) -> Iterator[Frame]:
    """One frame, soon after the one before."""
    yield Frame(cut_frame(photo, pixels), float(rng.uniform(1, 6)))


MAKERS: dict[str, Maker] = {
    "burst": make_burst,
    "bracket": make_bracket,
    "stack": make_stack,
    "panorama": make_pan,
    "single": make_single,
}


# ---- files ----


def make_exif(moment: datetime, *, digits: int = 2, **tags: object) -> bytes:
    """EXIF of a frame. digits: of the part of a second; 0 for cameras that do not write it."""
    exif = Image.Exif()
    exif[Base.Make], exif[Base.Model] = "Canon", "EOS R5"
    own = exif.get_ifd(IFD.Exif)
    own[Base.DateTimeOriginal] = f"{moment:%Y:%m:%d %H:%M:%S}"
    if digits:
        own[Base.SubsecTimeOriginal] = f"{moment.microsecond:06}"[:digits]
    own.update({Base[name]: value for name, value in tags.items()})
    return exif.tobytes()


def write_series(
    folder: Path, name: str, frames: Iterator[Frame], start: datetime, *, digits: int = 2, quality: int = 90
) -> tuple[list[Path], list[float], datetime]:
    """Write the frames as JPEGs: their paths, their faults, and when the last one was taken."""
    paths, faults, moment = [], [], start
    for number, frame in enumerate(frames):
        moment += timedelta(seconds=frame.after)
        paths.append(folder / f"{name}_{number + 1}.jpg")
        faults.append(frame.fault)
        exif = make_exif(moment, digits=digits, **frame.tags)
        Image.fromarray(frame.pixels).save(paths[-1], quality=quality, exif=exif)
    return paths, faults, moment


# ---- records ----


def make_preview(frame: Pixels, side: int = 256) -> bytes:
    """What the decoder sends along with a frame."""
    scale = min(1.0, side / max(frame.shape[:2]))
    file = io.BytesIO()
    Image.fromarray(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)).save(file, "JPEG", quality=80)
    return file.getvalue()


def record_series(name: str, frames: Iterable[Frame], start: float, *, camera: str = "Canon") -> list[ScoreRecord]:
    """The frames as scored photos, the better the less their fault; start: seconds, when the first is waited for."""
    records, moment = [], start
    for number, frame in enumerate(frames, 1):
        moment += frame.after
        numbers = {key: float(frame.tags[tag]) for tag, key in MEASURED.items() if tag in frame.tags}  # type: ignore[arg-type]
        capture = Capture(moment, camera, bracketing=frame.tags.get("ExposureMode") == 2, **numbers)
        size = {"height": frame.pixels.shape[0], "width": frame.pixels.shape[1]}
        score = 80.0 - 10 * frame.fault
        records.append(
            ScoreRecord(
                f"{name}_{number}.jpg",
                Status.OK,
                "toy",
                score,
                50.0,
                **size,
                preview=make_preview(frame.pixels),
                capture=capture,
            )
        )
    return records


MEASURED = {"ExposureTime": "seconds", "ExposureBiasValue": "bias"}
