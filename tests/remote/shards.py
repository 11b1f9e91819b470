"""Archives for tests, as other programs write them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

Files = Iterable[tuple[str, bytes]]


def write_tar(path: Path, files: Files, mode: str = "w", *, end: bool = True) -> Path:
    """A tar of these files in this order. end: with its end mark."""
    with open(path, "wb") as file:  # noqa: PTH123
        archive = tarfile.open(fileobj=file, mode=mode)  # noqa: SIM115
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        if end:
            archive.close()
    return path


def write_zip(path: Path, files: Files, compression: int = zipfile.ZIP_STORED) -> Path:
    """A zip of these files in this order."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return path


def read_files(folder: Path) -> list[tuple[str, bytes]]:
    """The files in a folder with their paths in it, those in the folder first, as they are scored."""
    files = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: (len(path.parts), path))
    return [(str(path.relative_to(folder)), path.read_bytes()) for path in files]
