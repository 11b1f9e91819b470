import errno
import os
import shutil
from pathlib import Path

import pytest
from conftest import wait_until
from unseen import make_unreadable

from iqa_cli.images.find import EVERYTHING
from iqa_cli.records import ScoreRecord, Status
from iqa_cli.watching.arrivals import Arrival, Arrivals, Pace


def make_arrivals(folder: Path, *, known: bool = False) -> Arrivals:
    return Arrivals(str(folder), EVERYTHING, lambda path, state: known, lambda text: None, Pace(0.0, 60.0))  # noqa: ARG005


def look(arrivals: Arrivals) -> list[str]:
    """The names of what is complete by now, as the iterator finds it."""
    arrivals._take_back()
    arrivals._walk()
    return [Path(arrival.path).name for arrival in arrivals._find_complete()]


def change_rights(path: Path) -> None:
    """Change the rights of a file at a later time than it was changed before: clocks of file systems have steps."""
    before = path.stat().st_ctime_ns

    def is_later() -> bool:
        path.chmod(0o644)
        return path.stat().st_ctime_ns != before

    wait_until(is_later)


def fail(path: Path, status: Status) -> ScoreRecord:
    return ScoreRecord(str(path), status, "toy", detail="why")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"a photo")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("status", [Status.DENIED, Status.TIMEOUT, Status.CRASHED])
def test_what_failed_for_a_reason_that_may_pass_is_tried_again_when_its_rights_change(photo: Path, status: Status) -> None:
    arrivals = make_arrivals(photo.parent)
    assert look(arrivals) == ["a.jpg"]
    arrivals.note(fail(photo, status))
    assert look(arrivals) == []
    arrivals.is_known = lambda path, state: True  # noqa: ARG005  # as its line has been written
    change_rights(photo)
    assert look(arrivals) == ["a.jpg"]
    assert look(arrivals) == []


def test_rights_that_changed_before_the_failure_was_heard_of_count(photo: Path) -> None:
    arrivals = make_arrivals(photo.parent)
    assert look(arrivals) == ["a.jpg"]
    change_rights(photo)
    assert look(arrivals) == []
    arrivals.note(fail(photo, Status.DENIED))
    arrivals._take_back()
    assert [arrival.path for arrival in arrivals._find_complete()] == [str(photo)]


@pytest.mark.parametrize("status", [Status.DAMAGED, Status.UNSUPPORTED, Status.TOO_LARGE])
def test_what_fails_for_good_is_not_tried_again_for_its_rights(photo: Path, status: Status) -> None:
    arrivals = make_arrivals(photo.parent)
    assert look(arrivals) == ["a.jpg"]
    arrivals.note(fail(photo, status))
    change_rights(photo)
    assert look(arrivals) == []


def test_nothing_is_held_of_files_that_are_gone(tmp_path: Path) -> None:
    arrivals = make_arrivals(tmp_path)
    for number in range(100):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(b"a photo")
        assert look(arrivals) == [path.name]
        if number % 2:
            arrivals.note(fail(path, Status.DENIED))
        else:
            arrivals.settle = 1000.0
            assert arrivals.put_back(Arrival(str(path), arrivals.done[str(path)]))
            assert look(arrivals) == []
            arrivals.settle = 0.0
            assert look(arrivals) == [path.name]
        path.unlink()
    assert look(arrivals) == []
    assert not any((arrivals.done, arrivals.waiting, arrivals.patient, arrivals.failed))
    assert list(arrivals.gone) == [str(tmp_path / f"{number}.jpg") for number in range(100)]


def test_what_cannot_be_seen_for_a_while_is_held(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = make_arrivals(photo.parent)
    assert look(arrivals) == ["a.jpg"]

    def deny(path: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", deny)
        patch.setattr(os, "lstat", deny)
        assert look(arrivals) == []
    assert look(arrivals) == []
    assert not arrivals.gone


def test_what_cannot_be_read_is_told_once_as_long_as_it_stays_so(photo: Path) -> None:
    told: list[str] = []
    arrivals = Arrivals(str(photo.parent), EVERYTHING, lambda path, state: False, told.append, Pace(0.0, 60.0))  # noqa: ARG005
    look(arrivals)
    assert told == []
    make_unreadable(photo.parent / "one")
    warning = f"{photo.parent}: {{}} folder that cannot be read: there may be images that have no score"
    for _ in range(2):
        look(arrivals)
        assert told == [warning.format(1)]
    make_unreadable(photo.parent / "two")
    look(arrivals)
    assert told == [warning.format(1), warning.format(2)]
    shutil.rmtree(photo.parent / "one")
    shutil.rmtree(photo.parent / "two")
    look(arrivals)
    assert len(told) == 2


def test_what_was_away_is_scored_when_it_is_back_as_it_was(photo: Path) -> None:
    arrivals = make_arrivals(photo.parent)
    assert look(arrivals) == ["a.jpg"]
    away = photo.rename(photo.with_name(".away"))
    arrivals.note(fail(photo, Status.MISSING))
    assert look(arrivals) == []
    os.rename(away, photo)  # noqa: PTH104
    assert look(arrivals) == ["a.jpg"]
