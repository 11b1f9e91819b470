import base64
import csv
import io
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from iqa_cli.errors import DataError, UsageError
from iqa_cli.files.atomic import PipeClosed, Stream
from iqa_cli.files.outputs import check_outputs
from iqa_cli.records import COLUMNS, GROUP_COLUMNS, GroupKind, GroupPlace, ScoreRecord, Status
from iqa_cli.scoring.writers import KINDS, SINKS, CsvSink, encode_csv, list_columns, list_outputs, open_sinks, round_record

GOOD = ScoreRecord("photos/a.jpg", Status.OK, "toy", 74.30449, 88.04999, width=4000, height=3000, uncertainty=12.36)
BAD = ScoreRecord("b.jpg", Status.DAMAGED, "toy", detail='JPEG, "cut short"')
HEADER = b"path,score,percentile,uncertainty,status,detail,width,height,model\n"
ODD = [
    "a,b.jpg",
    'quote".jpg',
    "line\nend.jpg",
    "carriage\rreturn.jpg",
    "-rf.jpg",
    "tab\t.jpg",
    "Ünï 写真 🐈.jpg",
    " ",
    "raw\udcff\udcfe.jpg",
]


class Bytes:
    """A target in memory that keeps what each write was."""

    def __init__(self) -> None:
        self.writes: list[tuple[bytes, bytes]] = []

    def write(self, data: bytes, tail: bytes = b"") -> None:
        self.writes.append((data, tail))

    @property
    def whole(self) -> bytes:
        return b"".join(data for data, _ in self.writes) + self.writes[-1][1]


def write_all(kind: str, *records: ScoreRecord) -> Bytes:
    target = Bytes()
    sink = SINKS[kind](target)
    for record in records:
        sink.write(record)
    return target


def record_of(path: str) -> ScoreRecord:
    return ScoreRecord(path, Status.OK, "toy", 50.0, 50.0, width=1, height=1)


# ---- bytes ----


def test_csv_bytes() -> None:
    assert write_all("csv", GOOD, BAD).whole == (
        HEADER + b"photos/a.jpg,74.30,88.0,12.4,ok,,4000,3000,toy\n" + b'b.jpg,,,,damaged,"JPEG, ""cut short""",,,toy\n'
    )


def test_jsonl_bytes() -> None:
    assert write_all("jsonl", GOOD, BAD).whole == (
        b'{"path": "photos/a.jpg", "score": 74.3, "percentile": 88.0, "uncertainty": 12.4, "status": "ok",'
        b' "detail": "", "width": 4000, "height": 3000, "model": "toy"}\n'
        b'{"path": "b.jpg", "score": null, "percentile": null, "uncertainty": null, "status": "damaged",'
        b' "detail": "JPEG, \\"cut short\\"", "width": null, "height": null, "model": "toy"}\n'
    )


def test_json_is_the_array_of_the_jsonl_objects_at_any_time() -> None:
    for count in (1, 2, 3):
        records = [GOOD, BAD, GOOD][:count]
        whole = write_all("json", *records).whole
        assert json.loads(whole) == [json.loads(line) for line in write_all("jsonl", *records).whole.splitlines()]
        assert whole.startswith(b"[\n{")
        assert whole.endswith(b"}\n]\n")


@pytest.mark.parametrize("kind", SINKS)
def test_a_record_is_one_write(kind: str) -> None:
    assert len(write_all(kind, GOOD, BAD, GOOD).writes) == (2 if kind.startswith("paths") else 3)


@pytest.mark.parametrize(("kind", "end"), [("paths", b"\n"), ("paths0", b"\0")])
def test_a_path_is_the_bytes_that_it_is_and_a_failure_none(kind: str, end: bytes) -> None:
    odd = replace(GOOD, path=os.fsdecode(b"a\xff, b.jpg"))
    assert write_all(kind, odd, BAD, GOOD).whole == b"a\xff, b.jpg" + end + os.fsencode(GOOD.path) + end


def test_fields_come_in_the_order_of_columns() -> None:
    assert tuple(round_record(GOOD)) == COLUMNS
    assert tuple(json.loads(write_all("jsonl", GOOD).whole)) == COLUMNS
    assert encode_csv(COLUMNS) == HEADER


@pytest.mark.parametrize(
    ("score", "text"), [(0.0, "0.00"), (100.0, "100.00"), (5e-324, "0.00"), (99.999, "100.00"), (7.125, "7.12")]
)
def test_csv_and_json_round_alike(score: float, text: str) -> None:
    record = ScoreRecord("a", Status.OK, "toy", score, score)
    assert write_all("csv", record).whole.split(b",")[len(COLUMNS)] == text.encode()
    assert json.loads(write_all("jsonl", record).whole)["score"] == float(text)


@pytest.mark.parametrize("path", ODD)
def test_odd_names_survive_csv(path: str) -> None:
    text = write_all("csv", record_of(path)).whole.decode("utf-8", "surrogateescape")
    assert next(csv.DictReader(io.StringIO(text, newline="")))["path"] == path


@pytest.mark.parametrize("path", ODD)
@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_odd_names_survive_json(kind: str, path: str) -> None:
    whole = write_all(kind, record_of(path)).whole.decode("utf-8")
    data = json.loads(whole)
    record = data[0] if kind == "json" else data
    assert base64.b64decode(record["path_base64"]) == os.fsencode(path) if "path_base64" in record else record["path"] == path


def test_undecodable_names_are_their_bytes_in_csv_and_in_json_beside_what_any_parser_reads() -> None:
    assert b"raw\xff\xfe.jpg,50.00" in write_all("csv", record_of("raw\udcff\udcfe.jpg")).whole
    record = json.loads(write_all("jsonl", record_of("raw\udcff\udcfe.jpg")).whole)
    assert record["path"] == "raw\ufffd\ufffd.jpg"
    assert base64.b64decode(record["path_base64"]) == b"raw\xff\xfe.jpg"
    assert "path_base64" not in json.loads(write_all("jsonl", record_of("plain.jpg")).whole)


def test_other_names_are_readable_in_json() -> None:
    assert "写真.jpg".encode() in write_all("jsonl", record_of("写真.jpg")).whole


# ---- files ----


def test_files_appear_at_the_end_and_nothing_is_left_beside_them(tmp_path: Path) -> None:
    paths = {kind: tmp_path / f"out.{kind}" for kind in SINKS}
    with open_sinks(paths) as sink:
        sink.write(GOOD)
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {f".out.{kind}.{os.getpid()}.part" for kind in SINKS}
        sink.write(BAD)
    assert {path.name for path in tmp_path.iterdir()} == {f"out.{kind}" for kind in SINKS}
    for kind, path in paths.items():
        assert path.read_bytes() == write_all(kind, GOOD, BAD).whole


def test_what_is_written_aside_is_complete_after_every_record(tmp_path: Path) -> None:
    with open_sinks({"json": tmp_path / "out.json"}) as sink:
        for count in (1, 2, 3):
            sink.write(GOOD)
            (part,) = tmp_path.iterdir()
            assert len(json.loads(part.read_bytes())) == count


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, DataError, PipeClosed, ZeroDivisionError])
@pytest.mark.parametrize("kind", SINKS)
def test_an_error_keeps_the_records_so_far(tmp_path: Path, kind: str, error: type[BaseException]) -> None:
    path = tmp_path / "out"
    path.write_text("older")

    def stop_after_one() -> None:
        with open_sinks({kind: path}) as sink:
            sink.write(GOOD)
            raise error

    with pytest.raises(error):
        stop_after_one()
    assert path.read_bytes() == write_all(kind, GOOD).whole
    assert list(tmp_path.iterdir()) == [path]


def fail_at_once(kind: str, path: Path, error: type[BaseException]) -> None:
    with open_sinks({kind: path}):
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, DataError, PipeClosed])
@pytest.mark.parametrize("kind", SINKS)
def test_where_a_run_fails_before_its_first_record_there_is_no_file_and_an_older_one_stays(
    tmp_path: Path, kind: str, error: type[BaseException]
) -> None:
    older = tmp_path / "older"
    older.write_text("older")
    for path in (tmp_path / "new", older):
        with pytest.raises(error):
            fail_at_once(kind, path, error)
    assert older.read_text() == "older"
    assert list(tmp_path.iterdir()) == [older]


EMPTY = {"csv": HEADER, "jsonl": b"", "json": b"[]\n", "paths": b"", "paths0": b""}


@pytest.mark.parametrize("kind", SINKS)
def test_a_whole_run_without_records_says_so_over_an_older_file(tmp_path: Path, kind: str) -> None:
    older = tmp_path / "older"
    older.write_text("older")
    for path in (tmp_path / "new", older):
        with open_sinks({kind: path}):
            pass
        assert path.read_bytes() == EMPTY[kind]
        if kind in KINDS:
            check_outputs(list_outputs({kind: path}), [])  # which is an earlier output
    assert len(list(tmp_path.iterdir())) == 2
    with open_sinks({kind: older}) as sink:
        sink.write(GOOD)
    assert older.read_bytes() == write_all(kind, GOOD).whole


def test_without_a_header_no_records_are_no_bytes(tmp_path: Path) -> None:
    with open_sinks({"csv": tmp_path / "out"}, header=False):
        pass
    assert (tmp_path / "out").read_bytes() == b""


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_where_no_records_are_added_what_is_there_stays(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    with open_sinks({kind: path}, append=True):
        pass
    assert path.read_bytes() == EMPTY[kind]
    with open_sinks({kind: path}, append=True) as sink:
        sink.write(GOOD)
    before, state = path.read_bytes(), path.stat()
    assert before == write_all(kind, GOOD).whole
    with open_sinks({kind: path}, append=True):
        pass
    assert (path.read_bytes(), path.stat().st_ino) == (before, state.st_ino)


def test_an_existing_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("older, and much longer than what comes now\n" * 100)
    with open_sinks({"csv": path}) as sink:
        sink.write(GOOD)
    assert path.read_bytes() == write_all("csv", GOOD).whole


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link, real = tmp_path / "out.csv", tmp_path / "real" / "out.csv"
    link.symlink_to(real)
    with open_sinks({"csv": link}) as sink:
        sink.write(GOOD)
    assert link.is_symlink()
    assert real.read_bytes() == write_all("csv", GOOD).whole


def test_leftovers_of_a_killed_run_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / f".out.csv.{os.getpid()}.part").write_text("left over " * 100)
    with open_sinks({"csv": tmp_path / "out.csv"}) as sink:
        sink.write(GOOD)
    assert (tmp_path / "out.csv").read_bytes() == write_all("csv", GOOD).whole
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [("no/such/folder.csv", "No such file or directory"), ("", "Is a directory"), ("file/below.csv", "Not a directory")],
)
def test_what_cannot_be_written_is_refused_before_anything_is(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=reason), open_sinks({"json": tmp_path / "fine.json", "csv": tmp_path / name}):
        pytest.fail("the block began")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_two_outputs_cannot_be_one_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    paths = {"csv": tmp_path / "out", "json": tmp_path / "sub" / ".." / "out"}
    with pytest.raises(UsageError, match="one file"), open_sinks(paths):
        pytest.fail("the block began")


def test_an_error_of_the_block_is_not_taken_for_one_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), open_sinks({"csv": tmp_path / "out.csv"}):
        raise PermissionError(13, "something else")


# ---- streams ----


def test_a_stream_shows_every_record_at_once() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "wb") as writer:
        sink = CsvSink(Stream(writer))
        sink.write(GOOD)
        assert os.read(reader.fileno(), 1000) == write_all("csv", GOOD).whole


def test_a_closed_pipe_is_told_from_a_failure() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as writer, pytest.raises(PipeClosed):
        CsvSink(Stream(writer)).write(GOOD)


def test_a_full_device_is_a_failure() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(DataError, match="No space left on device"):
        CsvSink(Stream(full)).write(GOOD)


def test_devices_and_named_pipes_are_written_to_as_they_are(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with open_sinks({"json": fifo, "csv": Path("/dev/null")}) as sink:
        sink.write(GOOD)
    assert os.read(reader, 1000) == write_all("json", GOOD).whole
    os.close(reader)
    assert list(tmp_path.iterdir()) == [fifo]


# ---- groups ----

PLACE = GroupPlace("photos/a.jpg", GroupKind.BURST, 5, 1)
WHOLE = GroupPlace("c.jpg", GroupKind.STACK, 7)
GROUPED = (replace(GOOD, place=PLACE), replace(GOOD, place=replace(PLACE, rank=2)), replace(GOOD, place=WHOLE), GOOD, BAD)


def write_grouped(kind: str, *records: ScoreRecord) -> bytes:
    target = Bytes()
    sink = SINKS[kind](target, list_columns(groups=True))
    for record in records:
        sink.write(record)
    return target.whole


def test_places_in_groups_are_four_more_columns() -> None:
    rows = list(csv.reader(io.StringIO(write_grouped("csv", *GROUPED).decode())))
    assert rows[0] == [*COLUMNS, *GROUP_COLUMNS]
    assert [row[-4:] for row in rows[1:]] == [
        ["photos/a.jpg", "burst", "1", "true"],
        ["photos/a.jpg", "burst", "2", "false"],
        ["c.jpg", "focus-stack", "", ""],
        [""] * 4,
        [""] * 4,
    ]
    for data in (
        json.loads(write_grouped("json", *GROUPED)),
        list(map(json.loads, write_grouped("jsonl", *GROUPED).splitlines())),
    ):
        assert [list(row) for row in data] == [[*COLUMNS, *GROUP_COLUMNS]] * 5
        assert [[row[name] for name in GROUP_COLUMNS] for row in data] == [
            ["photos/a.jpg", "burst", 1, True],
            ["photos/a.jpg", "burst", 2, False],
            ["c.jpg", "focus-stack", None, None],
            [None] * 4,
            [None] * 4,
        ]


def test_without_groups_the_columns_stay() -> None:
    assert write_all("csv", GROUPED[0]).whole == write_all("csv", GOOD).whole
    assert write_all("jsonl", GROUPED[0]).whole == write_all("jsonl", GOOD).whole


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("first", [False, True])
def test_nothing_is_appended_to_other_columns(tmp_path: Path, kind: str, first: bool) -> None:
    path = tmp_path / "scores"
    with open_sinks({kind: path}, list_columns(groups=first)) as sink:
        sink.write(GROUPED[0])
    begun = path.read_bytes()
    with (
        pytest.raises(UsageError, match="with the columns"),
        open_sinks({kind: path}, list_columns(groups=not first), append=True),
    ):
        pass
    assert path.read_bytes() == begun
    with open_sinks({kind: path}, list_columns(groups=first), append=True) as sink:
        sink.write(GROUPED[0])
    assert path.read_bytes().startswith(begun)
    check_outputs(list_outputs({kind: path}), [])  # with either columns it is an earlier output
