"""The picture of an explanation: the photo, the map of where it loses quality over it in grey, a legend, and what is said."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from iqa_cli.images.crops import Box, Rgb
from iqa_cli.records import Patch

if TYPE_CHECKING:
    Floats = npt.NDArray[np.float32]

PANEL = 760, 760  # px: most that a photo takes
MARGIN, GAP = 24, 20
GROUND, INK, QUIET, FRAME = "#ffffff", "#1c1f24", "#6a707a", "#d5d8dd"
SCALE = ((-1.0, (178, 24, 43)), (-0.5, (239, 138, 98)), (0.0, (247, 247, 247)), (0.5, (103, 169, 207)), (1.0, (33, 102, 172)))
"""ColorBrewer's RdBu, which colour-blind people can read: red is less than the photo's average, blue is more."""
LEAST_SPAN = 6.0  # points that the ends of the scale stand for at least, so that an even photo looks even
MIX = 0.62  # of the colour over the photo in grey, at the ends of the scale
DARKEST = 70.0  # of 255: the grey of black, so that colours over it are still those of the scale
SOFTWARE = "iqa explain"
SMALL = 15  # px of the letters below
LEGEND = 240, 420  # px: its width, at least and at most
MIDDLE = 0.95  # of a side: where less of it is shown, that is said
ABSENT = "\uffff"  # no character, of which any font has the sign for those that it lacks
FRAMES = "Frames: native pixels that were looked at, and the detail there, 0 to 100"


@dataclass(frozen=True)
class Page:
    """What a picture shows.

    map: NaN where nothing is known. title, lines: what is said of the photo. size: its width and height in px, which patches
    refer to; rgb is all of it, or its middle.
    """

    rgb: Rgb
    map: Floats
    title: str
    lines: Sequence[str]
    patches: Sequence[Patch] = ()
    size: tuple[int, int] = (0, 0)


def draw_page(page: Page) -> bytes:
    """The picture as a PNG."""
    photo = Image.fromarray(page.rgb)
    photo.thumbnail(PANEL, Image.Resampling.LANCZOS)
    points = np.nan_to_num(page.map)
    span = max(LEAST_SPAN, float(np.abs(points).max()))
    shaded = shade(photo, points, span)
    mark_patches(shaded, page)
    beside = photo.width <= 2 * photo.height
    width = max(2 * photo.width + GAP if beside else photo.width, 640) + 2 * MARGIN
    title, text, small = (ImageFont.load_default(size) for size in (24, 18, SMALL))
    said = (*page.lines, *describe_middle(page))
    lines = [part for line in said for part in wrap(line, int((width - 2 * MARGIN) / 8.6)) or [""]]
    top = MARGIN + 36 + 26 * len(lines) + 12
    second = (MARGIN + photo.width + GAP, top) if beside else (MARGIN, top + photo.height + GAP)
    bottom = second[1] + photo.height
    sheet = Image.new("RGB", (width, bottom + 92), GROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN - 6), fit_text(spell(page.title, title), title, width - 2 * MARGIN), fill=INK, font=title)
    for number, line in enumerate(lines):
        draw.text((MARGIN, MARGIN + 34 + 26 * number), line, fill=INK if number == 0 else QUIET, font=text)
    sheet.paste(photo, (MARGIN, top))
    sheet.paste(shaded, second)
    legend = min(max(photo.width, LEGEND[0]), LEGEND[1])
    draw_legend(draw, (min(second[0], width - MARGIN - legend), bottom + 16), legend, span)
    if page.patches:
        place = min(second[0], width - MARGIN - int(small.getlength(FRAMES)))
        draw.text((place, bottom + 54), FRAMES, fill=QUIET, font=small)
    return save_png(sheet)


def find_shown(page: Page) -> Box:
    """The part of the photo that its picture shows, in px of the photo: the middle, of the picture's aspect ratio."""
    (rows, columns), (width, height) = page.rgb.shape[:2], page.size
    scale = min(height / rows, width / columns)
    left, top = (width - columns * scale) / 2, (height - rows * scale) / 2
    return left, top, left + columns * scale, top + rows * scale


def describe_middle(page: Page) -> Iterator[str]:
    """That the picture shows the middle of the photo alone, where it does: that of a photo of a few rows, or columns."""
    if all(page.size):
        left, top, right, bottom = find_shown(page)
        for name, side, shown in zip(("width", "height"), page.size, (right - left, bottom - top), strict=True):
            if shown < MIDDLE * side:
                yield f"Shown is the middle of it: {shown / side:.0%} of its {name}."


def shade(photo: Image.Image, points: Floats, span: float) -> Image.Image:
    """The photo in grey under the colours of the map."""
    field = Image.fromarray(np.asarray(points, np.float32)).resize(photo.size, Image.Resampling.BICUBIC)
    share = np.clip(np.asarray(field, np.float64) / span, -1, 1)
    tint = find_tint(share)
    grey = DARKEST + (1 - DARKEST / 255) * np.asarray(photo.convert("L"), np.float32)[..., None]
    mix = (MIX * np.clip(np.abs(share) * 1.6, 0, 1))[..., None]
    return Image.fromarray(np.rint(grey * (1 - mix) + tint * mix).astype(np.uint8))


def mark_patches(shaded: Image.Image, page: Page) -> None:
    """Frames around the patches of native pixels, with the detail of each."""
    if not all(page.size):
        return
    draw, font = ImageDraw.Draw(shaded), ImageFont.load_default(13)
    left, top, right, bottom = find_shown(page)
    scale = shaded.width / (right - left), shaded.height / (bottom - top)
    for patch in page.patches:
        x, y, side = (patch.x - left) * scale[0], (patch.y - top) * scale[1], max(10.0, patch.size * scale[0])
        box = max(x, 0.0), max(y, 0.0), min(x + side, shaded.width - 1), min(y + side, shaded.height - 1)
        if box[0] >= box[2] or box[1] >= box[3]:  # of what is not shown
            continue
        draw.rectangle(box, outline="#000000", width=3)
        draw.rectangle(box, outline="#ffe14d", width=1)
        place = box[0] + 2, box[3] + 1 if box[3] + 16 < shaded.height else max(0.0, box[1] - 16)
        draw.text(place, f"{patch.value:.0f}", fill="#ffe14d", font=font, stroke_width=2, stroke_fill="#000000")


def draw_legend(draw: ImageDraw.ImageDraw, place: tuple[int, int], width: int, span: float) -> None:
    """The scale of the map's colours, in points."""
    (x, y), font = place, ImageFont.load_default(SMALL)
    for step in range(width):
        color = tuple(round(float(value)) for value in find_tint(np.array(2 * step / max(1, width - 1) - 1)))
        draw.line((x + step, y, x + step, y + 12), fill=color)
    draw.rectangle((x, y, x + width - 1, y + 12), outline=FRAME)
    draw.text((x, y + 16), f"{-span:.0f} points", fill=INK, font=font)
    draw.text((x + width / 2, y + 16), "the photo's average", fill=QUIET, font=font, anchor="ma")
    draw.text((x + width, y + 16), f"+{span:.0f}", fill=INK, font=font, anchor="ra")


def find_tint(share: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The colour of each share of the scale, -1 to 1: [...] -> [..., 3]."""
    places, colors = [place for place, _ in SCALE], np.array([color for _, color in SCALE], np.float64)
    return np.stack([np.interp(share, places, colors[:, channel]) for channel in range(3)], axis=-1)


def spell(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    r"""The text as a font can write it: letters that it lacks as \u7167."""
    absent = bytes(font.getmask(ABSENT))
    lacking = {c for c in set(text) if bytes(font.getmask(c)) == absent}
    return "".join(c.encode("unicode_escape").decode() if c in lacking else c for c in text)


def fit_text(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The text, its beginning left out where it is too long."""
    while font.getlength(text) > width and len(text) > 8:
        text = "…" + text[2:]
    return text


def save_png(sheet: Image.Image) -> bytes:
    """A PNG that says that it was drawn here."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", SOFTWARE)
    file = io.BytesIO()
    sheet.save(file, "PNG", pnginfo=info)
    return file.getvalue()
