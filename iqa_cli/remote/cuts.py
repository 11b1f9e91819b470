"""Tars that break off: the last sample before that, and the files that are whole."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager

from iqa_cli.records import Undecodable
from iqa_cli.remote.archives import NotingInfo, draw_headers, naming_failures
from iqa_cli.remote.names import split_key


def find_cut(path: str) -> tuple[str | None, bool]:
    """The key of the last sample before a tar breaks off, None for a whole tar; and whether files of it may only be missing.

    Where a tar ends behind a whole file, it may be that nothing is missing but its end mark. Raises OSError, tarfile.TarError.
    """
    last, whole = None, False
    with tarfile.open(path, tarinfo=NotingInfo) as archive:
        with ending_at_cut():
            for info in draw_headers(archive):
                last = split_key(info.name)[0]
            whole = True
        at_end = isinstance(archive.ending, tarfile.EmptyHeaderError)  # type: ignore[attr-defined]
    return (None, False) if whole else (last, at_end)


def draw_files(archive: tarfile.TarFile, keys: set[str]) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """The whole files of some samples, up to where a tar breaks off. archive: with NotingInfo. Raises OSError."""
    with ending_at_cut():
        for info in draw_headers(archive):
            if split_key(info.name)[0] not in keys or not info.isfile():
                continue
            data = archive.extractfile(info)
            block = data.read() if data is not None else b""
            if len(block) == info.size:
                yield info, block


@contextmanager
def ending_at_cut() -> Iterator[None]:
    """Ends the block where a tar breaks off, or is damaged. Raises OSError where it is the system that refuses."""
    try:
        with naming_failures():
            yield
    except Undecodable as failure:
        if isinstance(failure.__cause__, OSError):
            raise failure.__cause__ from None
