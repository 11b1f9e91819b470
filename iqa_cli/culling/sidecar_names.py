"""Names of sidecars: which ones a photo has, which it would get, and which pictures one is about."""

from __future__ import annotations

from pathlib import Path

from iqa_cli.culling.companions import FolderNames, split_name
from iqa_cli.culling.rating_options import SidecarStyle

STYLES = (SidecarStyle.ADOBE, SidecarStyle.DARKTABLE)


def name_sidecar(photo: Path, style: SidecarStyle, folders: FolderNames) -> Path:
    """How a photo's sidecar is called, in a style that is one way; where IMG.xmp is another picture's it is IMG.png.xmp."""
    owns = style is SidecarStyle.ADOBE and folders.find(photo.parent).owns_stem(photo.name)
    return photo.with_name(f"{split_name(photo.name)[0] if owns else photo.name}.xmp")


def find_sidecars(photo: Path, folders: FolderNames) -> dict[SidecarStyle, Path]:
    """The sidecars that a photo has, by style; the suffix in any case. Raises OSError where the folder cannot be listed."""
    names = list(folders.find(photo.parent).list_sidecars(photo.name))
    found: dict[SidecarStyle, Path] = {}
    for style in STYLES:
        usual = name_sidecar(photo, style, folders).name
        alike = [name for name in names if name.lower() == usual.lower()]
        if alike:
            found[style] = photo.with_name(usual if usual in alike else min(alike))
    return found


def choose_sidecars(photo: Path, style: SidecarStyle | None, folders: FolderNames) -> list[Path]:
    """Where a photo's rating goes. Raises OSError."""
    there = find_sidecars(photo, folders)
    if style is None and there:
        return list(there.values())
    wanted = STYLES if style is SidecarStyle.BOTH else (style or SidecarStyle.ADOBE,)
    return [there.get(one) or name_sidecar(photo, one, folders) for one in wanted]


def list_pictures(sidecar: Path, photo: Path, folders: FolderNames) -> set[Path]:
    """The pictures that a sidecar of a photo is about: all of the shot, unless it has the photo's whole name.

    Raises OSError where the folder cannot be listed.
    """
    if sidecar.name.lower() == f"{photo.name}.xmp".lower():
        return {photo}
    return {photo, *map(photo.with_name, folders.find(photo.parent).list_shot(photo.name))}
