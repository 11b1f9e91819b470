import base64
import hashlib
import json
import re
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urljoin, urlparse

import pytest
from made import make_failure, make_jpeg, make_record, make_records, write_page

from iqa_cli.errors import DataError
from iqa_cli.files.atomic import STDOUT
from iqa_cli.files.outputs import may_replace
from iqa_cli.records import ScoreRecord
from iqa_cli.reports.links import find_folder, link_photo
from iqa_cli.reports.previews import PreviewSpool
from iqa_cli.reports.sink import list_report

HOSTILE = [
    "<img src=x onerror=alert(1)>.jpg",
    "</script><script>alert(1)</script>.jpg",
    "<!--<script>.jpg",
    "{{script}}{{data}}.jpg",
    '"onmouseover="alert(1).jpg',
    "line\u2028separator.jpg",
    "tab\tand\nline.jpg",
    "rtl\u202egpj.exe.jpg",
    "Ünï 写真 🐈.jpg",
    "raw\udcff\udcfe.jpg",
]


def read_data(page: Path) -> dict[str, object]:
    """What the page's script reads."""
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    return dict(json.loads(found))


def read_previews(page: Path) -> list[bytes]:
    """The thumbnails, in the order in which they stand in the page."""
    chunks = re.findall(r'<script type="text/plain" id="thumbs-\d+">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    return [base64.b64decode(line) for chunk in chunks for line in chunk.split("\n")]


def test_every_record_is_in_the_page_as_the_other_outputs_have_it(tmp_path: Path) -> None:
    page = write_page(tmp_path / "r.html", [make_record("a.jpg", 74.30449), make_failure("b.jpg")])
    first, second = read_data(page)["records"]  # type: ignore[misc]
    assert first == {
        **{"path": "a.jpg", "score": 74.3, "percentile": 74.3, "uncertainty": None, "status": "ok", "detail": ""},
        **{"width": 4000, "height": 3000, "model": "toy", "href": link_photo("a.jpg", tmp_path)},
    }
    assert (second["score"], second["status"], second["detail"]) == (None, "damaged", "JPEG: the data end early")


def test_each_photo_has_its_own_preview_and_the_worst_come_first(tmp_path: Path) -> None:
    records = [make_record(f"{seed}.jpg", score, preview=make_jpeg(seed)) for seed, score in enumerate((50.0, 10.0, 90.0))]
    page = write_page(tmp_path / "r.html", [*records, make_failure("b.jpg"), make_record("without.jpg", 1.0)])
    assert read_data(page)["thumbs"] == [1, 0, 2]
    assert read_previews(page) == [make_jpeg(1), make_jpeg(0), make_jpeg(2)]


def test_a_hundred_and_twenty_previews_stand_in_chunks_that_the_page_can_count(tmp_path: Path) -> None:
    records = make_records(120)
    page = write_page(tmp_path / "r.html", records)
    data = read_data(page)
    ordered = [records[place].preview for place in data["thumbs"]]  # type: ignore[attr-defined]
    assert read_previews(page) == ordered
    assert page.read_text().count('id="thumbs-') == -(-120 // int(data["chunk"]))  # type: ignore[call-overload]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_is_markup(tmp_path: Path, name: str) -> None:
    plain = write_page(tmp_path / "plain.html", [make_record("a.jpg", 50.0)]).read_text()
    page = write_page(tmp_path / "r.html", [make_record(name, 50.0)])
    (record,) = read_data(page)["records"]  # type: ignore[misc]
    assert record["path"] == name.encode("utf-8", "replace").decode().replace("??", "\ufffd\ufffd")
    assert page.read_text("utf-8").count("<") == plain.count("<")
    assert unquote(record["href"], errors="surrogateescape").endswith(f"/{name}")


def test_only_the_scripts_and_the_style_of_the_page_itself_are_allowed(tmp_path: Path) -> None:
    text = write_page(tmp_path / "r.html", make_records(3)).read_text()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data: file:"
    assert "unsafe" not in policy
    assert "http:" not in policy
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert rules[rule] == f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
    assert not re.search(r"\son\w+=|\sstyle=", text.split("<script>")[0])  # which the policy would forbid


def test_the_page_names_no_other_place(tmp_path: Path) -> None:
    text = write_page(tmp_path / "r.html", make_records(3)).read_text()
    assert set(re.findall(r"https?://[^\s\"'`]+", text)) <= {"http://www.w3.org/2000/svg"}  # a name, never fetched


def test_a_run_that_is_cut_short_leaves_a_whole_page_that_says_so(tmp_path: Path) -> None:
    page = tmp_path / "r.html"

    def interrupt() -> Iterator[ScoreRecord]:
        yield make_records(1)[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_page(page, interrupt())
    assert read_data(page)["remarks"] == ["The run was cut short: not all photos are here."]
    assert page.read_text().endswith("</body>\n</html>\n")
    assert len(read_previews(page)) == 1


def test_a_run_that_fails_before_its_first_record_leaves_no_page_and_nothing_behind(tmp_path: Path) -> None:
    def fail() -> Iterator[ScoreRecord]:
        yield from ()
        raise DataError("no images found")

    with pytest.raises(DataError):
        write_page(tmp_path / "r.html", fail())
    assert list(tmp_path.iterdir()) == []
    before = write_page(tmp_path / "r.html", make_records(1)).read_bytes()
    with pytest.raises(DataError):
        write_page(tmp_path / "r.html", fail())
    assert (tmp_path / "r.html").read_bytes() == before


def test_a_page_of_no_records_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    write_page(tmp_path / "r.html", make_records(3))
    page = write_page(tmp_path / "r.html", [])
    assert read_data(page)["records"] == []
    assert page.read_text().endswith("</body>\n</html>\n")
    (output,) = list_report(page)
    assert may_replace(output)
    assert list(tmp_path.iterdir()) == [page]


def test_remarks_and_fields_that_come_later_are_in_the_page(tmp_path: Path) -> None:
    page = write_page(tmp_path / "r.html", [make_record("a.jpg", 1.0)], ["left out: 3 *.txt"])
    data = read_data(page)
    assert data["remarks"] == ["left out: 3 *.txt"]
    assert "extra" not in data["records"][0]  # type: ignore[index]


def test_previews_are_kept_out_of_memory_and_out_of_the_records(tmp_path: Path) -> None:
    with PreviewSpool(tmp_path) as previews:
        kept = previews.keep(make_record("a.jpg", 1.0, preview=b"\xff\xd8one"))
        assert kept.preview is None
        assert previews.keep(make_record("b.jpg", 1.0, preview=b"\xff\xd8another")).path == "b.jpg"
        assert (previews.read("a.jpg"), previews.read("b.jpg"), previews.read("c.jpg")) == (
            b"\xff\xd8one",
            b"\xff\xd8another",
            b"",
        )
        assert list(tmp_path.iterdir()) == []  # the file has no name


def test_ten_thousand_photos_are_written_at_once_and_in_little_memory(tmp_path: Path) -> None:
    records = make_records(10_000, folders=40)
    tracemalloc.start()
    try:
        began = time.process_time()
        page = write_page(tmp_path / "r.html", records)
        seconds, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 60e6 < page.stat().st_size < 150e6
    assert peak < 40e6  # bytes: half of the page at most
    assert seconds < 15  # a second without the counting of bytes


# ---- links ----


def test_links_are_relative_to_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "a").mkdir(parents=True)
    assert link_photo("photos/a/1.jpg", tmp_path) == "./photos/a/1.jpg"
    assert link_photo(str(tmp_path / "photos" / "1.jpg"), tmp_path / "photos") == "./1.jpg"
    assert link_photo("photos/a/1.jpg", tmp_path / "out") == "../photos/a/1.jpg"
    assert link_photo("1.jpg", tmp_path) == "./1.jpg"
    assert link_photo("a.zip::x/../../../1.jpg", tmp_path) == ""  # which no click may lead out of the archive


@pytest.mark.parametrize("name", ["https://host/a b.jpg", "s3://bucket/a.jpg", "00000.tar::k.jpg", "s3://bucket/0.tar::k.jpg"])
def test_what_is_no_file_has_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    (record,) = read_data(write_page(tmp_path / "r.html", [make_record(name, 50.0)]))["records"]  # type: ignore[misc]
    assert (record["path"], record["href"]) == (name, "")
    if "/" not in name:
        Path(name).touch()
        assert unquote(link_photo(name, tmp_path)) == f"./{name}"


def test_links_lead_to_the_photo_where_a_folder_is_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "disk" / "photos").mkdir(parents=True)
    (tmp_path / "home" / "out").mkdir(parents=True)
    (tmp_path / "disk" / "photos" / "1.jpg").touch()
    (tmp_path / "home" / "here").symlink_to(tmp_path / "disk" / "photos")
    monkeypatch.chdir(tmp_path / "home")
    assert link_photo("here/1.jpg", tmp_path / "home") == "./here/1.jpg"
    for path in ("here/1.jpg", "here/../photos/1.jpg"):
        link = link_photo(path, tmp_path / "home" / "out")
        assert (tmp_path / "home" / "out" / unquote(link)).samefile("here/1.jpg")


def test_links_lead_to_the_photo_by_every_name_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Browsers take `..` by its text: from a folder that is a link, it is not the way that the system goes."""
    disk, home = tmp_path / "disk" / "a" / "b", tmp_path / "home"
    for folder in (disk / "photos", home / "photos", home / "deep" / "er"):
        folder.mkdir(parents=True)
        (folder / "1.jpg").touch()
    (home / "out").symlink_to(disk)
    (home / "deep" / "link").symlink_to(disk)
    monkeypatch.chdir(home)
    photos = ("photos/1.jpg", str(home / "photos" / "1.jpg"), "out/photos/1.jpg", "deep/er/1.jpg", "out/../b/photos/1.jpg")
    pages = {
        folder: {folder, folder.resolve()} for folder in (home / "out", disk, home / "deep" / "link", home / "deep" / "er")
    }
    pages[home / "out" / ".." / "b"] = {disk}
    for page, names in pages.items():
        for path in photos:
            link = link_photo(path, page)
            for name in names:
                assert Path(unquote(urlparse(urljoin(f"{name.as_uri()}/r.html", link)).path)).samefile(path), (link, name)
    assert link_photo("photos/1.jpg", home / "deep" / "er") == "../../photos/1.jpg"  # page and photos may be moved together


@pytest.mark.parametrize("name", ["a b.jpg", "50%.jpg", "a#b?c.jpg", "http:x.jpg", "q'\"<>.jpg", "raw\udcff.jpg", "ü.jpg"])
def test_a_link_holds_any_name(tmp_path: Path, name: str) -> None:
    link = link_photo(str(tmp_path / name), tmp_path)
    assert re.fullmatch(r"[A-Za-z0-9./%_~-]+", link)
    assert unquote(link, errors="surrogateescape") == f"./{name}"


def test_a_page_on_stdout_links_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_folder(STDOUT) == tmp_path
    assert find_folder(Path("/dev/stdout")) == tmp_path
    assert find_folder(Path("out/r.html")) == tmp_path / "out"
    assert find_folder(Path("/dev/shm/r.html")) == Path("/dev/shm")


# ---- what may be written over ----


def test_an_earlier_page_is_told_from_any_other(tmp_path: Path) -> None:
    page = write_page(tmp_path / "r.html", make_records(1))
    (output,) = list_report(page)
    assert output.is_earlier is not None
    assert output.is_earlier(page.read_bytes())
    assert not output.is_earlier(b"<!doctype html>\n<title>Holidays</title>")
    assert list_report(STDOUT) == []
