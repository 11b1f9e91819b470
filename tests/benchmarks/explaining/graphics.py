"""Pictures that are no photos: pages, terminals, tables, charts, windows, drawings, patterns and noise, made by Pillow.

And what this system has: icons, pages of PDF and HTML, where Ghostscript and Chromium are there to draw them.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from iqa_cli.images.crops import Rgb

Draw = ImageDraw.ImageDraw
WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "a",
    "is",
    "that",
    "for",
    "it",
    "as",
    "was",
    "with",
    "be",
    "by",
    "on",
    "not",
    "he",
    "his",
    "but",
    "at",
    "are",
    "this",
    "have",
    "from",
    "or",
    "had",
    "an",
    "they",
    "which",
    "one",
    "you",
    "were",
    "all",
    "her",
    "she",
    "there",
    "would",
    "their",
    "we",
    "him",
    "been",
    "has",
    "when",
    "who",
    "will",
    "no",
    "more",
    "if",
    "out",
    "so",
    "up",
    "said",
    "what",
    "its",
    "about",
    "than",
    "into",
    "them",
    "can",
    "only",
    "other",
    "time",
    "new",
    "some",
    "could",
    "these",
    "two",
    "may",
    "first",
    "then",
    "do",
    "any",
    "like",
    "my",
    "now",
    "over",
    "such",
    "our",
    "man",
    "me",
    "even",
    "most",
    "made",
    "after",
    "picture",
    "number",
    "value",
    "section",
    "figure",
    "table",
    "results",
    "method",
    "system",
    "window",
    "folder",
    "select",
    "option",
]
INKS = ("black", "#222222", "#1a3d7c", "#5b2333", "#0b5d1e")
COLORS = ("#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3", "#937860", "#da8bc3", "#8c8c8c", "#ccb974", "#64b5cd")
SIZES = ((1280, 800), (800, 1100), (640, 480), (1080, 1920), (1000, 1000), (1600, 900))


@cache
def list_fonts() -> list[str]:
    """The TrueType fonts of this system, of which Pillow's own takes the place where there are none."""
    return sorted(str(path) for path in Path("/usr/share/fonts").rglob("*.ttf"))[::7]


def load_font(generator: np.random.Generator, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Some font."""
    fonts = list_fonts()
    if not fonts:
        return ImageFont.load_default(size)
    return ImageFont.truetype(fonts[int(generator.integers(len(fonts)))], size)


def write_words(generator: np.random.Generator, count: int) -> str:
    """So many words."""
    return " ".join(generator.choice(WORDS, count))


def pick(generator: np.random.Generator, items: tuple[str, ...]) -> str:
    """One of them."""
    return items[int(generator.integers(len(items)))]


# ---- what each kind draws on its sheet ----


def draw_page(draw: Draw, size: tuple[int, int], generator: np.random.Generator) -> None:
    """A page of text."""
    height = int(generator.integers(11, 30))
    font, ink = load_font(generator, height), pick(generator, INKS)
    margin, y = size[0] // 12, size[1] // 14
    while y < size[1] - margin:
        count = int(size[0] / height / 3.2) if generator.random() < 0.9 else 3
        draw.text((margin, y), write_words(generator, max(2, count)), font=font, fill=ink)
        y += int(height * (1.5 if generator.random() < 0.88 else 3))


def draw_terminal(draw: Draw, size: tuple[int, int], generator: np.random.Generator) -> None:
    """Light lines on a dark ground."""
    draw.rectangle((0, 0, *size), fill=pick(generator, ("#1e1e1e", "#000000", "#002b36", "#300a24")))
    height = int(generator.integers(12, 22))
    font = load_font(generator, height)
    for y in range(4, int(size[1] * generator.uniform(0.5, 1)), int(height * 1.35)):
        for x in range(6, int(size[0] * generator.uniform(0.1, 1)), size[0] // 6):
            draw.text((x, y), write_words(generator, 2), font=font, fill=pick(generator, (*COLORS, "#dddddd", "#eeeeee")))


def draw_table(draw: Draw, size: tuple[int, int], generator: np.random.Generator) -> None:
    """A spreadsheet."""
    rows, columns = int(generator.integers(10, 30)), int(generator.integers(4, 10))
    high, wide = size[1] / rows, size[0] / columns
    font = load_font(generator, max(9, int(min(high * 0.5, 20))))
    for row in range(rows):
        fill = "#dfe6f0" if row == 0 else "#ffffff" if row % 2 else "#f5f5f5"
        draw.rectangle((0, row * high, size[0], (row + 1) * high), fill=fill, outline="#bbbbbb")
        for column in range(columns):
            draw.line((column * wide, 0, column * wide, size[1]), fill="#bbbbbb")
            draw.text((column * wide + 4, row * high + 3), f"{generator.normal(0, 500):.2f}", font=font, fill="black")


def draw_chart(draw: Draw, size: tuple[int, int], generator: np.random.Generator) -> None:
    """Bars, lines or a pie, with axes."""
    left, top, right, bottom = size[0] // 8, size[1] // 10, size[0] * 11 // 12, size[1] * 8 // 9
    font, kind = load_font(generator, max(12, size[1] // 40)), generator.integers(3)
    if kind == 0:
        count = int(generator.integers(4, 14))
        step = (right - left) / count
        for bar in range(count):
            y = float(generator.uniform(top, bottom))
            draw.rectangle((left + bar * step, y, left + (bar + 0.8) * step, bottom), fill=COLORS[bar % len(COLORS)])
    elif kind == 1:
        for line in range(int(generator.integers(1, 6))):
            y = np.clip(np.cumsum(generator.normal(0, size[1] / 30, 60)) + size[1] / 2, top, bottom)
            draw.line([*zip(np.linspace(left, right, 60), y, strict=True)], fill=COLORS[line], width=3)
    else:
        edges = [0.0, *np.sort(generator.uniform(0, 360, 5)), 360.0]
        for number, (begin, end) in enumerate(pairwise(edges)):
            draw.pieslice((left, top, right, bottom), begin, end, fill=COLORS[number])
    draw.line((left, top, left, bottom, right, bottom), fill="black", width=2)
    draw.text((left, top // 4), write_words(generator, 5), font=font, fill="black")


def draw_window(draw: Draw, size: tuple[int, int], generator: np.random.Generator) -> None:
    """A program's window: bars, buttons, lists, text."""
    light = generator.random() < 0.6
    ground, ink = ("#f4f4f6", "#222222") if light else ("#24262b", "#dddddd")
    draw.rectangle((0, 0, *size), fill=ground)
    accent, font = pick(generator, COLORS), load_font(generator, 16)
    draw.rectangle((0, 0, size[0], 40), fill=accent)
    draw.rectangle((0, 40, size[0] // 5, size[1]), fill="#e2e4ea" if light else "#1b1c20")
    for y in range(60, size[1] - 20, 32):
        draw.text((14, y), write_words(generator, 1), font=font, fill=ink)
        if generator.random() < 0.6:
            draw.text((size[0] // 4, y), write_words(generator, int(generator.integers(2, 9))), font=font, fill=ink)
        elif generator.random() < 0.5:
            x = size[0] // 4 + float(generator.uniform(0, size[0] / 3))
            draw.rounded_rectangle((x, y, x + 140, y + 26), 6, fill=accent, outline=ink)


def draw_lines(draw: Draw, size: tuple[int, int], generator: np.random.Generator) -> None:
    """A drawing in lines."""
    width = int(generator.integers(1, 6))
    for _ in range(int(generator.integers(15, 80))):
        points = np.cumsum(generator.normal(0, min(size) / 14, (int(generator.integers(4, 20)), 2)), axis=0)
        points += generator.uniform(0, 1, 2) * size
        draw.line([tuple(point) for point in points], fill=pick(generator, INKS), width=width, joint="curve")


def draw_shapes(draw: Draw, size: tuple[int, int], generator: np.random.Generator) -> None:
    """A drawing in plain colours, as of cartoons and logos."""
    draw.rectangle((0, 0, *size), fill=pick(generator, ("#bfe3ff", "#fff4d6", "#2d3250", "#e8f5e9")))
    for _ in range(int(generator.integers(6, 40))):
        x, y = generator.uniform(-0.1, 1, 2) * size
        w, h = generator.uniform(0.05, 0.5, 2) * min(size)
        outline = "black" if generator.random() < 0.5 else None
        shape = draw.ellipse if generator.random() < 0.5 else draw.rectangle
        shape((x, y, x + w, y + h), fill=pick(generator, COLORS), outline=outline, width=3)


def draw_code(draw: Draw, size: tuple[int, int], generator: np.random.Generator) -> None:
    """Black and white cells, as of a printed code."""
    cells = int(generator.integers(21, 60))
    side = min(size) * 0.8 / cells
    left, top = (size[0] - side * cells) / 2, (size[1] - side * cells) / 2
    for row, column in np.argwhere(generator.random((cells, cells)) < 0.5):
        draw.rectangle(
            (left + column * side, top + row * side, left + (column + 1) * side, top + (row + 1) * side), fill="black"
        )


SHEETS: dict[str, Callable[[Draw, tuple[int, int], np.random.Generator], None]] = {
    "page": draw_page,
    "terminal": draw_terminal,
    "table": draw_table,
    "chart": draw_chart,
    "window": draw_window,
    "lines": draw_lines,
    "shapes": draw_shapes,
    "code": draw_code,
}


# ---- patterns ----


def make_pattern(size: tuple[int, int], generator: np.random.Generator) -> Rgb:
    """Checks, stripes, an even slope of colours, or rings."""
    x, y = np.meshgrid(np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32))
    period, angle = float(generator.uniform(6, 90)), float(generator.uniform(0, np.pi))
    along = x * np.cos(angle) + y * np.sin(angle)
    shape = (
        ((x // period + y // period) % 2),
        ((along // period) % 2),
        along / max(1.0, np.ptp(along)) - along.min() / max(1.0, np.ptp(along)),
        (1 + np.cos(((x - size[0] / 2) ** 2 + (y - size[1] / 2) ** 2) / (8 * period**1.5))) / 2,
        (1 + np.sin(2 * np.pi * along / period)) / 2,
    )[int(generator.integers(5))][..., None]
    low, high = generator.uniform(0, 110, 3), generator.uniform(140, 255, 3)
    return np.asarray(np.rint(low + (high - low) * shape), np.uint8)


def make_noise(size: tuple[int, int], generator: np.random.Generator) -> Rgb:
    """Noise, grey or coloured, even or normal, of single pixels or grains."""
    channels, grain = int(generator.choice((1, 3))), int(generator.choice((1, 1, 2)))
    shape = (size[1] // grain, size[0] // grain, channels)
    noise = generator.integers(0, 256, shape) if generator.random() < 0.5 else generator.normal(128, 50, shape)
    return np.repeat(np.repeat(np.repeat(np.clip(noise, 0, 255).astype(np.uint8), grain, 0), grain, 1), 3 // channels, 2)


PATTERNS = {"pattern": make_pattern, "noise": make_noise}


# ---- all of them ----


def make_graphics(count: int, seed: int = 0) -> Iterator[tuple[str, Rgb]]:
    """So many pictures of each kind, with its name: uint8 [H, W, 3]. Half of them have gone through a JPEG, as if sent."""
    for number, kind in enumerate((*SHEETS, *PATTERNS)):
        for place in range(count):
            generator = np.random.default_rng((seed, number, place))
            size = SIZES[int(generator.integers(len(SIZES)))]
            if kind in PATTERNS:
                rgb = PATTERNS[kind](size, generator)
            else:
                sheet = Image.new("RGB", size, "white")
                SHEETS[kind](ImageDraw.Draw(sheet), size, generator)
                rgb = np.asarray(sheet)
            yield kind, send(rgb, int(generator.integers(70, 96))) if generator.random() < 0.5 else rgb


def send(rgb: Rgb, quality: int) -> Rgb:
    """The picture through a JPEG."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def find_icons(limit: int) -> Iterator[tuple[str, Rgb]]:
    """Sheets of this system's icons, 24 a sheet."""
    paths = sorted(Path("/usr/share/icons").rglob("*.png"), key=lambda path: path.name)
    for first in range(0, min(len(paths), 24 * limit), 24):
        sheet = Image.new("RGB", (720, 480), "white")
        for place, path in enumerate(paths[first : first + 24]):
            with Image.open(path) as icon:
                drawn = icon.convert("RGBA").resize((96, 96), Image.Resampling.BICUBIC)
            sheet.paste(drawn, (12 + place % 6 * 118, 12 + place // 6 * 118), drawn)
        yield "icons", np.asarray(sheet)


def draw_documents(limit: int) -> Iterator[tuple[str, Rgb]]:
    """Pages of this system's manuals: PDF by Ghostscript, HTML by Chromium, where those are there."""
    with tempfile.TemporaryDirectory(prefix="iqa-graphics-") as folder:
        if gs := shutil.which("gs"):
            for number, path in enumerate(sorted(Path("/usr/share/doc").rglob("*.pdf"))):
                output = f"{folder}/{number}-%d.png"
                which = ["-dFirstPage=1", f"-dLastPage={limit}", f"-sOutputFile={output}", str(path)]
                run_quietly(gs, "-q", "-dNOPAUSE", "-dBATCH", "-dSAFER", "-sDEVICE=png16m", "-r100", *which)
        yield from (("PDF", read_rgb(path)) for path in sorted(Path(folder).glob("*.png"))[: 2 * limit])
        if chromium := shutil.which("chromium"):
            pages = sorted(Path("/usr/share/doc").rglob("*.html"))
            for number, path in enumerate(pages[:: max(1, len(pages) // limit)][:limit]):
                shot = Path(folder, f"page{number}.png")
                run_quietly(
                    *(chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--screenshot={shot}"),
                    *("--window-size=1200,900", path.as_uri()),
                )
                if shot.exists():
                    yield "HTML", read_rgb(shot)


def run_quietly(*command: str) -> None:
    """Run a program for what it writes."""
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=False)


def read_rgb(path: Path) -> Rgb:
    """The pixels of a file."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))
