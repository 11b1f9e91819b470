import errno
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from conftest import dark_is_nan, write_model

from iqa_cli.errors import UsageError
from iqa_cli.options import RawChoice, ScoreOptions
from iqa_cli.records import COLUMNS, PASSING, ScoreRecord, Status
from iqa_cli.scoring.cache import FileState, read_state
from iqa_cli.scoring.pipeline import open_pipeline
from iqa_cli.watching.log import ScoreLog
from iqa_cli.watching.run import sign_settings


def record_of(path: str, model: str = "toy", score: float = 50.0) -> ScoreRecord:
    return ScoreRecord(path, Status.OK, model, score, 50.0, width=1, height=1)


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"a photo")
    return str(path)


def state_of(path: str) -> FileState:
    state = read_state(path)
    assert state is not None
    return state


opened: list[ScoreLog] = []


@pytest.fixture(autouse=True)
def _close_all() -> Iterator[None]:
    yield
    while opened:
        opened.pop().close()


def open_log(path: Path, model: str = "toy", settings: str = "as now") -> ScoreLog:
    opened.append(ScoreLog(path, model, settings))
    return opened[-1]


def test_what_was_written_is_known_until_it_changes(tmp_path: Path, photo: str) -> None:
    log = open_log(tmp_path / "log.jsonl")
    assert not log.knows(photo, state_of(photo))
    log.write(record_of(photo), state_of(photo))
    log.close()
    again = open_log(tmp_path / "log.jsonl")
    assert again.knows(photo, state_of(photo))
    os.utime(photo, ns=(0, 1_500_000_000_123_456_789))
    assert not again.knows(photo, state_of(photo))
    again.write(record_of(photo), state_of(photo))
    again.close()
    assert open_log(tmp_path / "log.jsonl").knows(photo, state_of(photo))


def test_a_photo_is_known_by_any_of_its_names(tmp_path: Path, photo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(tmp_path / "log.jsonl")
    log.write(record_of(photo), state_of(photo))
    log.close()
    monkeypatch.chdir(tmp_path)
    assert open_log(tmp_path / "log.jsonl").knows("./a.jpg", state_of(photo))


def test_a_name_that_is_no_utf8_is_known(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/raw\xff.jpg")
    Path(path).write_bytes(b"x")
    log = open_log(tmp_path / "log.jsonl")
    log.write(record_of(path), state_of(path))
    log.close()
    assert open_log(tmp_path / "log.jsonl").knows(path, state_of(path))


@pytest.mark.parametrize("status", list(Status))
def test_what_failed_for_a_reason_that_may_pass_is_not_known(tmp_path: Path, photo: str, status: Status) -> None:
    failure = ScoreRecord(photo, status, "toy", detail="why") if status is not Status.OK else record_of(photo)
    path = tmp_path / "log.jsonl"
    log = open_log(path)
    log.write(record_of(photo), state_of(photo))
    log.write(failure, state_of(photo))
    log.close()
    again = open_log(path)
    assert again.knows(photo, state_of(photo)) == (status not in PASSING)
    again.write(record_of(photo), state_of(photo))
    again.close()
    assert open_log(path).knows(photo, state_of(photo))


def test_what_another_model_scored_is_not_known(tmp_path: Path, photo: str) -> None:
    log = open_log(tmp_path / "log.jsonl", "one")
    log.write(record_of(photo, "one"), state_of(photo))
    log.close()
    assert not open_log(tmp_path / "log.jsonl", "another").knows(photo, state_of(photo))


def test_what_was_scored_otherwise_is_not_known(tmp_path: Path, photo: str) -> None:
    path = tmp_path / "log.jsonl"
    for settings in ("before", "now", "before"):  # the last line counts, not any earlier one
        log = open_log(path, settings=settings)
        assert not log.knows(photo, state_of(photo))
        log.write(record_of(photo), state_of(photo))
        log.close()
    assert open_log(path, settings="before").knows(photo, state_of(photo))


def test_what_was_too_large_is_known_only_while_it_is(tmp_path: Path, photo: str) -> None:
    path = tmp_path / "log.jsonl"
    log = open_log(path)
    log.write(ScoreRecord(photo, Status.TOO_LARGE, "toy", detail="1,200 pixels", width=40, height=30), state_of(photo))
    log.close()
    for limit in (1199, 1200):
        opened.append(ScoreLog(path, "toy", "as now", limit))
        assert opened[-1].knows(photo, state_of(photo)) == (limit < 1200)
        opened[-1].close()


def test_a_line_of_an_infinite_size_is_of_nobody(tmp_path: Path, photo: str) -> None:
    path = tmp_path / "log.jsonl"
    log = open_log(path)
    log.write(record_of(photo), state_of(photo))
    log.close()
    path.write_bytes(path.read_bytes() + re.sub(rb'"bytes": ?\d+', b'"bytes": 1e400', path.read_bytes()))
    assert open_log(path).knows(photo, state_of(photo))


def test_a_line_that_does_not_say_how_is_known(tmp_path: Path, photo: str) -> None:
    path = tmp_path / "log.jsonl"
    log = open_log(path)
    log.write(record_of(photo), state_of(photo))
    log.close()
    values = json.loads(path.read_bytes())
    del values["settings"]
    path.write_text(json.dumps(values) + "\n")
    assert open_log(path).knows(photo, state_of(photo))


def test_a_whole_line_without_its_end_stays(tmp_path: Path, photo: str) -> None:
    path = tmp_path / "log.jsonl"
    log = open_log(path)
    log.write(record_of("b.jpg"), state_of(photo))
    log.write(record_of(photo), state_of(photo))
    log.close()
    whole = path.read_bytes()
    path.write_bytes(whole.removesuffix(b"\n"))
    again = open_log(path)
    assert again.knows(photo, state_of(photo))
    assert path.read_bytes() == whole
    again.write(record_of("c.jpg"), state_of(photo))
    again.close()
    assert [json.loads(line)["path"] for line in path.read_bytes().splitlines()] == ["b.jpg", photo, "c.jpg"]


def test_photos_that_are_gone_or_elsewhere_are_not_counted(tmp_path: Path) -> None:
    names = ["in/a.jpg", "in/deep/b.jpg", "in/gone.jpg", "in/away/c.jpg", "inside/d.jpg"]
    log = open_log(tmp_path / "log.jsonl")
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a photo")
        log.write(record_of(str(path)), state_of(str(path)))
    (tmp_path / "in" / "gone.jpg").unlink()
    shutil.rmtree(tmp_path / "in" / "away")
    assert log.count_known(str(tmp_path / "in")) == 2
    assert log.count_known(f"{tmp_path}/in/../in/") == 2
    assert log.count_known("/") == 3


def test_what_is_gone_is_forgotten_and_its_line_stays(tmp_path: Path, photo: str) -> None:
    path = tmp_path / "log.jsonl"
    log = open_log(path)
    log.write(record_of(photo), state_of(photo))
    log.forget(photo)
    log.forget(photo)
    assert not log.known
    log.close()
    assert open_log(path).knows(photo, state_of(photo))


def test_of_a_stream_nothing_is_held(tmp_path: Path, photo: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    log = open_log(tmp_path / "pipe")
    log.write(record_of(photo), state_of(photo))
    assert os.read(reading, 1 << 16).endswith(b"}\n")
    os.close(reading)
    assert not log.known


def test_the_settings_are_all_that_scores_depend_on(model: Path, tmp_path: Path) -> None:
    def sign(path: Path = model, **options: object) -> str:
        with closing(open_pipeline(ScoreOptions(str(path), **options))) as pipeline:  # type: ignore[arg-type]
            return sign_settings(pipeline)

    retrained = write_model(tmp_path, dark_is_nan())
    assert sign() == sign(workers=1, batch_size=2, timeout=9.0, cache=True)
    assert len({sign(), sign(retrained), sign(crops=3), sign(raw=RawChoice.DEVELOP)}) == 4


def test_a_line_cut_short_is_cut_off_and_the_others_stay(tmp_path: Path, photo: str) -> None:
    path = tmp_path / "log.jsonl"
    log = open_log(path)
    log.write(record_of(photo), state_of(photo))
    log.close()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    again = open_log(path)
    assert again.knows(photo, state_of(photo))
    again.write(record_of("b.jpg"), state_of(photo))
    again.close()
    assert path.read_bytes().startswith(whole)
    assert [json.loads(line)["path"] for line in path.read_bytes().splitlines()] == [photo, "b.jpg"]


def test_a_file_that_is_no_log_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text("my notes\n")
    with pytest.raises(UsageError, match="is not JSON Lines of scores"):
        open_log(path)
    assert path.read_text() == "my notes\n"


def test_verdicts_and_records_of_more_columns_are_no_log(tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    record = dict.fromkeys(COLUMNS)
    for values in (
        {"schema_version": 1, "values": record, "status": "ok"},
        record | {"label": "mine"},
        record | {"native_detail": 1},
    ):
        path.write_text(json.dumps(values) + "\n")
        with pytest.raises(UsageError, match="is not JSON Lines of scores"):
            open_log(path)
        assert path.read_text() == json.dumps(values) + "\n"
    path.write_text(json.dumps(record) + "\n")  # of iqa score
    open_log(path).close()


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs /dev/shm")
def test_a_log_below_dev_is_a_file_that_goes_on(photo: str) -> None:
    with TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder) / "log.jsonl"
        log = open_log(path)
        log.write(record_of(photo), state_of(photo))
        log.close()
        again = open_log(path)
        assert again.knows(photo, state_of(photo))
        again.close()
        assert path.read_bytes().count(b"\n") == 1


def test_two_processes_do_not_add_to_one_file(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log.jsonl")
    with pytest.raises(UsageError, match="another process adds to this file"):
        open_log(tmp_path / "log.jsonl")
    log.close()
    open_log(tmp_path / "log.jsonl").close()


def test_a_file_system_without_claims_keeps_nobody_out(tmp_path: Path, photo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", without_claims)
    log = open_log(tmp_path / "log.jsonl")
    log.write(record_of(photo), state_of(photo))
    log.close()
    assert open_log(tmp_path / "log.jsonl").knows(photo, state_of(photo))


def without_claims(*_: object) -> None:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def test_a_file_that_was_replaced_or_removed_gets_the_lines_that_follow(tmp_path: Path, photo: str) -> None:
    path = tmp_path / "log.jsonl"
    log = open_log(path)
    log.write(record_of("1.jpg"), state_of(photo))
    path.rename(tmp_path / "rotated.jsonl")
    log.write(record_of("2.jpg"), state_of(photo))
    log.close()
    assert [json.loads(line)["path"] for line in path.read_bytes().splitlines()] == ["2.jpg"]
    assert (tmp_path / "rotated.jsonl").read_bytes().count(b"\n") == 1
