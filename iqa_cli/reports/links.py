"""Links from a page to photos: relative, so that folder and page may be moved together."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from iqa_cli.files.atomic import STDOUT, is_stream


def find_folder(page: Path) -> Path:
    """The folder that links are relative to: that of the page, or the current one where the page goes to a stream."""
    return Path.cwd() if page == STDOUT or is_stream(page) else page.absolute().parent


def link_photo(path: str, folder: Path) -> str:
    """The relative URL of a file from a page in a folder; bytes that are no UTF-8 are spelt as the bytes they are.

    Empty for what is no file and has a name as URLs and what is in archives have, or one that goes up, as may be in an archive:
    it would lead nowhere, or to another file.
    """
    if (os.pardir in Path(path).parts or "://" in path or "::" in path) and not os.path.lexists(path):
        return ""
    head, name = os.path.split(path)
    return quote(os.fsencode(os.path.join(relate_folder(head, str(folder)), name)))  # noqa: PTH118


@lru_cache(maxsize=4096)
def relate_folder(head: str, folder: str) -> str:
    """The way from a folder to that of a photo, between their names as they are written: browsers know `..` by its text alone.

    Where from the folder's name without links it would lead elsewhere, it goes by the root, above which no `..` leads: so it is
    right from both. It begins with a dot, so that no colon in a name is taken for a scheme.
    """
    photos, page = spell_out(head), spell_out(folder)
    way, real = os.path.relpath(photos, page), os.path.realpath(page)
    if os.path.realpath(os.path.normpath(os.path.join(real, way))) != os.path.realpath(photos):  # noqa: PTH118
        way = os.path.join(*[os.pardir] * max(page.count("/"), real.count("/")), photos.lstrip("/"))  # noqa: PTH118
    return way if way.startswith(".") else os.path.join(".", way)  # noqa: PTH118


def spell_out(folder: str) -> str:
    """The absolute name of a folder as it is written, but for `..`, which is not the way back through a link."""
    upper, up, lower = f"{Path(folder).absolute()}/".rpartition(f"/{os.pardir}/")
    return os.path.normpath(os.path.join(os.path.realpath(upper + up), lower) if up else lower)  # noqa: PTH118
