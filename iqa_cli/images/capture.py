"""How a photo was taken, as its EXIF says: when, by which camera, with what exposure."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from PIL import ExifTags

from iqa_cli.images.containers.exif import Tags
from iqa_cli.images.exif import read_exif
from iqa_cli.records import Capture

TEXT = 64  # characters of a name that count
TIMES = (  # the day and the second, the part of a second, the zone; as the camera wrote them, as a scanner did
    (ExifTags.Base.DateTimeOriginal, ExifTags.Base.SubsecTimeOriginal, ExifTags.Base.OffsetTimeOriginal),
    (ExifTags.Base.DateTimeDigitized, ExifTags.Base.SubsecTimeDigitized, ExifTags.Base.OffsetTimeDigitized),
)
BRACKETING = 2  # ExposureMode of a series


def read_capture(path: str, suffix: str | None = None) -> Capture:
    """How a photo was taken; nothing of what its EXIF does not say, or cannot be read of it. Never raises.

    suffix: as of `decode_image`.
    """
    with suppress(Exception):  # EXIF is foreign bytes, and however broken, it takes nothing from the pixels
        return parse_exif(*read_exif(path, suffix))
    return Capture()


def parse_exif(camera: Tags, exposure: Tags) -> Capture:
    """How a photo was taken. camera, exposure: tags as `read_exif` gives them."""
    names = (camera.get(ExifTags.Base.Make), camera.get(ExifTags.Base.Model), exposure.get(ExifTags.Base.BodySerialNumber))
    speed = exposure.get(ExifTags.Base.ISOSpeedRatings)
    return Capture(
        moment=next((moment for tags in TIMES if (moment := parse_moment(*map(exposure.get, tags))) is not None), None),
        camera=" ".join(filter(None, map(clean_text, names))),
        seconds=parse_number(exposure.get(ExifTags.Base.ExposureTime)),
        aperture=parse_number(exposure.get(ExifTags.Base.FNumber)),
        iso=parse_number(speed[0] if isinstance(speed, tuple) and speed else speed),
        bias=parse_number(exposure.get(ExifTags.Base.ExposureBiasValue), signed=True),
        bracketing=exposure.get(ExifTags.Base.ExposureMode) == BRACKETING,
    )


def parse_moment(day: object, fraction: object = None, zone: object = None) -> float | None:
    """Seconds since 1970 in UTC, or of the local clock where no zone is known; None for what is no time."""
    parts = re.match(r"(\d{4})\D(\d\d)\D(\d\d)\D(\d\d)\D(\d\d)\D(\d\d)", clean_text(day))
    if not parts or parts[1] == "0000":
        return None
    with suppress(ValueError, OverflowError):
        moment = datetime.strptime(" ".join(parts.groups()), "%Y %m %d %H %M %S").replace(tzinfo=UTC)
        if offset := re.match(r"([+-])(\d\d):?(\d\d)", clean_text(zone)):
            ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
            moment -= ahead if offset[1] == "+" else -ahead
        digits = re.match(r"\d{1,9}", clean_text(fraction))
        return moment.timestamp() + (float(f"0.{digits[0]}") if digits else 0.0)
    return None


def parse_number(value: object, *, signed: bool = False) -> float | None:
    """A number; None for what is none, or not above 0 unless it may be."""
    with suppress(TypeError, ValueError, ZeroDivisionError, OverflowError):
        number = float(value)  # type: ignore[arg-type]  # what is no number fails
        return number if math.isfinite(number) and (signed or number > 0) else None
    return None


def clean_text(value: object) -> str:
    """A text without the spaces and NULs that cameras fill it up with."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else ""
    return text.replace("\0", " ").strip()[:TEXT]
