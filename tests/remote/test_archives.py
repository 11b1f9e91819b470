import bz2
import gzip
import io
import json
import lzma
import os
import stat
import tarfile
import tracemalloc
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Run, read_rows, wait_until
from shards import make_sparse, read_files, write_tar, write_zip

from iqa_cli import ScoreOptions, Scorer, score_images
from iqa_cli.images.find import EVERYTHING, NameFilter
from iqa_cli.records import ScoreRecord, Status
from iqa_cli.remote.find import find_sources
from iqa_cli.remote.names import is_archive, plainly, split_key, split_member
from iqa_cli.scoring.sources import LazyFile, Unreadable, name_source


def score(model: Path, *paths: object, **options: object) -> list[ScoreRecord]:
    return list(score_images([str(path) for path in paths], ScoreOptions(str(model), **options)))


def inside(records: list[ScoreRecord], place: object) -> list[ScoreRecord]:
    """The records with their paths below a folder or an archive."""
    return [replace(record, path=record.path.removeprefix(str(place)).lstrip(":/")) for record in records]


def list_names(*paths: object, names: NameFilter = EVERYTHING) -> tuple[list[str], dict[str, int]]:
    left_out = Counter[str]()
    return [name_source(source) for source in find_sources(map(str, paths), left_out, names)], dict(left_out)


def find_first(archive: Path) -> LazyFile:
    source = next(iter(find_sources([str(archive)], Counter())))
    assert isinstance(source, LazyFile)
    return source


def test_a_pattern_is_no_name_of_one_photo(model: Path, photos: Path, tmp_path: Path) -> None:
    first, second = (photos / "01.jpg").read_bytes(), (photos / "02.jpg").read_bytes()
    archive = write_tar(tmp_path / "a.tar", [("a1.jpg", first), ("a[1].jpg", second), ("b.jpg", first)])
    with Scorer(model) as scorer:
        several = scorer.score(f"{archive}::*.jpg")
        assert (several.path, several.status) == (f"{archive}::*.jpg", Status.MISSING)
        assert "matches several files: name one of them" in several.detail
        assert scorer.score(f"{archive}::b*").path == f"{archive}::b.jpg", "the only one may be meant"
        named = scorer.score(f"{archive}::a[1].jpg")
        assert (named.path, named.score) == (f"{archive}::a[1].jpg", scorer.score(second).score)
        assert scorer.score(f"{archive}::c*").status is Status.MISSING
        everything = scorer.score_many(find_sources([f"{archive}::*.jpg"], Counter()))
        assert [record.path for record in everything] == [f"{archive}::{name}.jpg" for name in ("a1", "a[1]", "b")]


PACKINGS = {
    "a.tar": lambda path, files: write_tar(path, files),
    "pax.tar": lambda path, files: write_tar(path, [(f"{'deep/' * 40}{name}", data) for name, data in files]),
    "a.tar.gz": lambda path, files: write_tar(path, files, "w:gz"),
    "a.tgz": lambda path, files: write_tar(path, files, "w:gz"),
    "a.tar.bz2": lambda path, files: write_tar(path, files, "w:bz2"),
    "a.tar.xz": lambda path, files: write_tar(path, files, "w:xz"),
    "A.TAR": lambda path, files: write_tar(path, files),
    "stored.zip": lambda path, files: write_zip(path, files),
    "deflated.zip": lambda path, files: write_zip(path, files, zipfile.ZIP_DEFLATED),
    "lzma.zip": lambda path, files: write_zip(path, files, zipfile.ZIP_LZMA),
}


@pytest.mark.parametrize("name", PACKINGS)
@pytest.mark.parametrize("batch_size", [1, 5])
def test_an_archive_scores_as_the_folder_does_to_the_last_bit(
    model: Path, photos: Path, tmp_path: Path, name: str, batch_size: int
) -> None:
    archive = PACKINGS[name](tmp_path / name, read_files(photos))
    records = inside(score(model, archive, batch_size=batch_size), archive)
    assert [replace(r, path=r.path.replace("deep/", "")) for r in records] == inside(score(model, photos), photos)


def test_the_path_of_a_record_can_be_typed_back(model: Path, photos: Path, tmp_path: Path) -> None:
    for archive in (write_tar(tmp_path / "0.tar", read_files(photos)), write_zip(tmp_path / "0.zip", read_files(photos))):
        records = score(model, archive)
        assert score(model, *(record.path for record in records)) == records
        chained = [f"{archive.suffix[1:]}://{member}::{outer}" for outer, member in (each.path.split("::") for each in records)]
        assert score(model, *chained) == records
        assert len(score(model, f"{archive}::more/*.jpg")) == 4
        (missing,) = score(model, f"{archive}::gone.jpg")
        assert (missing.path, missing.status) == (f"{archive}::gone.jpg", Status.MISSING)


def test_what_is_no_image_is_left_out_and_counted_as_in_folders(tmp_path: Path, photos: Path) -> None:
    photo = (photos / "01.jpg").read_bytes()
    files = [
        ("0001.jpg", photo),
        ("0001.json", b"{}"),
        ("0001.txt", b"a caption"),
        ("0002.json", b"{}"),
        ("./0003.jpg", photo),
        ("._0003.jpg", b"of a Mac"),
        ("__MACOSX/0003.jpg", b"of a Mac"),
        ("no-suffix", photo),
        ("README", b"text"),
        ("a.svg", b"<svg>"),
        ("thumbs/0001.jpg", photo),
        ("a/b/0001.jpg", photo),
    ]
    wanted = ["0001.jpg", "./0003.jpg", "no-suffix", "a/b/0001.jpg"]
    left_out = {"*.json": 2, "*.txt": 1, "hidden": 1, "system folder": 1, "no suffix": 1, "SVG image": 1}
    for archive in (
        write_tar(tmp_path / "a.tar", files),
        write_tar(tmp_path / "a.tgz", files, "w:gz"),
        write_zip(tmp_path / "a.zip", files),
    ):
        found = [f"{archive}::{name}" for name in wanted]
        assert list_names(archive, names=NameFilter(exclude=("thumbs",))) == (found, {**left_out, "in an excluded folder": 1})
        assert list_names(archive, names=NameFilter(max_depth=1))[0] == found[:3]
        assert list_names(archive, names=NameFilter(include=("0003*",)))[0] == found[1:2]
        assert list_names(f"{archive}::0001.txt") == ([f"{archive}::0001.txt"], {})  # who names it wants to hear of it


def test_names_that_lead_out_of_the_archive_are_only_names(iqa: Run, model: Path, tmp_path: Path, photos: Path) -> None:
    photo = (photos / "01.jpg").read_bytes()
    names = ["../photos/a.jpg", "../../b.jpg", "c/../../d.jpg", "../.hidden/e.jpg", "../thumbs/f.jpg"]
    (expected,) = score(model, photos / "01.jpg")
    for archive in (
        write_zip(tmp_path / "a.zip", [(n, photo) for n in names]),
        write_tar(tmp_path / "a.tar", [(n, photo) for n in names]),
    ):
        found = [f"{archive}::{name}" for name in names[:3]]
        wanted = NameFilter(exclude=("thumbs",))
        assert list_names(archive, names=wanted) == (found, {"hidden": 1, "in an excluded folder": 1})
        assert list_names(archive, names=NameFilter(include=("photos/*",)))[0] == found[:1]
        assert list_names(archive, names=NameFilter(max_depth=1))[0] == found[1:3]
        records = score(model, archive, exclude=("thumbs",))
        assert [(record.path, record.score) for record in records] == [(path, expected.score) for path in found]
        assert score(model, *found) == records
        before = sorted(tmp_path.rglob("*"))
        for path in found:
            done = iqa("score", "-", "-m", model, "--write-xmp", input=path.encode(), cwd=tmp_path)
            assert [row["status"] for row in read_rows(done.stdout)] == ["missing"]
        assert sorted(tmp_path.rglob("*")) == before


def test_files_of_a_zip_that_cannot_be_read_may_be_images(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", [("a.jpg", (photos / "01.jpg").read_bytes()), ("unknown", b"x" * 99)])
    data = bytearray(archive.read_bytes())
    data[data.rindex(b"unknown") - 46 + 8] |= 1  # says that it is encrypted
    archive.write_bytes(data)
    done = iqa("score", archive, "-m", model, "-q")
    assert (done.returncode, len(read_rows(done.stdout))) == (1, 1)
    assert b"1 file that cannot be read: there may be images that have no score" in done.stderr


def test_links_folders_and_devices_in_a_tar_are_no_images(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        kinds = {"a.jpg": tarfile.SYMTYPE, "b.jpg": tarfile.LNKTYPE, "c.jpg": tarfile.FIFOTYPE, "d": tarfile.DIRTYPE}
        for name, kind in kinds.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert list_names(tmp_path / "a.tar") == ([], {"link": 2, "not a regular file": 1})
    for name, kind in (("a.jpg", "link"), ("b.jpg", "link"), ("c.jpg", "not a regular file")):
        (named,) = find_sources([f"{tmp_path}/a.tar::{name}"], Counter())
        assert named.failure.detail.startswith(f"{kind}: "), "who names it wants to hear of it"  # type: ignore[union-attr]


def make_links(path: Path, entries: list[tuple[str, bytes | str]], mode: str = "w") -> Path:
    """A tar of files, whose bytes are given, and of hard links, with the names that they lead to; without bytes a folder."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in entries:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.LNKTYPE, content
            elif content:
                info.size = len(content)
            else:
                info.type = tarfile.DIRTYPE
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return path


def test_hard_links_in_a_tar_score_as_those_in_a_folder(model: Path, photos: Path, tmp_path: Path) -> None:
    folder, archive = tmp_path / "hl", tmp_path / "hl.tar"
    folder.mkdir()
    for name in ("01", "04"):
        (folder / f"{name}.jpg").write_bytes((photos / f"{name}.jpg").read_bytes())
        os.link(folder / f"{name}.jpg", folder / f"{name}-again.jpg")
    with tarfile.open(archive, "w") as opened:
        for name in ("01.jpg", "01-again.jpg", "04-again.jpg", "04.jpg"):
            opened.add(folder / name, name)
        assert sum(info.islnk() for info in opened.getmembers()) == 2
    os.utime(archive, (1, 1))
    wait_until(lambda: find_first(archive).state is not None)
    expected = inside(score(model, folder), folder)
    for options in ({}, {"batch_size": 3}, {"cache": True}, {"cache": True}):
        assert sorted(inside(score(model, archive, **options), archive), key=lambda record: record.path) == expected
    for record in score(model, archive):
        assert score(model, record.path) == [record], "each can be named"


def test_a_hard_link_is_the_file_that_had_the_name_before_it_and_nothing_else(tmp_path: Path) -> None:
    entries: list[tuple[str, bytes | str]] = [
        ("early.jpg", "later.jpg"),
        ("./a.jpg", b"first"),
        ("b.jpg", "a.jpg"),
        ("c.jpg", "./b.jpg"),
        ("a.jpg", b"second"),
        ("d.jpg", "a.jpg"),
        ("e.jpg", "c.jpg"),
        ("folder", b""),
        ("f.jpg", "folder"),
        ("g.jpg", "g.jpg"),
        ("h.jpg", "/etc/passwd"),
        ("i.jpg", "../hl.tar"),
        ("later.jpg", b"late"),
        ("h.jpg", b"own"),
        ("a.jpg", "nowhere"),
        ("j.jpg", "a.jpg"),
    ]
    archive = make_links(tmp_path / "hl.tar", entries)
    (tmp_path / "later.jpg").write_bytes(b"outside")
    left_out = Counter[str]()
    found = [source.fetch() for source in find_sources([str(archive)], left_out)]  # type: ignore[union-attr]
    names = [f"{archive}::{name}" for name in ("./a.jpg", "b.jpg", "c.jpg", "a.jpg", "d.jpg", "e.jpg", "later.jpg", "h.jpg")]
    data = [b"first", b"first", b"first", b"second", b"second", b"first", b"late", b"own"]
    assert [(each.name, each.data) for each in found] == list(zip(names, data, strict=True))  # type: ignore[union-attr]
    assert left_out == {"link": 7}
    archive.write_bytes(archive.read_bytes()[: 512 * 5])  # where the second a.jpg begins
    cut = list(find_sources([str(archive)], Counter()))
    assert [name_source(source) for source in cut] == [*names[:3], str(archive)]


def test_a_hard_link_in_a_packed_tar_is_a_row_that_says_so(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    photo = (photos / "01.jpg").read_bytes()
    entries = [("a.jpg", photo), ("b.jpg", "a.jpg"), ("a.txt", "a.jpg"), ("c.jpg", photo)]
    archive = make_links(tmp_path / "a.tgz", entries, "w:gz")  # type: ignore[arg-type]
    done = iqa("score", archive, "-m", model)
    rows = read_rows(done.stdout)
    assert [row["path"] for row in rows] == [f"{archive}::{name}.jpg" for name in "abc"]
    assert [row["status"] for row in rows] == ["ok", "unsupported", "ok"]
    assert "a hard link to 'a.jpg'" in rows[1]["detail"]
    assert (done.returncode, b"left out: 1 *.txt" in done.stderr) == (1, True)
    assert read_rows(iqa("score", f"{archive}::b.jpg", "-m", model).stdout) == rows[1:2]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_sizes_of_what_is_no_regular_file_end_no_listing(tmp_path: Path, photos: Path, form: int) -> None:
    """A file with holes is larger than the tar that it is in, and of a link it is the size of another file."""
    photo = (photos / "01.jpg").read_bytes()
    first = write_tar(tmp_path / "first", [("0001.jpg", photo)], end=False).read_bytes()
    last = write_tar(tmp_path / "last", [("0002.jpg", photo)]).read_bytes()
    link = tarfile.TarInfo("0001.txt")
    link.type, link.linkname, link.size = tarfile.LNKTYPE, "0001.jpg", 1 << 30
    sparse = make_sparse("0001.npy", b"X" * 700, 1 << 20, 1 << 28, form)
    archive = tmp_path / "a.tar"
    archive.write_bytes(first + sparse + link.tobuf() + last)
    found = [f"{archive}::{name}" for name in ("0001.jpg", "0001.txt", "0002.jpg")]  # the link is what it leads to, an image
    assert list_names(archive) == (found, {"not a regular file": 1})
    archive.write_bytes(first + sparse[:-600])
    (photo_there, cut) = find_sources([str(archive)], Counter())
    assert (name_source(photo_there), name_source(cut)) == (found[0], str(archive))
    assert cut.failure.detail == "the archive is cut short"  # type: ignore[union-attr]


def test_two_files_of_one_name_are_two_rows(model: Path, photos: Path, tmp_path: Path) -> None:
    files = [("0.jpg", (photos / name).read_bytes()) for name in ("01.jpg", "02.jpg")]
    archive = write_tar(tmp_path / "a.tar", files)
    os.utime(archive, (1, 1))
    wait_until(lambda: find_first(archive).state is not None)
    expected = [record.score for record in score(model, photos / "01.jpg", photos / "02.jpg")]
    assert expected[0] != expected[1]
    for _ in range(2):
        assert [record.score for record in score(model, archive, cache=True)] == expected


# ---- broken ones ----


@pytest.mark.parametrize("packing", ["tar", "tar.gz", "tar.xz"])
def test_a_tar_cut_short_gives_the_rows_before_the_cut_and_one_for_it(
    model: Path, photos: Path, tmp_path: Path, packing: str
) -> None:
    whole = write_tar(tmp_path / "whole.tar", read_files(photos))
    pack = {"tar": bytes, "tar.gz": gzip.compress, "tar.xz": lzma.compress}[packing]
    data, expected = whole.read_bytes(), inside(score(model, photos), photos)
    with tarfile.open(whole) as archive:
        fifth = archive.getmembers()[4]
    cuts = {
        "in a file": fifth.offset_data + 100,
        "in a header": fifth.offset + 100,
        "between files": fifth.offset,
        "in what fills up a block": fifth.offset_data + fifth.size + 1,
    }
    for where, place in cuts.items():
        broken = tmp_path / f"broken.{packing}"
        broken.write_bytes(pack(data[:place]))
        other = tmp_path / "other.tar"
        other.write_bytes(data)
        records = score(model, broken, other)
        count = 5 if where == "in what fills up a block" else 4
        assert inside(records[:count], broken) == expected[:count], where
        assert records[count].status is Status.DAMAGED, where
        assert "cut short" in records[count].detail
        assert records[count].path == (f"{broken}::{fifth.name}" if where == "in a file" else str(broken)), where
        assert inside(records[-12:], other) == expected, where
        assert len(records) == count + 1 + 12, where


def test_packed_data_that_end_early_are_a_row(model: Path, photos: Path, tmp_path: Path) -> None:
    data = write_tar(tmp_path / "whole.tar", read_files(photos)).read_bytes()
    for name, pack in (("a.tgz", gzip.compress), ("a.tbz", bz2.compress), ("a.txz", lzma.compress)):
        packed = pack(data)
        (tmp_path / name).write_bytes(packed[: len(packed) * 2 // 3])
        records = score(model, tmp_path / name)
        assert records[-1].status is Status.DAMAGED
        assert {record.status for record in records[:-1]} <= {Status.OK, Status.DAMAGED}
        assert len(records) <= 12


def test_a_damaged_header_is_a_row_that_says_where(model: Path, photos: Path, tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", read_files(photos))
    with tarfile.open(archive) as opened:
        third = opened.getmembers()[2]
    data = bytearray(archive.read_bytes())
    data[third.offset : third.offset + 512] = b"x" * 512
    archive.write_bytes(data)
    records = score(model, archive)
    assert [record.status for record in records] == [Status.OK, Status.OK, Status.DAMAGED]
    assert f"damaged at byte {third.offset:,}" in records[2].detail


def test_what_only_is_called_an_archive_is_what_it_is(model: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.tar").write_bytes((photos / "01.jpg").read_bytes())
    (tmp_path / "text.tar").write_text("text" * 1000)
    (tmp_path / "text.zip").write_text("text" * 1000)
    (tmp_path / "empty.tar").touch()
    (tmp_path / "folder.tar").mkdir()
    (tmp_path / "folder.tar" / "a.jpg").write_bytes((photos / "02.jpg").read_bytes())
    names = ["photo.tar", "text.tar", "text.zip", "empty.tar", "folder.tar", "gone.tar", "gone.tar::a.jpg"]
    records = score(model, *(tmp_path / name for name in names))
    assert [record.status for record in records] == ["ok", "damaged", "damaged", "damaged", "ok", "missing", "missing"]
    assert records[4].path == str(tmp_path / "folder.tar" / "a.jpg")
    (tmp_path / "a.tar::b.jpg").write_bytes((photos / "04.jpg").read_bytes())
    assert [record.status for record in score(model, tmp_path / "a.tar::b.jpg")] == ["ok"]


def test_files_in_a_zip_that_cannot_be_read_are_rows(model: Path, photos: Path, tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", read_files(photos), zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(archive) as opened:
        second, third = opened.infolist()[1:3]
        start = opened.start_dir
    data = bytearray(archive.read_bytes())
    data[second.header_offset + 200] ^= 255
    entry = data.index(third.filename.encode(), start) - 46
    data[entry + 8] |= 1  # says that it is encrypted
    archive.write_bytes(data)
    records = score(model, archive)
    assert [record.status for record in records] == ["ok", "damaged", "denied", *["ok"] * 9]
    assert "password" in records[2].detail


def test_a_file_packed_in_an_unknown_way_is_a_row(model: Path, photos: Path, tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", read_files(photos), zipfile.ZIP_STORED)
    data = bytearray(archive.read_bytes())
    for header, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):  # of the first file: before its data, and at the end
        data[data.index(header) + place] = 97  # the number of the compression
    archive.write_bytes(data)
    records = score(model, archive)
    assert [record.status for record in records] == ["unsupported", *["ok"] * 11]  # nothing is lost
    assert "compression method is not supported" in records[0].detail


def test_a_zip_of_a_later_version_is_not_damaged(model: Path, photos: Path, tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", read_files(photos))
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 6] = 99  # the version that is needed
    archive.write_bytes(data)
    assert [record.status for record in score(model, archive)] == ["unsupported"]


def test_a_zip_that_unpacks_itself_is_read(model: Path, photos: Path, tmp_path: Path) -> None:
    plain = write_zip(tmp_path / "a.zip", read_files(photos))
    late = tmp_path / "b.zip"
    late.write_bytes(b"#!/bin/sh\nexec unzip $0\n" + b"x" * 2000 + plain.read_bytes())
    assert inside(score(model, late), late) == inside(score(model, plain), plain)
    broken = tmp_path / "c.zip"
    broken.write_bytes(b"#!/bin/sh\n" + b"x" * 2000)
    assert [record.status for record in score(model, broken)] == ["damaged"]


def test_a_tar_that_ends_with_a_zip_is_a_tar(model: Path, photos: Path, tmp_path: Path) -> None:
    photo = (photos / "01.jpg").read_bytes()
    inner = write_zip(tmp_path / "a.zip", [("b.jpg", photo)]).read_bytes()
    archive = write_tar(tmp_path / "a.tar", [("c.jpg", photo), ("a.zip", inner)])
    assert [record.path for record in score(model, archive)] == [f"{archive}::c.jpg"]


def test_folders_in_a_zip_may_be_written_with_backslashes(tmp_path: Path, photos: Path) -> None:
    photo = (photos / "01.jpg").read_bytes()
    slashes = ["photos/a.jpg", "photos/.hidden/b.jpg", "__MACOSX/._a.jpg", "photos/thumbs/c.jpg", "photos/d/", "no-suffix"]
    archives = []
    for name, separator in (("a.zip", "/"), ("b.zip", "\\")):
        files = [(each.replace("/", separator), b"" if each.endswith("/") else photo) for each in slashes]
        archives.append((write_zip(tmp_path / name, files), separator))
    for archive, separator in archives:
        found, left_out = list_names(archive, names=NameFilter(exclude=("thumbs",)))
        assert found == [f"{archive}::photos{separator}a.jpg", f"{archive}::no-suffix"]
        assert left_out == {"hidden": 2, "in an excluded folder": 1}
        assert list_names(archive, names=NameFilter(max_depth=1))[0] == [f"{archive}::no-suffix"]
        assert list_names(f"{archive}::photos{separator}a.jpg")[0] == [f"{archive}::photos{separator}a.jpg"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_an_archive_that_may_not_be_read_is_a_row(model: Path, photos: Path, tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", read_files(photos))
    archive.chmod(0)
    assert [record.status for record in score(model, archive)] == [Status.DENIED]
    archive.chmod(stat.S_IRUSR)


def test_a_file_too_large_to_hold_is_not_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("huge.jpg")
    info.size = 3 << 30
    with open(tmp_path / "a.tar", "wb") as file:  # noqa: PTH123
        file.write(info.tobuf())
        file.truncate(512 + info.size + 1024)  # of holes
    (source,) = find_sources([str(tmp_path / "a.tar")], Counter())
    outcome = source.fetch()  # type: ignore[union-attr]
    assert isinstance(outcome, Unreadable)
    assert outcome.failure.status is Status.TOO_LARGE


# ---- the cache ----


def test_scores_of_an_archive_are_kept_until_it_changes(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    archive, files = tmp_path / "a.tar", read_files(photos)
    write_tar(archive, files)
    arguments = ["score", archive, "-m", model, "--csv", tmp_path / "scores.csv"]
    wait_until(lambda: find_first(archive).state is not None)
    first = iqa(*arguments)
    assert b"from the cache" not in first.stderr
    rows = read_rows((tmp_path / "scores.csv").read_bytes())
    assert b"12 from the cache" in iqa(*arguments).stderr
    assert read_rows((tmp_path / "scores.csv").read_bytes()) == rows
    write_tar(archive, [(name, files[-1 - place][1]) for place, (name, _) in enumerate(files)])
    assert b"from the cache" not in iqa(*arguments).stderr
    again = read_rows((tmp_path / "scores.csv").read_bytes())
    assert [row["score"] for row in again] == [row["score"] for row in reversed(rows)]


# ---- the command line ----


def test_shards_are_scored_by_pattern_and_by_list(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    for number, (_, data) in enumerate(read_files(photos)[:3]):
        key = f"{number:05}0000"
        write_tar(tmp_path / f"{number:05}.tar", [(f"{key}.jpg", data), (f"{key}.json", json.dumps({"key": key}).encode())])
    names = [f"{number:05}.tar::{number:05}0000.jpg" for number in range(3)]
    by_pattern = iqa("score", "*.tar", "-m", model, cwd=tmp_path)
    assert [row["path"] for row in read_rows(by_pattern.stdout)] == names
    assert b"left out: 3 *.json" in by_pattern.stderr
    by_list = iqa("score", "-", "-m", model, cwd=tmp_path, input=b"00000.tar\n00001.tar::000010000.jpg\n00002.tar::*.jpg\n")
    assert by_list.stdout == by_pattern.stdout
    assert iqa("score", "*.tar::*.jpg", "-m", model, cwd=tmp_path).stdout == by_pattern.stdout
    inside_nothing = iqa("score", "0000?.tar::*.png", "-m", model, cwd=tmp_path)
    assert [row["status"] for row in read_rows(inside_nothing.stdout)] == ["missing"] * 3
    nothing = iqa("score", "9*.tar", "-m", model, cwd=tmp_path)
    assert b"none matches this pattern" in nothing.stderr


def test_archives_in_folders_are_left_out_with_a_word_on_how_to_name_them(
    iqa: Run, model: Path, photos: Path, tmp_path: Path
) -> None:
    write_tar(tmp_path / "0.tar", read_files(photos))
    done = iqa("score", tmp_path, "-m", model)
    assert done.returncode == 4
    assert b"1 *.tar" in done.stderr
    assert b"iqa score DIR/*.tar" in done.stderr


def test_an_output_never_takes_the_place_of_an_archive(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "0.tar", read_files(photos))
    before = archive.read_bytes()
    for named in (str(archive), f"{archive}::00.jpg", f"tar://01.jpg::{archive}"):
        assert iqa("score", named, "-m", model, "--csv", archive).returncode == 2
    assert archive.read_bytes() == before


def test_no_sidecar_is_written_for_an_image_in_an_archive(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "0.tar", read_files(photos))
    for arguments in ([archive], [f"{archive}::01.jpg"]):
        done = iqa("score", *arguments, "-m", model, "--write-xmp")
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"no file here" in done.stderr
    iqa("score", "-", "-m", model, "--write-xmp", input=f"{archive}\n{archive}::01.jpg\n".encode())
    assert [path.name for path in tmp_path.iterdir()] == ["0.tar"]


def test_names_that_are_no_utf_8_are_kept_as_bytes(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    archive = tmp_path / os.fsdecode(b"sh\xffard.tar")
    write_tar(
        archive, [(os.fsdecode(b"caf\xe9.jpg"), (photos / "01.jpg").read_bytes()), ("ä.jpg", (photos / "02.jpg").read_bytes())]
    )
    lines = iqa("score", archive, "-m", model).stdout.splitlines()
    assert lines[1].startswith(os.fsencode(archive) + b"::caf\xe9.jpg,")
    assert lines[2].startswith(os.fsencode(archive) + "::ä.jpg,".encode())
    again = iqa("score", b"%s::caf\xe9.jpg" % os.fsencode(archive), "-m", model)
    assert again.stdout.splitlines()[1] == lines[1]


# ---- names ----


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("0.tar::a.jpg", ("0.tar", "a.jpg")),
        ("s/0.tar.gz::b/a.jpg", ("s/0.tar.gz", "b/a.jpg")),
        ("s/0.tgz::b.tar::a.jpg", ("s/0.tgz", "b.tar::a.jpg")),
        ("x::y.jpg", None),
        ("0.tar", None),
        ("0.tar::", None),
        (".tar::a.jpg", None),
    ],
)
def test_a_name_has_an_archive_and_a_path_in_it(path: str, parts: tuple[str, str] | None) -> None:
    assert split_member(path) == parts
    assert is_archive(path) == (parts is not None or path == "0.tar")


def test_chains_of_fsspec_are_names_of_the_same(tmp_path: Path) -> None:
    assert plainly("zip://a/b.jpg::x.zip") == "x.zip::a/b.jpg"
    assert plainly("tar://*.jpg::s3://bucket/x.tar") == "s3://bucket/x.tar::*.jpg"
    assert plainly("zip://::x.zip") == "x.zip"
    assert plainly(f"{tmp_path}/a.zip") == f"{tmp_path}/a.zip"


def test_a_url_of_a_file_may_say_that_it_is_here(tmp_path: Path, photos: Path) -> None:
    archive = write_tar(tmp_path / "a b.tar", read_files(photos)[:1])
    name = f"{tmp_path}/a%20b.tar"
    for url in (f"file://{name}", f"file://localhost{name}", f"FILE://LocalHost{name}"):
        assert plainly(url) == str(archive)
        assert list_names(url) == list_names(f"{url}::*") == list_names(f"tar://*::{url}") == list_names(archive)
    assert plainly("file://localhost.jpg") == "localhost.jpg"
    assert plainly("file:///localhost/a.jpg") == "/localhost/a.jpg"


def test_keys_are_those_of_webdataset() -> None:
    assert split_key("000000012.jpg") == ("000000012", "jpg")
    assert split_key("train/0001.seg.png") == ("train/0001", "seg.png")
    assert split_key("v1.0/0001.jpg") == ("v1.0/0001", "jpg")


def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    peaks = []
    for count in (100, 10_000):
        archive = write_tar(tmp_path / "a.tar", ((f"{number:06}.jpg", b"") for number in range(count)))
        tracemalloc.start()
        assert sum(1 for _ in find_sources([str(archive)], Counter())) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0]
