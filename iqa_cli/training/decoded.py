"""DecodedImages: images decoded once, in a folder, for all epochs, loader processes and trainings.

Decoding a photo of many megapixels takes longer than training on a crop of it, and loader processes share no memory. So each
image is kept as a file of plain pixels, reduced to a bounded size, which processes map into memory: a crop reads no more of it
than it shows, and the operating system keeps what is read often.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from contextlib import suppress
from pathlib import Path

import numpy as np

from iqa_cli.errors import DataError
from iqa_cli.images.crops import CUT, Rgb, cut_box
from iqa_cli.training.samples import decode_or_raise


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
        place = self.locate(path)
        with suppress(OSError, ValueError):  # not there yet, or not whole
            return np.asarray(np.load(place, mmap_mode="r"))
        rgb = bound_image(decode_or_raise(path), self.side)
        self.keep(place, rgb)
        return rgb

    def locate(self, path: str) -> Path:
        """The file of an image; another one once the image has changed."""
        try:
            facts = os.stat(path)  # noqa: PTH116  as fast as can be: this is done for each crop
        except OSError as error:
            raise DataError(f"{path}: cannot train on this image: {error.strerror}") from error
        named = f"{os.path.realpath(path)}\0{facts.st_size}\0{facts.st_mtime_ns}\0{CUT}"
        digest = hashlib.sha256(named.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return self.folder / digest[:2] / f"{digest}.npy"

    def keep(self, place: Path, rgb: Rgb) -> None:
        """Put an image there, whole or not at all, where the budget and the disk allow it."""
        with self.used.get_lock():
            if self.used.value + rgb.nbytes > self.budget:
                return
            self.used.value += rgb.nbytes
        aside = place.with_name(f"{place.name}.{os.getpid()}.part")
        try:
            place.parent.mkdir(exist_ok=True)
            with aside.open("wb") as file:
                np.save(file, rgb)
            aside.replace(place)
        except OSError:  # a full disk costs speed, no more
            with suppress(OSError):
                aside.unlink()


def bound_image(rgb: Rgb, side: int) -> Rgb:
    """An image with its shorter side at no more than `side` px, the aspect ratio kept."""
    height, width = rgb.shape[:2]
    shorter = min(height, width)
    if shorter <= side:
        return rgb
    shape = (round(height * side / shorter), round(width * side / shorter))
    return cut_box(rgb, (0, 0, width, height), shape)
