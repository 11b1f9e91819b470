"""Which files belong to a photo: real names of cameras, telephones and programs, real folders."""

import os
from pathlib import Path

import pytest

from iqa_cli.culling.companions import FolderNames, list_companions


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode("utf-8", "surrogateescape"))
    return folder


def find(folder: Path, photo: str) -> list[str]:
    return [str(path.relative_to(folder)) for path in list_companions(folder / photo)]


OTHERS = ("IMG_2.CR3", "IMG_2.xmp", "IMG_10.xmp", "IMG_1 copy.xmp", "img_1.xmp", "IMG_1.txt", "IMG_1", "notes.xmp", "IMG_1.csv")


@pytest.mark.parametrize(
    ("photo", "companions"),
    [
        ("IMG_1.CR3", ["IMG_1.xmp"]),  # Lightroom, Bridge, Capture One, Photo Mechanic
        ("IMG_1.CR3", ["IMG_1.XMP"]),
        ("IMG_1.CR3", ["IMG_1.CR3.xmp"]),  # darktable, digiKam
        ("IMG_1.CR3", ["IMG_1.cr3.XMP"]),
        ("IMG_1.CR3", ["IMG_1.CR3.xmp", "IMG_1.xmp", "IMG_1_01.CR3.xmp", "IMG_1_02.CR3.xmp"]),  # darktable's versions
        ("IMG_1.CR3", ["IMG_1.CR3.pp3", "IMG_1.CR3.dop", "IMG_1.on1", "IMG_1.acr", "IMG_1.VRD"]),
        ("IMG_1.CR3", ["CaptureOne/Settings153/IMG_1.CR3.cos", "IMG_1.xmp"]),
        ("IMG_1.NEF", ["NKSC_PARAM/IMG_1.NEF.nksc"]),
        ("IMG_1.CR3", ["IMG_1.JPG", "IMG_1.JPG.xmp", "IMG_1.WAV", "IMG_1.xmp"]),  # both of a pair, with what both have
        ("IMG_1.JPG", ["IMG_1.CR3", "IMG_1.CR3.xmp", "IMG_1.xmp"]),
        ("IMG_1.HEIC", ["IMG_1.AAE", "IMG_1.MOV", "IMG_O1.AAE"]),  # an edited live photo
        ("IMG_1.HIF", ["IMG_1.ARW", "IMG_1.JPG"]),
        ("IMG_1.tif", ["IMG_1.jpg"]),  # an archive's master and its copy for use
        ("IMG_1.jpg", ["IMG_1.jpg.json", "IMG_1.jpg.supplemental-metadata.json"]),  # Google Takeout
        ("IMG_1.jpg", []),
        ("a.b.c.jpg", ["a.b.c.jpg.xmp", "a.b.c.raf", "a.b.c.xmp"]),
        ("\udce4\u00e4 (1).jpg", ["\udce4\u00e4 (1).xmp"]),
    ],
)
def test_what_belongs_to_a_photo_and_nothing_else(tmp_path: Path, photo: str, companions: list[str]) -> None:
    fill(tmp_path, photo, *companions, *OTHERS)
    assert sorted(find(tmp_path, photo)) == sorted(companions)


def test_all_of_a_shot_find_each_other(tmp_path: Path) -> None:
    shot = ["a.CR3", "a.CR3.xmp", "a.HIF", "a.jpg", "a.jpg.dop", "a.wav", "a.xmp"]
    fill(tmp_path, *shot)
    for photo in ("a.CR3", "a.HIF", "a.jpg"):
        assert find(tmp_path, photo) == [name for name in shot if name != photo]


def test_a_sidecar_belongs_to_the_shot_rather_than_to_another_picture_of_its_name(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "a.png", "a.xmp", "a.png.xmp", "b.png", "b.xmp")
    assert find(tmp_path, "a.jpg") == ["a.xmp"]
    assert find(tmp_path, "a.png") == ["a.png.xmp"]
    assert find(tmp_path, "b.png") == ["b.xmp"]


def test_a_sidecar_beside_pictures_that_are_no_shot_is_neithers(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "a.webp", "a.xmp", "a.png.xmp", "a.webp.xmp")
    assert find(tmp_path, "a.png") == ["a.png.xmp"]
    assert find(tmp_path, "a.webp") == ["a.webp.xmp"]
    names = FolderNames().find(tmp_path)
    assert (names.list_shared("a.png"), names.list_namesakes("a.png")) == (["a.xmp"], ["a.webp"])
    (tmp_path / "a.jpg").touch()
    assert FolderNames().find(tmp_path).list_shared("a.png") == []


def test_a_photo_of_its_own_is_no_version_of_another(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "a_01.jpg", "a_01.jpg.xmp", "a_02.jpg.xmp", "a_02.jpg.pp3")
    assert find(tmp_path, "a.jpg") == ["a_02.jpg.xmp"]
    assert find(tmp_path, "a_01.jpg") == ["a_01.jpg.xmp"]


def test_folders_are_no_companions_and_links_are(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "elsewhere/b.xmp", "CaptureOne/notes")
    (tmp_path / "a.mov").mkdir()
    (tmp_path / "a.xmp").symlink_to("elsewhere/b.xmp")
    (tmp_path / "a.jpg.xmp").symlink_to("nowhere")
    (tmp_path / "a.on1").symlink_to("a.on1")
    (tmp_path / "a.dop").symlink_to("elsewhere")
    os.mkfifo(tmp_path / "a.wav")
    assert find(tmp_path, "a.jpg") == ["a.jpg.xmp", "a.on1", "a.xmp"]


def test_many_photos_take_one_look_at_the_folder(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "a.xmp", "b.jpg")
    folders = FolderNames()
    assert list_companions(tmp_path / "b.jpg", folders) == []
    (tmp_path / "b.xmp").touch()
    assert list_companions(tmp_path / "b.jpg", folders) == []
    assert list_companions(tmp_path / "a.jpg", folders) == [tmp_path / "a.xmp"]
    assert list_companions(tmp_path / "b.jpg") == [tmp_path / "b.xmp"]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list_companions(tmp_path / "gone" / "a.jpg")
