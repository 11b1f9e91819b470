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


def make_sparse(name: str, data: bytes, place: int, size: int, form: int) -> bytes:
    """An entry of a tar as `tar --sparse` writes it: a file of that size, of holes but for data at a place."""
    if form == tarfile.PAX_FORMAT:
        stored = f"1\n{place}\n{len(data)}\n".encode().ljust(tarfile.BLOCKSIZE, b"\0") + data
        info = tarfile.TarInfo(f"GNUSparseFile.1/{name}")
        facts = {"major": "1", "minor": "0", "name": name, "realsize": str(size)}
        info.pax_headers = {f"GNU.sparse.{key}": value for key, value in facts.items()}
        info.size = len(stored)
        head = info.tobuf(form)
    else:
        stored, info = data, tarfile.TarInfo(name)
        info.type, info.size = tarfile.GNUTYPE_SPARSE, len(data)
        block = bytearray(info.tobuf(form))
        block[386:410], block[483:495] = b"%011o\0%011o\0" % (place, len(data)), b"%011o\0" % size
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        head = bytes(block)
    return head + stored + b"\0" * (-len(stored) % tarfile.BLOCKSIZE)


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
