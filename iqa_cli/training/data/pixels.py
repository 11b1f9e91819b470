"""Pixels: decoded images, kept in memory or on disk.

Decoding a photo of many megapixels takes longer than training on a crop of it, and loader processes share no memory. So each
image can be kept as a file of plain pixels, reduced to a bounded size, which processes map into memory.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np

from iqa_cli.errors import DataError
from iqa_cli.files.replacing import replacing
from iqa_cli.images.crops import CROP_VERSION, Rgb, cut_box
from iqa_cli.images.decode import decode_image
from iqa_cli.records import Undecodable

CACHE_BYTES = 4 << 30  # of decoded images in memory


class Pixels(Protocol):
    """Where decoded images come from."""

    def load(self, path: str) -> Rgb:
        """uint8 [H, W, 3]. Raises DataError for an image that cannot be decoded."""


def decode_or_raise(path: str) -> Rgb:
    """uint8 [H, W, 3]. Raises DataError for an image that cannot be decoded: a training knows no rows with a status."""
    try:
        return decode_image(path).rgb
    except Undecodable as error:
        raise DataError(f"{path}: cannot train on this image: {error.detail}") from error


def identify_file(path: str) -> bytes:
    """What tells an image's file from all others, and from itself once it has changed. Raises DataError where it is gone."""
    try:
        stat = os.stat(path)  # noqa: PTH116  as fast as can be: this is done for each crop
    except OSError as error:
        raise DataError(f"{path}: cannot train on this image: {error.strerror}") from error
    return f"{os.path.realpath(path)}\0{stat.st_size}\0{stat.st_mtime_ns}".encode("utf-8", "surrogateescape")


class PixelCache:
    """Decoded images, kept in memory up to a budget; those beyond it are decoded at each use."""

    def __init__(self, budget: int = CACHE_BYTES) -> None:
        self.left = budget  # bytes
        self.kept: dict[str, Rgb] = {}

    def load(self, path: str) -> Rgb:
        """uint8 [H, W, 3]. Raises DataError for an image that cannot be decoded."""
        if path in self.kept:
            return self.kept[path]
        rgb = decode_or_raise(path)
        if rgb.nbytes <= self.left:
            self.left -= rgb.nbytes
            self.kept[path] = rgb
        return rgb


class DecodedImages:
    """The images below a folder, by where they came from and how large they are at most.

    side: in px: an image whose shorter side is longer is reduced to it; none is enlarged. budget: bytes that the folder may
    hold; images beyond it are decoded at each use. Several processes may use one folder; each counts what was there when it
    began and what it and its loader processes have added.
    """

    def __init__(self, folder: Path, side: int, budget: int) -> None:
        self.folder = folder / f"side-{side}"
        self.side = side
        self.budget = budget
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{self.folder}: cannot keep decoded images there: {error.strerror}") from error
        self.used = multiprocessing.Value("q", sum(file.stat().st_size for file in folder.rglob("*.npy")))

    def load(self, path: str) -> Rgb:
        """uint8 [H, W, 3], read-only. Raises DataError for an image that cannot be decoded."""
        file = self.locate(path)
        with suppress(OSError, ValueError):  # not there yet, or not whole
            return np.asarray(np.load(file, mmap_mode="r"))
        rgb = bound_image(decode_or_raise(path), self.side)
        self.keep(file, rgb)
        return rgb

    def locate(self, path: str) -> Path:
        """The file of an image; another one once the image has changed."""
        digest = hashlib.sha256(identify_file(path) + f"\0{CROP_VERSION}".encode()).hexdigest()[:32]
        return self.folder / digest[:2] / f"{digest}.npy"

    def keep(self, file: Path, rgb: Rgb) -> None:
        """Write an image, whole or not at all, where the budget and the disk allow it."""
        with self.used.get_lock():
            if self.used.value + rgb.nbytes > self.budget:
                return
            self.used.value += rgb.nbytes
        with suppress(OSError):  # a full disk costs speed, no more
            file.parent.mkdir(exist_ok=True)
            with replacing(file) as aside, aside.open("wb") as opened:
                np.save(opened, rgb)


def bound_image(rgb: Rgb, side: int) -> Rgb:
    """An image with its shorter side at no more than `side` px, the aspect ratio kept."""
    height, width = rgb.shape[:2]
    shorter = min(height, width)
    if shorter <= side:
        return rgb
    shape = (round(height * side / shorter), round(width * side / shorter))
    return cut_box(rgb, (0, 0, width, height), shape)
