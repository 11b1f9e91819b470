"""Ratings of photos: which sidecars they go into, what is left alone, and the way back."""

import io
import os
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("lxml", reason="needs the [xmp] extra")

from conftest import wait_until
from in_process import environment
from packets import SIDECARS
from PIL import Image

from iqa_cli.culling.own_ratings import LARGEST
from iqa_cli.culling.rating_options import RatingOptions, SidecarStyle
from iqa_cli.culling.ratings import RATING, STARS
from iqa_cli.culling.sidecar_undo import Outcome, UndoLog, Undone, read_log, undo_ratings
from iqa_cli.culling.sidecars import Rated, rate_photos
from iqa_cli.culling.xmp import BLOCK, Packet, find_packets
from iqa_cli.culling.xmp import LARGEST as PACKET
from iqa_cli.errors import DataError
from iqa_cli.records import ScoreRecord, Status

FIXED = (20.0, 40.0, 60.0, 80.0)
BY_DARKTABLE = next(path for path in SIDECARS if path.stem == "darktable-history").read_bytes()
BY_LIGHTROOM = next(path for path in SIDECARS if path.stem == "lightroom-classic").read_bytes()
RATED = next(path for path in SIDECARS if path.stem == "lightroom-rated-picked").read_bytes()
Rate = Callable[..., Rated]


def record(path: Path | str, score: float) -> ScoreRecord:
    return ScoreRecord(str(path), Status.OK, "toy", score, 50.0, width=1, height=1)


@pytest.fixture
def undo(tmp_path_factory: pytest.TempPathFactory) -> UndoLog:
    return UndoLog(tmp_path_factory.mktemp("state"))


@pytest.fixture
def rate(tmp_path: Path, undo: UndoLog) -> Rate:
    """Rate photos of the folder by fixed limits: name=score, and options."""

    def run(scores: dict[str, float], style: SidecarStyle | None = None, *, overwrite: bool = False) -> Rated:
        done = Rated()
        records = [record(tmp_path / name, score) for name, score in scores.items()]
        rate_photos(records, RatingOptions(style, FIXED, overwrite=overwrite), undo, done)
        return done

    return run


def read(path: Path, name: str = RATING) -> list[str | None]:
    return Packet(path.read_bytes()).read(name)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- names ----


@pytest.mark.parametrize(
    ("there", "style", "written"),
    [
        ([], None, ["a.xmp"]),
        (["a.CR3.xmp"], None, ["a.CR3.xmp"]),
        (["a.XMP"], None, ["a.XMP"]),
        (["a.xmp", "a.CR3.xmp"], None, ["a.CR3.xmp", "a.xmp"]),
        ([], SidecarStyle.DARKTABLE, ["a.CR3.xmp"]),
        (["a.cr3.XMP"], SidecarStyle.DARKTABLE, ["a.cr3.XMP"]),
        (["a.CR3.xmp"], SidecarStyle.ADOBE, ["a.xmp"]),
        ([], SidecarStyle.BOTH, ["a.CR3.xmp", "a.xmp"]),
        (["a.XMP", "a.xmp"], SidecarStyle.ADOBE, ["a.xmp"]),
        (["a_01.CR3.xmp", "a.jpg.xmp", "b.xmp"], None, ["a.xmp"]),
    ],
)
def test_the_sidecars_of_a_photo(rate: Rate, tmp_path: Path, there: list[str], style: SidecarStyle, written: list[str]) -> None:
    for name in ("a.CR3", *there):
        (tmp_path / name).write_bytes(BY_DARKTABLE)
    before = snapshot(tmp_path)
    done = rate({"a.CR3": 65.0}, style)
    after = snapshot(tmp_path)
    assert sorted(name for name in after if after[name] != before.get(name)) == written
    assert [read(tmp_path / name) for name in written] == [["4"]] * len(written)
    assert (done.written, list(done.ratings.values()), done.own, done.failed) == (len(written), [4], set(), [])


def test_of_one_shot_the_better_score_counts(rate: Rate, tmp_path: Path) -> None:
    rate({"a.jpg": 30.0, "a.CR3": 50.0})
    assert read(tmp_path / "a.xmp") == ["3"]
    rate({"b.jpg": 30.0, "b.CR3": 50.0}, SidecarStyle.BOTH)
    assert [read(tmp_path / name) for name in ("b.xmp", "b.jpg.xmp", "b.CR3.xmp")] == [["3"], ["2"], ["3"]]


def test_another_picture_of_the_name_leaves_the_shot_its_sidecar(rate: Rate, tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        (tmp_path / name).touch()
    rate({"a.png": 90.0, "a.jpg": 30.0}, SidecarStyle.ADOBE)
    assert (read(tmp_path / "a.xmp"), read(tmp_path / "a.png.xmp")) == (["2"], ["5"])


def test_pictures_that_are_no_shot_have_sidecars_of_their_own(rate: Rate, tmp_path: Path) -> None:
    for name in ("a.png", "a.webp", "b.png", "b.xmp", "c.png", "c.webp", "c.xmp"):
        (tmp_path / name).write_bytes(BY_LIGHTROOM if name.endswith("xmp") else b"")
    done = rate({"a.png": 30.0, "a.webp": 70.0, "b.png": 50.0, "c.png": 30.0, "c.webp": 70.0})
    ratings = {path.name: read(path) for path in tmp_path.glob("*.xmp") if path.name != "c.xmp"}
    assert ratings == {
        **{"a.png.xmp": ["2"], "a.webp.xmp": ["4"], "b.xmp": ["3"]},
        **{"c.png.xmp": ["2"], "c.webp.xmp": ["4"]},
    }
    assert ((tmp_path / "c.xmp").read_bytes(), done.written) == (BY_LIGHTROOM, 5)
    (tmp_path / "c.xmp").write_bytes(RATED)  # of one of them: nobody knows which
    assert rate({"c.png": 90.0, "c.webp": 90.0}).own == {tmp_path / "c.png", tmp_path / "c.webp"}


def test_a_photo_by_several_names_counts_once(tmp_path: Path, undo: UndoLog) -> None:
    (tmp_path / "more").mkdir()
    paths = [tmp_path / "a.jpg", tmp_path / "more" / ".." / "a.jpg", *(tmp_path / f"{number}.jpg" for number in range(9))]
    done = Rated()
    rate_photos([record(path, 10.0 * place) for place, path in enumerate(paths)], RatingOptions(), undo, done)
    assert sorted(done.ratings.values()) == [1, 2, 2, 3, 3, 3, 3, 4, 4, 5]


def test_names_that_are_no_utf8(rate: Rate, tmp_path: Path, undo: UndoLog) -> None:
    name = os.fsdecode(b"\xe4 <b>&amp; \n.jpg")
    rate({name: 50.0})
    assert read(tmp_path / os.fsdecode(b"\xe4 <b>&amp; \n.xmp")) == ["3"]
    undo_ratings(undo.path, Undone())
    assert snapshot(tmp_path) == {}


# ---- a person's own ----


@pytest.mark.parametrize("there", ["a.xmp", "a.CR3.xmp"])
@pytest.mark.parametrize("style", [None, *SidecarStyle])
def test_a_rating_of_a_person_in_any_sidecar_wins(rate: Rate, tmp_path: Path, there: str, style: SidecarStyle) -> None:
    (tmp_path / there).write_bytes(RATED)
    done = rate({"a.CR3": 30.0}, style)
    assert snapshot(tmp_path) == {there: RATED}
    assert (done.own, done.ratings, done.written) == ({tmp_path / "a.CR3"}, {}, 0)
    done = rate({"a.CR3": 30.0}, style, overwrite=True)
    assert (done.own, list(done.ratings.values())) == (set(), [2])


def test_a_rating_in_the_picture_itself_wins(rate: Rate, tmp_path: Path) -> None:
    head = b"\xff\xd8\xff\xe1\0\0http://ns.adobe.com/xap/1.0/\0"
    (tmp_path / "rated.jpg").write_bytes(head + RATED + b"\xff\xd9")
    (tmp_path / "not.jpg").write_bytes(head + BY_LIGHTROOM + b"\xff\xd9")
    (tmp_path / "broken.jpg").write_bytes(head + b"<x:xmpmeta >" + b"</x:xmpmeta>")
    before = snapshot(tmp_path)
    done = rate(dict.fromkeys(before, 30.0))
    after = snapshot(tmp_path)
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {"not.xmp", "broken.xmp"}
    assert done.own == {tmp_path / "rated.jpg"}


@pytest.mark.parametrize("style", [None, SidecarStyle.ADOBE, SidecarStyle.BOTH])
@pytest.mark.parametrize("rated", ["a.CR3.xmp", "a.CR3", "a.HIF"])
def test_a_rating_of_another_picture_of_the_shot_wins(rate: Rate, tmp_path: Path, rated: str, style: SidecarStyle) -> None:
    """What is written is about the whole shot, also where one picture of it was scored."""
    for name in ("a.jpg", "a.CR3", "a.HIF"):
        (tmp_path / name).touch()
    (tmp_path / rated).write_bytes(RATED)
    done = rate({"a.jpg": 50.0}, style)
    assert not (tmp_path / "a.xmp").exists()
    assert done.own == {tmp_path / "a.jpg"}
    rate({"a.jpg": 50.0}, style, overwrite=True)
    assert read(tmp_path / "a.xmp") == ["3"]


def make_exif(tag: int, value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[tag] = value
    return exif


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_a_rating_in_exif_wins(rate: Rate, tmp_path: Path, suffix: str) -> None:
    for name, tag, value in (("stars", 0x4746, 5), ("percent", 0x4749, 99), ("none", 0x4746, 0), ("other", 0x0112, 3)):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.{suffix}", exif=make_exif(tag, value))
    done = rate(dict.fromkeys((path.name for path in tmp_path.iterdir()), 30.0))
    assert done.own == {tmp_path / f"stars.{suffix}", tmp_path / f"percent.{suffix}"}
    assert {path.stem for path in tmp_path.glob("*.xmp")} == {"none", "other"}


def find_graph(packet: bytes) -> bytes:
    """The RDF of a packet without what is around it."""
    return packet[packet.index(b"<rdf:RDF") : packet.index(b"</rdf:RDF>")] + b"</rdf:RDF>"


@pytest.mark.parametrize("before", [b"", b"<x:xmpmeta ", b"<rdf:RDF "])
def test_a_rating_in_a_packet_without_its_wrapper_wins(rate: Rate, tmp_path: Path, before: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8" + before + b"\0" * 9 + find_graph(RATED) + b"\xff")
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8" + before + b"\0" * 9 + find_graph(BY_LIGHTROOM) + b"\xff")
    assert rate({"a.jpg": 30.0, "b.jpg": 30.0}).own == {tmp_path / "a.jpg"}


def make_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content), name) + content + struct.pack(">I", zlib.crc32(name + content))


@pytest.mark.parametrize("behind", [False, True], ids=["before the pixels", "behind them"])
def test_a_rating_in_a_packed_packet_wins(rate: Rate, tmp_path: Path, behind: bool) -> None:
    """As PNG may have it, also in the hexadecimal of ImageMagick; with the wrapper or without."""
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    for name, packet in (("rated", RATED), ("bare", find_graph(RATED)), ("not", BY_LIGHTROOM), ("broken", b"<")):
        text = b"\nxmp\n%8d\n%s\n" % (len(packet), packet.hex().encode())
        for kind, chunk in (
            ("i", make_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(packet))),
            ("z", make_chunk(b"zTXt", b"Raw profile type xmp\0\0" + zlib.compress(text))),
            ("t", make_chunk(b"tEXt", b"Raw profile type xmp\0" + text)),
        ):
            at = -12 if behind else 33
            (tmp_path / f"{name} {kind}.png").write_bytes(picture.getvalue()[:at] + chunk + picture.getvalue()[at:])
    done = rate({path.name: 30.0 for path in tmp_path.iterdir()})
    assert {path.name for path in done.own} == {f"{name} {kind}.png" for name in ("rated", "bare") for kind in "itz"}


@pytest.mark.parametrize("before", [0, (1 << 18) + 7, BLOCK - 5, BLOCK - len(RATED) + 3, 3 * BLOCK + 1])
def test_a_rating_anywhere_in_the_picture_wins(rate: Rate, tmp_path: Path, before: int) -> None:
    """As a WebP has it behind the picture, and a HEIC behind the packet of another picture in it."""
    (tmp_path / "a.webp").write_bytes(b"\xff" * before + RATED + b"\0" * 99)
    (tmp_path / "b.heic").write_bytes(BY_LIGHTROOM + b"<x:xmpmeta " + b"\xff" * before + RATED + b"\0")
    done = rate({"a.webp": 30.0, "b.heic": 30.0})
    assert done.own == {tmp_path / "a.webp", tmp_path / "b.heic"}
    assert not list(tmp_path.glob("*.xmp"))


def test_a_packet_that_never_ends_is_not_held() -> None:
    class Endless(io.BytesIO):
        left = 60

        def read(self, size: int | None = -1) -> bytes:
            self.left -= 1
            return b"<x:xmpmeta " + b" " * ((size or 0) - 11) if self.left == 59 else b" " * BLOCK * (self.left > 0)

    tracemalloc.start()
    try:
        assert not list(find_packets(Endless()))
        assert tracemalloc.get_traced_memory()[1] < 3 * PACKET
    finally:
        tracemalloc.stop()


def test_ours_is_written_anew_until_a_person_changes_it(rate: Rate, tmp_path: Path) -> None:
    rate({"a.jpg": 30.0})
    done = rate({"a.jpg": 90.0})
    assert (read(tmp_path / "a.xmp"), read(tmp_path / "a.xmp", STARS), done.written) == (["5"], ["5"], 1)
    assert rate({"a.jpg": 90.0}).written == 0
    (tmp_path / "a.xmp").write_bytes((tmp_path / "a.xmp").read_bytes().replace(b'Rating="5"', b'Rating="2"'))
    assert rate({"a.jpg": 30.0}).own == {tmp_path / "a.jpg"}


# ---- what cannot be written ----


def test_what_is_broken_stays_and_the_others_are_written(rate: Rate, tmp_path: Path) -> None:
    broken = {"cut": BY_LIGHTROOM[:900], "empty": b"", "nul": b"\0" * 5000, "typed": b"<!DOCTYPE a>" + BY_LIGHTROOM}
    for name, data in broken.items():
        (tmp_path / f"{name}.xmp").write_bytes(data)
    (tmp_path / "huge.xmp").touch()
    os.truncate(tmp_path / "huge.xmp", LARGEST + 1)
    (tmp_path / "folder.xmp").mkdir()
    (tmp_path / "circle.xmp").symlink_to("circle.xmp")
    os.mkfifo(tmp_path / "pipe.xmp")
    others = ("huge", "folder", "circle", "pipe")
    done = rate(dict.fromkeys(["a.jpg", *(f"{name}.jpg" for name in (*broken, *others)), "z.jpg"], 50.0))
    assert {path.stem for path, reason in done.failed if reason} == {*broken, *others}
    assert {path.stem for path in done.ratings} == {"a", "z"}
    assert {name: (tmp_path / f"{name}.xmp").read_bytes() for name in broken} == broken
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_sidecar_that_may_only_be_read_stays(rate: Rate, tmp_path: Path) -> None:
    (tmp_path / "a.xmp").write_bytes(BY_LIGHTROOM)
    (tmp_path / "a.xmp").chmod(0o444)
    done = rate({"a.jpg": 50.0})
    assert done.failed == [(tmp_path / "a.xmp", "it may only be read")]
    assert snapshot(tmp_path) == {"a.xmp": BY_LIGHTROOM}


def test_mode_and_links_stay(rate: Rate, tmp_path: Path, undo: UndoLog) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "b.xmp").write_bytes(BY_LIGHTROOM)
    (tmp_path / "real" / "b.xmp").chmod(0o640)
    (tmp_path / "a.xmp").symlink_to("real/b.xmp")
    rate({"a.jpg": 50.0})
    assert (tmp_path / "a.xmp").readlink() == Path("real/b.xmp")
    assert (tmp_path / "real" / "b.xmp").stat().st_mode & 0o777 == 0o640
    assert read(tmp_path / "real" / "b.xmp") == ["3"]
    undo_ratings(undo.path, Undone())
    assert (tmp_path / "a.xmp").readlink() == Path("real/b.xmp")
    assert (tmp_path / "real" / "b.xmp").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "real" / "b.xmp").read_bytes() == BY_LIGHTROOM


# ---- undo ----


def test_undo_gives_back_all_bytes(rate: Rate, tmp_path: Path, undo: UndoLog) -> None:
    for path in SIDECARS:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    before = snapshot(tmp_path)
    rate({name: 50.0 for path in SIDECARS for name in (f"{path.stem}.jpg", f"new {path.stem}.jpg")}, overwrite=True)
    assert len(snapshot(tmp_path)) == 2 * len(before)
    done = Undone()
    undo_ratings(undo.path, done)
    assert snapshot(tmp_path) == before
    assert (done.outcomes, done.kept) == ({Outcome.RESTORED: len(before), Outcome.REMOVED: len(before)}, [])
    for path in SIDECARS:
        (tmp_path / f"new {path.stem}.jpg").touch()
    done = Undone()
    undo_ratings(undo.path, done)
    assert (done.outcomes, done.kept) == ({Outcome.UNTOUCHED: 2 * len(before)}, [])


def test_undo_says_what_it_does_not_find(rate: Rate, tmp_path: Path, undo: UndoLog) -> None:
    """A sidecar that is gone while its photo is there was removed; where both are gone nobody knows where they lie."""
    folder = tmp_path / "photos"
    folder.mkdir()
    names = ("a.jpg", "b.JPG", "c.CR3", "d.jpg", "e.png")
    for name in names:
        (folder / name).touch()
    (folder / "d.xmp").write_bytes(BY_LIGHTROOM)
    rate({f"photos/{name}": 50.0 for name in names}, SidecarStyle.DARKTABLE)
    rate({"photos/a.jpg": 50.0, "photos/d.jpg": 50.0}, SidecarStyle.ADOBE)
    folder.rename(tmp_path / "moved")
    done = Undone()
    undo_ratings(undo.path, done)
    assert {path.name for path in done.missing} == {*(f"{name}.xmp" for name in names), "a.xmp", "d.xmp"}
    assert (done.outcomes, done.kept) == ({}, [])
    folder.mkdir()
    for name in ("b.JPG", "d.jpg"):
        (folder / name).touch()
    for name in ("a.xmp", "c.CR3.pp3", "c.CR3.json", "e.png.xmp.txt", "e.png.txt"):
        (folder / name).touch()
    done = Undone()
    undo_ratings(undo.path, done)
    assert {path.name for path in done.missing} == {"a.jpg.xmp", "c.CR3.xmp", "e.png.xmp"}
    assert done.outcomes == {Outcome.UNTOUCHED: 2}
    assert {path.name: reason for path, reason in done.kept} == {
        "a.xmp": "it has been edited since",
        "d.xmp": "it has been removed since",
    }


def test_undo_keeps_what_a_person_has_edited_since(rate: Rate, tmp_path: Path, undo: UndoLog) -> None:
    for name in ("edited", "gone", "still"):
        (tmp_path / f"{name}.xmp").write_bytes(BY_LIGHTROOM)
    rate(dict.fromkeys(("edited.jpg", "gone.jpg", "still.jpg", "new.jpg", "fresh.jpg"), 50.0))
    for name in ("edited", "new"):
        (tmp_path / f"{name}.xmp").write_bytes((tmp_path / f"{name}.xmp").read_bytes().replace(b'Rating="3"', b'Rating="5"'))
    (tmp_path / "gone.xmp").unlink()
    (tmp_path / "gone.jpg").touch()
    done = Undone()
    undo_ratings(undo.path, done)
    assert {path.stem: reason for path, reason in done.kept} == {
        "edited": "it has been edited since",
        "new": "it has been edited since",
        "gone": "it has been removed since",
    }
    assert (tmp_path / "still.xmp").read_bytes() == BY_LIGHTROOM
    assert {path.stem for path in tmp_path.glob("*.xmp")} == {"edited", "new", "still"}
    assert read(tmp_path / "edited.xmp") == read(tmp_path / "new.xmp") == ["5"]


def test_an_undo_file_that_a_killed_run_left_is_enough(rate: Rate, tmp_path: Path, undo: UndoLog) -> None:
    (tmp_path / "a.xmp").write_bytes(BY_LIGHTROOM)
    rate({"a.jpg": 50.0, "b.jpg": 50.0})
    with undo.path.open("ab") as file:
        file.write(b'{"path": "c.xmp", "bef')  # the disk was full, or the machine went off
    (tmp_path / "b.xmp").unlink()  # noted, and killed before it was written
    (tmp_path / "b.jpg").touch()
    done = Undone()
    undo_ratings(undo.path, done)
    assert (done.outcomes, done.kept) == ({Outcome.RESTORED: 1, Outcome.UNTOUCHED: 1}, [])


KILLED = """
import signal, sys
from pathlib import Path
from iqa_cli.culling.rating_options import RatingOptions
from iqa_cli.culling.sidecar_undo import Outcome, Undone, UndoLog, read_log, undo_ratings
from iqa_cli.culling.sidecars import Rated, rate_photos
from iqa_cli.records import ScoreRecord, Status
folder, state = map(Path, sys.argv[1:])
log = UndoLog(state)
records = [ScoreRecord(f"{folder}/{n}.jpg", Status.OK, "toy", n / 10, 50.0, width=1, height=1) for n in range(900)]
renamed = []
def brake(event, args):  # the run waits to be killed before its end, however late that comes
    if event == "os.rename":
        renamed.append(args)
        if len(renamed) > 840:
            signal.pause()
sys.addaudithook(brake)
print(flush=True)
rate_photos(records, RatingOptions(), log, Rated())
"""


@pytest.mark.process
@pytest.mark.parametrize("number", [0, 1, 49, 120, 300])
def test_a_run_that_is_killed_loses_nothing(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, number: int) -> None:
    state = tmp_path_factory.mktemp("state")
    for photo in range(0, 900, 2):
        (tmp_path / f"{photo}.xmp").write_bytes(BY_DARKTABLE)
    before = snapshot(tmp_path)
    command = [sys.executable, "-c", KILLED, tmp_path, state]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        wait_until(lambda: len(list(tmp_path.glob("*.xmp"))) >= len(before) + number)  # so many are new
        process.kill()
    after = list(tmp_path.glob("*.xmp"))
    assert number <= len(after) - len(before) < 450
    assert all(read(path)[0] in ("0", "1", "2", "3", "4", "5") for path in after)  # each is whole, before or after
    for log in state.iterdir():
        undo_ratings(log, Undone())
    assert snapshot(tmp_path) == before


def test_nothing_written_is_nothing_to_undo(rate: Rate, undo: UndoLog, tmp_path: Path) -> None:
    (tmp_path / "a.xmp").write_bytes(RATED)
    rate({"a.jpg": 50.0})
    assert not undo.path.exists()
    assert list(undo.path.parent.iterdir()) == []


HEAD = b'{"kind": "iqa ratings undo 1", "process": 1}\n'
ENTRY = b'{"path": "a\\u0000", "before": null, "after": ""}\n'


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\n", b"[]\n", b"{}\n", b'{"kind": "other"}\n', b"\xff\xd8\xff", b"null\n", b"[" * 100_000 + b"\n"),
        *(HEAD.replace(b"1}", b"1e999}"), HEAD + b"[1]\n", HEAD + b"[" * 100_000 + b"\n", HEAD + b"5\n", HEAD + ENTRY),
    ],
)
def test_what_is_no_undo_file_is_said(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(DataError, match="no undo file"):
        read_log(tmp_path / "a")


def test_a_damaged_undo_file_changes_nothing(rate: Rate, tmp_path: Path, undo: UndoLog) -> None:
    (tmp_path / "a.xmp").write_bytes(BY_LIGHTROOM)
    rate({"a.jpg": 50.0, "b.jpg": 50.0})
    before = snapshot(tmp_path)
    undo.path.write_bytes(undo.path.read_bytes().replace(b'"before": "eJ', b'"before": "AA'))
    with pytest.raises(DataError, match="damaged"):
        undo_ratings(undo.path, Undone())
    assert snapshot(tmp_path) == before
    with pytest.raises(DataError, match="cannot be read"):
        undo_ratings(tmp_path / "gone", Undone())


def test_an_undo_file_that_cannot_be_made_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="IQA_STATE"):
        UndoLog(tmp_path / "file" / "state")
