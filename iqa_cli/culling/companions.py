"""Companions: the files that belong to a photo, found by their names. What is moved without them is lost to its program."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from iqa_cli.images.formats import RAW, kind_of_suffix

PAIRED = re.compile(r"\.(jpe?g|jpe|hei[cf]|hif|tiff?)")
"""What cameras and scanners write beside a RAW file, or beside each other, of one shot; in lower case, as all suffixes here."""
SIDECARS = re.compile(
    r"\.(xmp|acr"  # Adobe, darktable, digiKam and most others; Adobe's masks
    r"|pp3|arp|dop|on1|onphoto|vrd|dr4|nksc?|co[spt]|comask|exposurex\d*"  # settings of RawTherapee, ART, DxO, ON1, Canon, ...
    r"|aae|thm|wav|mov|mp4|lrv)"  # Apple's edits, thumbnails, spoken notes, the film of a live photo
)
"""What belongs to the picture whose name it has, with the picture's own suffix before it or without."""
NOTES = re.compile(r"(\.supplemental-metadata)?\.json\Z", re.IGNORECASE)  # of Google's exports, behind the whole name
INNER = ("NKSC_PARAM", "CaptureOne/Settings*")
"""Folders beside the photos in which Nikon's programs and Capture One keep settings, behind the whole name."""
VERSION = re.compile(r"(.+)_\d\d(\.[^.]+)", re.DOTALL)  # IMG_01.CR3.xmp is darktable's second version of IMG.CR3


class FolderNames:
    """The names in folders, each read once; for many photos of a few folders. Changes since then are not seen."""

    def __init__(self) -> None:
        self._folders: dict[Path, Names] = {}

    def find(self, folder: Path) -> Names:
        """The names in a folder. Raises OSError where it cannot be listed."""
        if folder not in self._folders:
            self._folders[folder] = Names(folder)
        return self._folders[folder]


class Names:
    """The files of one folder by what they may belong to.

    by_stem: name without its suffix -> names. by_photo: name of a picture, its suffix in lower case -> names behind which there
    is more, those in settings folders with the folder. versions: such a name -> names of its versions, and their sidecars.
    Raises OSError where the folder cannot be listed.
    """

    def __init__(self, folder: Path) -> None:
        self.by_stem: dict[str, list[str]] = defaultdict(list)
        self.by_photo: dict[str, list[str]] = defaultdict(list)
        self.versions: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for name in list_files(folder):
            self.by_stem[split_name(name)[0]].append(name)
            self._add_behind(name, name)
        for pattern in INNER:
            for inner in sorted(folder.glob(pattern)):
                with suppress(OSError):  # a file of that name
                    for name in list_files(inner):
                        self._add_behind(name, str(inner.relative_to(folder) / name))

    def _add_behind(self, name: str, below: str) -> None:
        if notes := NOTES.search(name):
            self.by_photo[lower_suffix(name[: notes.start()])].append(below)
        elif SIDECARS.fullmatch(split_name(name)[1]):
            photo = lower_suffix(split_name(name)[0])
            self.by_photo[photo].append(below)
            if name.lower().endswith(".xmp") and (version := VERSION.fullmatch(photo)):
                self.versions[version[1] + version[2]].append((photo, below))

    def list_shot(self, photo: str) -> list[str]:
        """The pictures of one shot, as RAW and JPEG, the photo among them; a PNG or the like is a shot of its own."""
        same = self.by_stem.get(split_name(photo)[0], [])
        return [name for name in same if is_paired(name)] if is_paired(photo) else [photo]

    def owns_stem(self, photo: str) -> bool:
        """Whether sidecars without a picture's suffix are this one's: those beside IMG.jpg and IMG.png are the JPEG's.

        Those beside IMG.png and IMG.webp may be either's, and are nobody's.
        """
        return is_paired(photo) or not self.list_namesakes(photo)

    def list_namesakes(self, photo: str) -> list[str]:
        """The other pictures whose names begin as this one's, of whatever shots."""
        return [name for name in self.by_stem.get(split_name(photo)[0], ()) if name != photo and is_picture(name)]

    def list_shared(self, photo: str) -> list[str]:
        """The files without a picture's suffix that may be this one's or another's, where neither is part of a shot."""
        namesakes = self.list_namesakes(photo)
        if is_paired(photo) or not namesakes or any(map(is_paired, namesakes)):
            return []
        return self._list_stem(photo)

    def has_photo(self, sidecar: str) -> bool:
        """Whether there is a photo that a sidecar of this name, which need not be there, is about."""
        photo = split_name(sidecar)[0]
        whole = (lower_suffix(name) == lower_suffix(photo) for name in self.by_stem.get(split_name(photo)[0], ()))
        return any(whole) or any(map(is_picture, self.by_stem.get(photo, ())))

    def _list_stem(self, photo: str) -> list[str]:
        """The files without a picture's suffix that have the name of a picture."""
        return [name for name in self.by_stem.get(split_name(photo)[0], ()) if SIDECARS.fullmatch(split_name(name)[1])]

    def list_sidecars(self, photo: str) -> Iterator[str]:
        """The other files that have the picture's name, with its suffix or without."""
        stem = split_name(photo)[0]
        yield from self.by_photo.get(lower_suffix(photo), ())
        for version, sidecar in self.versions.get(lower_suffix(photo), ()):
            if version not in map(lower_suffix, self.by_stem.get(split_name(version)[0], ())):  # a picture of its own
                yield sidecar
        if self.owns_stem(photo):
            yield from self._list_stem(photo)
        if apple := re.fullmatch(r"IMG_(\d+)", stem):  # what an edit in Apple's Photos began with
            yield from (name for name in self.by_stem.get(f"IMG_O{apple[1]}", ()) if name.lower().endswith(".aae"))


def list_companions(photo: Path, folders: FolderNames | None = None) -> list[Path]:
    """The other files that belong to a photo: sidecars, sound, film, and the other pictures of its shot with theirs.

    They stand in the photo's folder, but for settings that some programs keep in folders in it: whoever moves them keeps the
    part of the path that is below the photo's folder. In the order of their names. A folder that is called so is none of them.
    The photo need not be there. folders: names read before, for many photos. Raises OSError where the folder cannot be listed.
    """
    names = (folders or FolderNames()).find(photo.parent)
    shot = {photo.name, *names.list_shot(photo.name)}
    found = {*shot, *(sidecar for picture in shot for sidecar in names.list_sidecars(picture))} - {photo.name}
    return [photo.parent / name for name in sort_names(found)]


def is_paired(name: str) -> bool:
    """Whether a picture of this name may be one of several of a shot."""
    suffix = split_name(name)[1]
    return PAIRED.fullmatch(suffix) is not None or kind_of_suffix(suffix) == RAW


def is_picture(name: str) -> bool:
    """Whether a file of this name is a picture of any kind."""
    return kind_of_suffix(split_name(name)[1]) != ""


def list_files(folder: Path) -> list[str]:
    """The names of the files in a folder, sorted, those of links to files among them. Raises OSError."""
    with os.scandir(folder) as entries:
        return sort_names(entry.name for entry in entries if may_be_moved(entry))


def may_be_moved(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a file, or a link to one or to nothing."""
    try:
        return entry.is_file() or (entry.is_symlink() and not entry.is_dir())
    except OSError:  # links in a circle
        return True


def sort_names(names: Iterable[str]) -> list[str]:
    """By their bytes, as `images.find` sorts them."""
    return sorted(names, key=os.fsencode)


def split_name(name: str) -> tuple[str, str]:
    """A name without its last suffix, and the suffix in lower case, which may be empty."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122  # a Path takes ten times as long
    return stem, suffix.lower()


def lower_suffix(name: str) -> str:
    """The name with its suffix in lower case: a.CR3 and a.cr3 are one picture, A.CR3 is another."""
    return "".join(split_name(name))
