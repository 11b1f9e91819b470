"""What `find` promises: a folder gives the same files in the same order, with nothing left out in silence."""

import io
import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from pictures import HEIC_HEAD, PICTURE, encode_any
from unseen import make_unreadable

from iqa_cli.images.decode import decode_image
from iqa_cli.images.find import NameFilter, find_images, read_paths

NO_SUCH_USER = os.name != "posix" or os.geteuid() == 0  # root may read everything


def touch(top: Path, *names: str) -> None:
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(b"x")


def find(*paths: Path | str) -> tuple[list[str], dict[str, int]]:
    left_out: Counter[str] = Counter()
    return list(find_images(map(str, paths), left_out)), dict(left_out)


def test_files_come_as_named_whatever_they_are(tmp_path: Path) -> None:
    touch(tmp_path, "b.jpg", "a.txt", ".hidden.png")
    named = [f"{tmp_path}/{name}" for name in ("b.jpg", "a.txt", "gone.jpg", ".hidden.png", "b.jpg", "../x//y.jpg")]
    assert find(*named, "", "nul\0") == ([*named, "", "nul\0"], {})


def test_a_folder_gives_its_files_then_its_folders_by_the_bytes_of_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "z.jpg", "B.PNG", "a.jpeg", "b/2.webp", "b/1.avif", "a/c/x.tif", "a/z.bmp", "Ä.gif", "a.b/x.jpg")
    found, left_out = find(tmp_path)
    names = ["B.PNG", "a.jpeg", "z.jpg", "Ä.gif", "a/z.bmp", "a/c/x.tif", "a.b/x.jpg", "b/1.avif", "b/2.webp"]
    assert found == [f"{tmp_path}/{name}" for name in names]
    assert left_out == {}


def test_the_folder_stands_in_the_paths_as_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "-n/x.jpg", "x.jpg")
    monkeypatch.chdir(tmp_path)
    assert find(".")[0] == ["./x.jpg", "./-n/x.jpg"]
    assert find("-n", "./-n/", f"../{tmp_path.name}/-n")[0] == ["-n/x.jpg", "./-n/x.jpg", f"../{tmp_path.name}/-n/x.jpg"]


def test_what_a_folder_holds_besides_images_is_counted(tmp_path: Path) -> None:
    touch(tmp_path, "a.txt", "b.TXT", "README", ".DS_Store", ".git/x.jpg", "odd.j pg", "dots...", "x.heic", "y.CR2", "z.psd")
    touch(tmp_path, "v.svg", "w.jxl", "movie.mp4", "folder.jpg/inside.jpg")
    (tmp_path / "photo.txt").write_bytes(encode_any("JPEG"))
    (tmp_path / "photo").write_bytes(encode_any("WEBP"))
    (tmp_path / "truly.heic").write_bytes(encode_any("PNG"))
    (tmp_path / "phone.bin").write_bytes(HEIC_HEAD)
    (tmp_path / "nowhere.jpg").symlink_to(tmp_path / "gone")
    (tmp_path / "circle.jpg").symlink_to(tmp_path / "circle.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    found, left_out = find(tmp_path)
    images = ("phone.bin", "photo", "photo.txt", "truly.heic", "w.jxl", "x.heic", "y.CR2", "z.psd", "folder.jpg/inside.jpg")
    assert found == [f"{tmp_path}/{name}" for name in images]
    assert left_out == {
        "*.txt": 2,
        "*.mp4": 1,
        "no suffix": 3,
        "hidden": 2,
        "SVG image": 1,
        "broken link": 2,
        "not a regular file": 1,
    }


def test_outputs_that_are_being_written_are_not_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", ".scores.csv.4711.part", ".report.html.4711.part", ".own.part")
    assert find(tmp_path) == ([f"{tmp_path}/a.jpg"], {"hidden": 1})


def test_a_hidden_folder_is_walked_when_named(tmp_path: Path) -> None:
    touch(tmp_path, ".album/x.jpg")
    assert find(tmp_path / ".album")[0] == [f"{tmp_path}/.album/x.jpg"]
    assert find(tmp_path) == ([], {"hidden": 1})


def test_links_are_followed_but_never_in_circles(tmp_path: Path) -> None:
    touch(tmp_path, "album/x.jpg", "elsewhere/y.jpg", "album/deep/z.jpg")
    (tmp_path / "album/up").symlink_to(tmp_path / "album")
    (tmp_path / "album/deep/up").symlink_to("..")
    (tmp_path / "album/more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "album/twice").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "album/one.jpg").symlink_to(tmp_path / "elsewhere/y.jpg")
    found, left_out = find(tmp_path / "album")
    assert found == [f"{tmp_path}/album/{name}" for name in ("one.jpg", "x.jpg", "deep/z.jpg", "more/y.jpg")]
    assert left_out == {"link to a folder already seen": 3}
    found, left_out = find(tmp_path)  # here the link is met before the folder itself
    assert [Path(path).name for path in found] == ["one.jpg", "x.jpg", "z.jpg", "y.jpg"]
    assert left_out == {"link to a folder already seen": 3, "folder already seen through a link": 1}


def test_a_folder_named_twice_is_walked_twice(tmp_path: Path) -> None:
    touch(tmp_path, "x.jpg")
    assert find(tmp_path, tmp_path)[0] == [f"{tmp_path}/x.jpg"] * 2


@pytest.mark.skipif(NO_SUCH_USER, reason="needs a user who may not read everything")
def test_folders_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").touch(mode=0)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    assert find(tmp_path) == ([f"{tmp_path}/x.jpg"], {"folder that cannot be read": 1})
    closed.chmod(0o700)


def test_a_folder_that_cannot_be_read_is_counted_whoever_asks(tmp_path: Path) -> None:
    touch(tmp_path, "x.jpg", "deep/y.jpg")
    make_unreadable(tmp_path / "deep")
    assert find(tmp_path) == ([f"{tmp_path}/x.jpg", f"{tmp_path}/deep/y.jpg"], {"folder that cannot be read": 1})


@pytest.mark.skipif(NO_SUCH_USER, reason="needs a user who may not read everything")
def test_what_only_its_content_would_tell_and_that_cannot_be_read(tmp_path: Path) -> None:
    touch(tmp_path, "unknown", "locked/in.jpg")
    (tmp_path / "unknown").chmod(0)
    (tmp_path / "link.jpg").symlink_to("locked/in.jpg")
    (tmp_path / "locked").chmod(0)
    assert find(tmp_path) == ([], {"file that cannot be read": 2, "folder that cannot be read": 1})
    (tmp_path / "locked").chmod(0o700)


def test_folders_nested_deeper_than_python_calls(tmp_path: Path) -> None:
    folders = [Path(f"{tmp_path}{'/d' * depth}") for depth in range(1, sys.getrecursionlimit() + 100)]
    for folder in folders:
        folder.mkdir()
    photo = folders[-1] / "x.jpg"
    photo.write_bytes(b"x")
    assert find(tmp_path) == ([str(photo)], {})
    photo.unlink()
    for folder in reversed(folders):  # by hand, because pytest's own tidying calls itself
        folder.rmdir()


def test_files_are_found_lazily(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.jpg", "b/y.jpg")
    files = find_images([str(tmp_path)], Counter())
    assert next(files).endswith("a/x.jpg")
    touch(tmp_path, "b/late.jpg")
    assert [Path(path).name for path in files] == ["late.jpg", "y.jpg"]


NAMES = [
    "new\nline.jpg",
    "quo'te\".jpg",
    "-dash.jpg",
    "tab\t.jpg",
    "star*?.jpg",
    "$(x).jpg",
    " .jpg",
    os.fsdecode(b"\xff\xfe.jpg"),
]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems forbid such names")
@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_found_listed_and_decoded(tmp_path: Path, name: str) -> None:
    path = os.path.join(tmp_path, name)  # noqa: PTH118  # as find_images joins it
    Path(path).write_bytes(encode_any("PNG"))
    assert find(tmp_path)[0] == [path]
    assert list(read_paths(io.BytesIO(os.fsencode(path) + b"\0"), null_separated=True)) == [path]
    assert (decode_image(path).rgb == PICTURE).all()


def test_lists_of_paths() -> None:
    lines = b"a.jpg\n\nb c.jpg\r\n \xc3\xa4.jpg\n\xff.jpg\n-x\nlast"
    assert list(read_paths(io.BytesIO(lines), null_separated=False)) == [
        "a.jpg",
        "b c.jpg",
        " ä.jpg",
        "\udcff.jpg",
        "-x",
        "last",
    ]
    nulls = b"a\n.jpg\0\0b\r\0last"
    assert list(read_paths(io.BytesIO(nulls), null_separated=True)) == ["a\n.jpg", "b\r", "last"]
    assert list(read_paths(io.BytesIO(b""), null_separated=True)) == []
    long = [f"{i:07}" for i in range(50_000)]
    assert list(read_paths(io.BytesIO("\0".join(long).encode()), null_separated=True)) == long


def test_a_list_is_read_as_it_comes() -> None:
    source, sink = os.pipe()
    with os.fdopen(source, "rb") as stream, os.fdopen(sink, "wb", buffering=0) as writer:
        writer.write(b"one\0two")
        paths = read_paths(stream, null_separated=True)
        assert next(paths) == "one"
        writer.write(b"\0")
        assert next(paths) == "two"


@pytest.mark.parametrize(
    "name", ["@eaDir", "#recycle", "@Recycle", "$RECYCLE.BIN", "$Recycle.Bin", "lost+found", "Photos Library.photoslibrary"]
)
def test_folders_of_the_system_are_left_out_and_counted_but_for_those_named(tmp_path: Path, name: str) -> None:
    touch(tmp_path, f"album/{name}/x.jpg", "album/y.jpg", ".AppleDouble/z.jpg")
    assert find(tmp_path) == ([f"{tmp_path}/album/y.jpg"], {"system folder": 1, "hidden": 1})
    assert find(tmp_path / "album" / name) == ([f"{tmp_path}/album/{name}/x.jpg"], {})


def test_names_that_are_wanted_and_not(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a_thumb.jpg", "b.png", "raw/c.jpg", "raw/d.JPG", "thumbs/e.jpg", "notes.txt")

    def choose(*, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> tuple[list[str], dict[str, int]]:
        left_out: Counter[str] = Counter()
        found = find_images([str(tmp_path)], left_out, NameFilter(include, exclude))
        return [path.removeprefix(f"{tmp_path}/") for path in found], dict(left_out)

    assert choose(include=("*.jpg",)) == (["a.jpg", "a_thumb.jpg", "raw/c.jpg", "thumbs/e.jpg"], {"excluded": 3})
    assert choose(include=("raw/*",)) == (["raw/c.jpg", "raw/d.JPG"], {"excluded": 5})
    assert choose(exclude=("*thumb*",)) == (
        ["a.jpg", "b.png", "raw/c.jpg", "raw/d.JPG"],
        {"excluded": 1, "excluded folder": 1, "*.txt": 1},
    )
    assert choose(include=("*.jpg", "*.png"), exclude=("raw", "a*")) == (
        ["b.png", "thumbs/e.jpg"],
        {"excluded folder": 1, "excluded": 3},
    )


def test_a_named_file_is_scored_whatever_is_excluded(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    assert list(find_images([f"{tmp_path}/a.jpg"], Counter(), NameFilter(exclude=("*",)))) == [f"{tmp_path}/a.jpg"]
