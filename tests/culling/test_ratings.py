"""Ratings in the sidecars that other programs write: what they say else stays, and other programs read what was written."""

import random
from contextlib import suppress
from pathlib import Path

import pytest

etree = pytest.importorskip("lxml.etree", reason="needs the [xmp] extra")

from packets import OWN, SIDECARS, mean, read_by_exiftool, read_by_exiv2

from iqa_cli.culling.rating_options import RejectAs
from iqa_cli.culling.ratings import LABEL, MODEL, RATING, REJECTED, SCORE, SPELLINGS, STARS, Rating, holds_own, patch
from iqa_cli.culling.xmp import NEW, Packet
from iqa_cli.culling.xmp_text import Unpatchable

FOUR = Rating(4, "71.25", "toy")
PICK, FLAG = "{http://ns.adobe.com/xmp/1.0/DynamicMedia/}pick", "{http://www.digikam.org/ns/1.0/}PickLabel"


def read(name: str) -> bytes:
    return next(path for path in SIDECARS if path.stem == name).read_bytes()


def test_there_are_sidecars_of_many_programs() -> None:
    assert len(SIDECARS) >= 25
    assert {path.stem for path in SIDECARS} > OWN


@pytest.mark.parametrize("path", SIDECARS, ids=lambda path: path.stem)
def test_a_rating_of_a_person_is_told(path: Path) -> None:
    assert holds_own(Packet(path.read_bytes())) is (path.stem in OWN)


@pytest.mark.parametrize("path", SIDECARS, ids=lambda path: path.stem)
def test_a_rating_changes_nothing_else(path: Path) -> None:
    before = path.read_bytes()
    after = patch(before, FOUR)
    packet = Packet(after)
    assert {packet.read(name)[0] for name in (RATING, STARS)} == {"4"}
    assert (packet.read(SCORE), packet.read(MODEL)) == (["71.25"], ["toy"])
    assert mean(after) == mean(before)
    assert not holds_own(packet)
    assert patch(after, FOUR) == after


@pytest.mark.parametrize(
    "path", [path for path in SIDECARS if not any(map(Packet(path.read_bytes()).read, SPELLINGS))], ids=lambda path: path.stem
)
def test_what_had_no_rating_stays_byte_for_byte(path: Path) -> None:
    before, after = path.read_bytes(), patch(path.read_bytes(), FOUR)
    if path.stem == "nothing-yet":
        before = before.replace(b"/></x:xmpmeta>", b"></rdf:RDF></x:xmpmeta>")
    begin = next(place for place in range(len(before)) if before[place] != after[place])
    assert before == after[:begin] + after[len(after) - len(before) + begin :]


ODD = ("odd-names", "rated-twice")  # which exiv2 takes for no XMP, before and after; the former exiftool does not read either


def test_exiftool_reads_the_ratings(tmp_path: Path) -> None:
    for path in SIDECARS:
        (tmp_path / path.name).write_bytes(patch(path.read_bytes(), FOUR))
    (tmp_path / "new.xmp").write_bytes(patch(None, FOUR))
    names = [*(path.stem for path in SIDECARS), "new"]
    assert read_by_exiftool(tmp_path) == {name: None if name == ODD[0] else 4 for name in names}


@pytest.mark.parametrize("path", [None, *SIDECARS], ids=lambda path: path.stem if path else "new")
def test_exiv2_reads_the_ratings(tmp_path: Path, path: Path | None) -> None:
    known = path is None or path.stem not in ODD
    (tmp_path / "a.xmp").write_bytes(patch(path.read_bytes() if path else None, FOUR))
    assert read_by_exiv2(tmp_path / "a.xmp") == ("4" if known else "")
    assert read_by_exiv2(tmp_path / "a.xmp", "Xmp.iqa.score") == ("71.25" if known else "")


# ---- encodings, marks, line ends ----


ENCODINGS = {
    "utf-16-le with a mark": ("\ufeff", "utf-16-le"),
    "utf-16-be with a mark": ("\ufeff", "utf-16-be"),
    "utf-16-le": ("", "utf-16-le"),
    "utf-16-be": ("", "utf-16-be"),
    "utf-32-le with a mark": ("\ufeff", "utf-32-le"),
    "utf-8 with a mark": ("\ufeff", "utf-8"),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", ["lightroom-classic", "exiftool", "on1"])
def test_any_encoding_stays(name: str, encoding: str) -> None:
    mark, codec = ENCODINGS[encoding]
    before = (mark + read(name).decode()).encode(codec)
    after = patch(before, FOUR)
    assert after == (mark + patch(read(name), FOUR).decode()).encode(codec)
    assert not holds_own(Packet(after))


def test_a_declared_encoding_holds() -> None:
    before = read("dxo-photolab").replace(b"UTF-8", b"ISO-8859-1").replace(b"47,22.5N", b"Z\xfcrich")
    after = patch(before, FOUR)
    assert b"Z\xfcrich" in after
    assert mean(after) == mean(before)


def test_line_ends_stay() -> None:
    for name in ("photo-mechanic", "acdsee"):
        after = patch(read(name), FOUR)
        assert after.count(b"\n") == after.count(b"\r\n") > read(name).count(b"\r\n")


# ---- what is refused ----


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (read("darktable-history")[:2000], "no XML that can be read"),
        (read("lightroom-classic").replace(b"</rdf:Bag>", b"", 1), "no XML that can be read"),
        (read("exiftool") + b"\0" * 100, "no XML that can be read"),
        (read("exiftool").replace(b"T\xc3\xbcte", b"T\xfcte"), "not the utf-8 text"),
        (read("dxo-photolab").replace(b"UTF-8", b"rot13"), "not the rot13 text"),
        (read("dxo-photolab").replace(b"UTF-8", b"no-such"), "not the no-such text"),
        (b"\xff\xd8\xff\xe0 no sidecar at all", "text"),
        (b"note to self", "no XML that can be read"),
        (b"<html><body/></html>", "no XMP"),
        (b'<a xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><r:RDF/><r:RDF/></a>', "more than one rdf:RDF"),
        (
            read("capture-one").replace(b"<xmp:Rating>0</", b"<xmp:Rating><rdf:value>0</rdf:value></"),
            "Rating is more than a value",
        ),
        (b"<a>" * 300_000 + b"</a>" * 300_000, "no XML that can be read"),
    ],
)
def test_what_is_no_sidecar_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(Unpatchable, match=reason):
        patch(data, FOUR)


@pytest.mark.parametrize(
    "declared",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;">]>',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">',
        "<!DOCTYPE x:xmpmeta>",
    ],
)
@pytest.mark.parametrize("codec", ["utf-8", "utf-16"])
def test_a_document_type_is_refused(declared: str, codec: str) -> None:
    text = read("compact").decode().replace("image/x-raw", "&a;")
    with pytest.raises(Unpatchable, match="document type"):
        patch((declared + text).encode(codec), FOUR)


@pytest.mark.parametrize("path", SIDECARS, ids=lambda path: path.stem)
def test_what_is_half_broken_is_refused_or_keeps_its_meaning(path: Path) -> None:
    rng = random.Random(path.stem)
    pieces = [
        b"<",
        b">",
        b'"',
        b"'",
        b"/",
        b"<!--",
        b"-->",
        b"]]>",
        b"<a/>",
        b"&amp;",
        b"&#10;",
        b"\r\n",
        b" ",
        b"\0",
        b"\xc3\xa9",
    ]
    for _ in range(60):
        data = bytearray(path.read_bytes())
        at = rng.randrange(len(data))
        data[at : at + rng.choice((0, 0, 1, 9))] = rng.choice(pieces)
        with suppress(Unpatchable, etree.C14NError):
            assert mean(patch(bytes(data), FOUR)) == mean(bytes(data))


# ---- ratings by other names ----


@pytest.mark.parametrize(("stars", "percent"), [(1, "1"), (2, "25"), (3, "50"), (4, "75"), (5, "99")])
def test_other_spellings_of_a_rating_follow(stars: int, percent: str) -> None:
    after = Packet(patch(read("digikam"), Rating(stars, "1.00", "toy")))
    assert [after.read(name) for name in SPELLINGS] == [[str(stars)], [percent], [], [str(stars)], []]
    mechanic = patch(read("photo-mechanic"), Rating(stars, "1.00", "toy"))
    assert f'Prefs="0:0:{stars}:001234"'.encode() in mechanic


@pytest.mark.parametrize(
    ("name", "old", "new", "own"),
    [
        ("digikam", b'xmp:Rating="4"', b'xmp:Rating="4.0"', False),
        ("digikam", b'xmp:Rating="4"', b'xmp:Rating=" 4 "', False),
        ("digikam", b'xmp:Rating="4"', b'xmp:Rating="5"', True),
        ("digikam", b'xmp:Rating="4"', b'xmp:Rating="0"', True),  # a person took our stars away
        ("digikam", b'xmp:Rating="4"', b"", True),
        ("digikam", b'xmp:Rating="4"', b'xmp:Rating="-1"', True),
        ("digikam", b'xmp:Rating="4"', b'xmp:Rating="four"', True),
        ("digikam", b'Photo:Rating="75"', b'Photo:Rating="99"', True),
        ("digikam", b'Photo:Rating="75"', b'Photo:Rating="80"', False),
        ("digikam", b'acdsee:rating="4"', b'acdsee:rating="2"', True),
        ("digikam", b'acdsee:rating="4"', b'acdsee:rating="0"', False),
        ("digikam", b'iqa:stars="4"', b'iqa:stars=""', True),
        ("digikam", b'iqa:stars="4"', b'', True),
        ("photo-mechanic", b'Prefs="0:0:4:', b'Prefs="0:0:2:', True),
        ("photo-mechanic", b'Prefs="0:0:4:001234"', b'Prefs="none"', False),
    ],
)  # fmt: skip
def test_what_a_person_did_to_our_rating_is_his_own(name: str, old: bytes, new: bytes, own: bool) -> None:
    ours = patch(read(name), FOUR)
    assert not holds_own(Packet(ours))
    assert old in ours
    assert holds_own(Packet(ours.replace(old, new, 1))) is own


# ---- rejects ----


def reject(by: RejectAs) -> Rating:
    return Rating(1, "3.50", "toy", by)


@pytest.mark.parametrize("name", [path.stem for path in SIDECARS if path.stem not in OWN])
@pytest.mark.parametrize("by", [RejectAs.RATING, RejectAs.LABEL, RejectAs.PICK])
def test_a_reject_is_marked_and_the_mark_goes_again(name: str, by: RejectAs) -> None:
    before = read(name)
    labelled = name == "odd-names" and by is RejectAs.LABEL
    marked = Packet(patch(before, reject(by)))
    assert marked.read(REJECTED) == ([] if labelled else [str(by)])
    assert marked.read(RATING)[0] == marked.read(STARS)[0] == ("-1" if by is RejectAs.RATING else "1")
    if by is RejectAs.LABEL:
        assert marked.read(LABEL) == (["x > y"] if labelled else ["Red"])
    if by is RejectAs.PICK:
        assert (marked.read(PICK), marked.read(FLAG)) == (["-1"], ["1"])
    assert not holds_own(marked)
    again = Packet(patch(marked.encode(), FOUR))
    assert again.read(REJECTED) == []
    assert again.read(RATING)[0] == "4"
    assert [text for flag in (LABEL, PICK, FLAG) for text in again.read(flag) if text not in ("", "0", "x > y")] == []


def test_exiv2_reads_the_marks(tmp_path: Path) -> None:
    keys = {RejectAs.RATING: {"Xmp.xmp.Rating": "-1"}, RejectAs.LABEL: {"Xmp.xmp.Label": "Red"}}
    keys[RejectAs.PICK] = {"Xmp.xmpDM.pick": "-1", "Xmp.digiKam.PickLabel": "1", "Xmp.xmp.Rating": "1"}
    for by, said in keys.items():
        (tmp_path / "a.xmp").write_bytes(patch(read("digikam"), reject(by)))
        assert {key: read_by_exiv2(tmp_path / "a.xmp", key) for key in said} == said


def test_marks_do_not_pile_up() -> None:
    data = read("exiftool")
    for _ in range(3):
        data = patch(patch(data, reject(RejectAs.PICK)), FOUR)
    assert data == patch(patch(read("exiftool"), reject(RejectAs.PICK)), FOUR)
    assert len(data) - len(patch(read("exiftool"), FOUR)) < 150  # two namespaces, declared and no longer used


def test_one_way_of_marking_takes_the_place_of_another() -> None:
    data = patch(patch(read("rawtherapee"), reject(RejectAs.LABEL)), reject(RejectAs.RATING))
    assert (Packet(data).read(LABEL), Packet(data).read(RATING), Packet(data).read(REJECTED)) == ([], ["-1"], ["rating"])


def test_a_mark_of_a_person_stays_unless_it_may_go() -> None:
    labelled = read("rawtherapee").replace(b'5.11"', b'5.11" xmp:Label="Blue"')
    kept = Packet(patch(labelled, reject(RejectAs.LABEL)))
    assert (kept.read(LABEL), kept.read(RATING), kept.read(REJECTED)) == (["Blue"], ["1"], [])
    assert Packet(patch(labelled, reject(RejectAs.LABEL), overwrite=True)).read(LABEL) == ["Red"]
    picked = read("digikam").replace(b'PickLabel="0"', b'PickLabel="3"')
    kept = Packet(patch(picked, reject(RejectAs.PICK)))
    assert (kept.read(FLAG), kept.read(PICK), kept.read(REJECTED)) == (["3"], [], [])
    assert Packet(patch(picked, FOUR, overwrite=True)).read(FLAG) == ["3"]


def test_a_name_that_is_no_ascii_is_written_in_any_encoding() -> None:
    model = 'm\u00f6dell <1> & "2"\t\n'
    for codec in ("utf-8", "latin-1"):
        before = NEW.replace(b"UTF-8", codec.encode())
        assert Packet(patch(before, Rating(3, "1.00", model))).read(MODEL) == [model]
