"""What `cache` promises: what it finds is true of the file as it is now, and whatever is wrong with the cache is a warning."""

import os
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from conftest import Run, wait_until
from in_process import environment

from iqa_cli.records import Detail, Patch
from iqa_cli.scoring.cache import (
    DAMAGED,
    FILE,
    Prediction,
    ScoreCache,
    clear_cache,
    connect,
    describe_cache,
    find_folder,
    read_state,
)

PREDICTION = Prediction(0.1 + 0.2, 4000, 3000)
OLD = 1_600_000_000_000_000_000  # ns: a time when nothing of today was written
LONG = 10**15  # ns: what was written that long ago is recent on the slowest machine
NO_SUCH_USER = os.name != "posix" or os.geteuid() == 0  # root may write everywhere


class Warned(list[str]):
    """Collects warnings."""

    def __call__(self, text: str) -> None:
        self.append(text)


@pytest.fixture
def warned() -> Warned:
    return Warned()


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"pixels")
    return str(path)


@pytest.fixture
def opened(cache: Path, warned: Warned) -> Iterator[ScoreCache]:
    with closing(ScoreCache(cache, {"model": "a"}, warned)) as scores:
        yield scores
    assert warned == []


def look_up(scores: ScoreCache, path: str) -> Prediction | None:
    state = read_state(path)
    return None if state is None else scores.get(path, "", state)


def put(scores: ScoreCache, path: str) -> None:
    state = read_state(path)
    assert state is not None
    scores.put(path, "", state, PREDICTION)


def read_rows(folder: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / FILE)) as connection:
        return connection.execute("SELECT path, hash, modified FROM scores").fetchall()


# ---- what is found ----


def test_what_was_kept_is_known_to_the_bit(opened: ScoreCache, file: str) -> None:
    assert look_up(opened, file) is None
    put(opened, file)
    assert look_up(opened, file) == PREDICTION
    assert opened.hits == 1


def test_it_is_known_to_the_next_run_and_under_every_name(opened: ScoreCache, file: str, cache: Path, warned: Warned) -> None:
    put(opened, file)
    with closing(ScoreCache(cache, {"model": "a"}, warned)) as later:
        here = os.path.relpath(file)
        assert [look_up(later, name) for name in (file, here, f"./{here}")] == [PREDICTION] * 3


def test_other_settings_know_nothing_of_it(opened: ScoreCache, file: str, cache: Path, warned: Warned) -> None:
    put(opened, file)
    with closing(ScoreCache(cache, {"model": "b"}, warned)) as other:
        assert look_up(other, file) is None
        put(other, file)
    assert look_up(opened, file) == PREDICTION, "both are kept"


@pytest.mark.parametrize("change", ["append", "rewrite", "replace", "touch"])
def test_a_file_that_has_changed_is_not_known(opened: ScoreCache, file: str, change: str) -> None:
    put(opened, file)
    path = Path(file)
    if change == "append":
        path.write_bytes(b"pixels, more")
    elif change == "rewrite":
        path.write_bytes(b"PIXELS")
    elif change == "replace":  # by one of the same size and time of modification, as copying does
        before = path.stat()
        path.with_name("other").write_bytes(b"PIXELS")
        os.utime(path.with_name("other"), ns=(before.st_atime_ns, before.st_mtime_ns))
        path.with_name("other").replace(path)
    else:
        os.utime(path, ns=(OLD, OLD))
    assert look_up(opened, file) is None


def test_content_that_changes_within_a_step_of_the_clock_is_noticed(
    opened: ScoreCache, file: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iqa_cli.scoring.cache.RECENT", LONG)
    put(opened, file)
    Path(file).write_bytes(b"PIXELS")
    now = Path(file).stat()
    with closing(sqlite3.connect(cache / FILE)) as connection:  # as if the clock had not moved in between
        connection.execute("UPDATE scores SET modified = ?, changed = ?", (now.st_mtime_ns, now.st_ctime_ns))
        connection.commit()
    assert look_up(opened, file) is None


def test_the_hash_is_compared_until_the_state_is_old(
    opened: ScoreCache, file: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iqa_cli.scoring.cache.RECENT", LONG)
    put(opened, file)
    ((_, content, _),) = read_rows(cache)
    assert isinstance(content, bytes)
    assert look_up(opened, file) == PREDICTION
    assert read_rows(cache)[0][1] == content, "too early to trust the state"
    wait_until(lambda: time.time_ns() > Path(file).stat().st_ctime_ns + 1)
    monkeypatch.setattr("iqa_cli.scoring.cache.RECENT", 1)
    assert look_up(opened, file) == PREDICTION
    assert read_rows(cache)[0][1] is None
    assert look_up(opened, file) == PREDICTION


def test_a_file_that_changes_while_it_is_scored_is_not_kept(opened: ScoreCache, file: str, cache: Path) -> None:
    state = read_state(file)
    assert state is not None
    Path(file).write_bytes(b"pixels, and it grows")
    opened.put(file, "", state, PREDICTION)
    Path(file).unlink()
    opened.put(file, "", state, PREDICTION)
    assert read_rows(cache) == []


@pytest.mark.parametrize("path", ["gone.jpg", "", "nul\0", "/dev/null", "/"])
def test_only_regular_files_have_a_state(path: str) -> None:
    assert read_state(path) is None


def test_files_of_impossible_ages_are_scored_without_it(opened: ScoreCache, file: str) -> None:
    state = read_state(file)
    assert state is not None
    from dataclasses import replace

    ancient = replace(state, modified=1 << 70)
    assert opened.get(file, "", ancient) is None
    opened.put(file, "", ancient, PREDICTION)
    put(opened, file)
    assert look_up(opened, file) == PREDICTION


def test_names_are_bytes(opened: ScoreCache, tmp_path: Path) -> None:
    for name in (b"raw\xff\xfe.jpg", b"line\nend.jpg", "写真.jpg".encode()):
        path = os.fsdecode(os.path.join(os.fsencode(tmp_path), name))  # noqa: PTH118
        Path(path).write_bytes(b"pixels")
        put(opened, path)
        assert look_up(opened, path) == PREDICTION


# ---- several at once ----


def test_threads_share_it(opened: ScoreCache, tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{i}") for i in range(40)]
    for path in paths:
        Path(path).write_bytes(b"pixels")

    def work(own: list[str]) -> None:
        for path in own:
            put(opened, path)
            assert look_up(opened, path) == PREDICTION

    threads = [threading.Thread(target=work, args=(paths[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened.hits == 40


WRITER = """
import sys
from pathlib import Path
from iqa_cli.scoring.cache import Prediction, ScoreCache, read_state
scores = ScoreCache(Path(sys.argv[1]), {"model": "a"}, lambda text: sys.exit(text))
for i in range(int(sys.argv[2]), 200, 2):
    path = f"{sys.argv[3]}/{i}"
    Path(path).write_bytes(b"pixels")
    scores.put(path, "", read_state(path), Prediction(i / 200, i, i))
    print(i, flush=True)
"""


def start_writer(folder: Path, parity: int, files: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(parity), str(files)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())


def test_processes_share_it(opened: ScoreCache, cache: Path, tmp_path: Path) -> None:
    writers = [start_writer(cache, parity, tmp_path) for parity in (0, 1)]
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    assert [look_up(opened, str(tmp_path / f"{i}")) for i in range(200)] == [Prediction(i / 200, i, i) for i in range(200)]


def test_what_was_kept_survives_a_kill(opened: ScoreCache, cache: Path, tmp_path: Path) -> None:
    writer = start_writer(cache, 0, tmp_path)
    assert writer.stdout is not None
    said = [int(writer.stdout.readline()) for _ in range(20)]
    writer.kill()
    writer.communicate()
    assert [look_up(opened, str(tmp_path / f"{i}")) for i in said] == [Prediction(i / 200, i, i) for i in said]


# ---- what goes wrong ----


@pytest.mark.parametrize("where", ["whole", "head", "pages"])
def test_a_damaged_cache_is_set_aside(cache: Path, file: str, warned: Warned, where: str) -> None:
    with closing(ScoreCache(cache, {"model": "a"}, warned)) as scores:
        for i in range(400):
            state = read_state(file)
            assert state is not None
            scores.put(file, "", state, PREDICTION)
            scores._execute("INSERT INTO scores VALUES (?, ?, 1, 1, 1, NULL, 0.5, 1, 1)", f"{i}".encode(), b"x")
    data = bytearray((cache / FILE).read_bytes())
    if where == "whole":
        data[:] = b"no database" * 100
    else:
        at = 0 if where == "head" else 4096
        data[at : at + 9000] = b"\xff" * 9000
    (cache / FILE).write_bytes(data)
    with closing(ScoreCache(cache, {"model": "a"}, warned)) as scores:
        assert look_up(scores, file) in (None, PREDICTION)
        for i in range(400):
            scores._execute("SELECT quality FROM scores WHERE path = ?", f"{i}".encode())
        put(scores, file)
        assert look_up(scores, file) == PREDICTION
    (warning,) = warned
    assert warning == f"{cache / FILE}: the cache was damaged; it is set aside as {DAMAGED}, and a new one begun"
    assert (cache / DAMAGED).read_bytes() == data


def assert_works_without(folder: Path, file: str, reason: str) -> None:
    warned = Warned()
    scores = ScoreCache(folder, {"model": "a"}, warned)
    put(scores, file)
    assert look_up(scores, file) is None
    (warning,) = warned
    assert warning.startswith(f"{folder / FILE}: the cache cannot be used: ")
    assert reason in warning


def test_a_folder_that_cannot_be_made_is_a_warning(file: str) -> None:
    assert_works_without(Path(file) / "cache", file, "Not a directory")


def test_something_else_in_its_place_is_a_warning(tmp_path: Path, file: str) -> None:
    (tmp_path / "odd" / FILE).mkdir(parents=True)
    assert_works_without(tmp_path / "odd", file, "unable to open database file")


@pytest.mark.skipif(NO_SUCH_USER, reason="needs a user who may not write everywhere")
def test_a_folder_that_may_not_be_written_is_a_warning(tmp_path: Path, file: str) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    assert_works_without(closed, file, "unable to open database file")


LIMITED = """
import resource, sys
from pathlib import Path
from iqa_cli.scoring.cache import Prediction, ScoreCache, read_state
scores = ScoreCache(Path(sys.argv[1]), {"model": "a"}, print)
scores.put(sys.argv[2], "", read_state(sys.argv[2]), Prediction(0.5, 1, 1))
size = (Path(sys.argv[1]) / "scores-1.sqlite-wal").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 9000, size + 9000))
for i in range(100):
    scores.put(sys.argv[2], "", read_state(sys.argv[2]), Prediction(0.5, i, i))
"""


@pytest.mark.skipif(os.name != "posix", reason="needs limits")
def test_a_full_disk_is_one_warning(cache: Path, file: str, warned: Warned) -> None:
    command = [sys.executable, "-c", LIMITED, str(cache), file]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment(PYTHONDONTWRITEBYTECODE="1"))
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith(f"{cache / FILE}: the cache cannot be used: ")
    assert done.stderr == ""
    with closing(ScoreCache(cache, {"model": "a"}, warned)) as scores:
        assert look_up(scores, file) is not None, "what was kept before is there"
    assert warned == []


def test_another_process_that_writes_for_long_is_waited_for(opened: ScoreCache, cache: Path, file: str) -> None:
    with closing(connect(cache)) as other:
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.5, other.execute, ["COMMIT"]).start()
        put(opened, file)
    assert look_up(opened, file) == PREDICTION


# ---- where it lies, and how it is forgotten ----


def test_it_lies_where_the_system_wants_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert find_folder() == Path(os.environ["IQA_CACHE"])
    monkeypatch.setenv("IQA_CACHE", "")
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert find_folder() == tmp_path / "iqa"
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert find_folder() == Path.home() / ".cache" / "iqa"


def test_names_of_photos_are_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "cache"
    ScoreCache(folder, {}, Warned()).close()
    assert folder.stat().st_mode & 0o077 == 0


def test_it_says_how_much_it_holds_and_forgets_it(opened: ScoreCache, file: str, cache: Path) -> None:
    put(opened, file)
    state = describe_cache(cache)
    assert (state.file, state.scores) == (cache / FILE, 1)
    assert state.bytes >= (cache / FILE).stat().st_size
    clear_cache(cache)
    assert describe_cache(cache).scores == 0
    assert look_up(opened, file) is None, "whoever has it open goes on"
    put(opened, file)
    assert look_up(opened, file) == PREDICTION


def test_nothing_is_made_by_asking(tmp_path: Path) -> None:
    assert (describe_cache(tmp_path / "none").scores, describe_cache(tmp_path / "none").bytes) == (0, 0)
    clear_cache(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_cache_is_told_and_cleared(cache: Path) -> None:
    (cache / FILE).write_bytes(b"no database" * 100)
    (cache / DAMAGED).write_bytes(b"an older one")
    assert describe_cache(cache).scores is None
    clear_cache(cache)
    assert list(cache.iterdir()) == []


def test_a_cache_on_a_full_disk_is_cleared(cache: Path, file: str, warned: Warned) -> None:
    """It takes room to note what is forgotten. A limit on files stands for the disk."""
    with closing(ScoreCache(cache, {"model": "a"}, warned)) as scores:
        put(scores, file)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        clear_cache(cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_BUSY])
def test_what_cannot_be_forgotten_for_want_of_room_is_removed(
    cache: Path, file: str, warned: Warned, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """And nothing else is, as what another process writes to for long."""

    def fail(_: Path) -> NoReturn:
        error = sqlite3.OperationalError("as on such a disk")
        error.sqlite_errorcode = code
        raise error

    with closing(ScoreCache(cache, {"model": "a"}, warned)) as scores:
        put(scores, file)
    monkeypatch.setattr("iqa_cli.scoring.cache.connect", fail)
    if code == sqlite3.SQLITE_BUSY:
        with pytest.raises(sqlite3.OperationalError):
            clear_cache(cache)
        assert describe_cache(cache).scores == 1
    else:
        clear_cache(cache)
        assert list(cache.iterdir()) == []


# ---- as a user has it ----


def test_a_second_run_over_a_folder_tells_the_same_from_the_cache(iqa: Run, model: Path, photos: Path, cache: Path) -> None:
    runs = [iqa("score", photos, "--model", model, "--workers", workers) for workers in ("1", "2")]
    assert runs[0].stdout == runs[1].stdout
    assert b"from the cache" not in runs[0].stderr
    assert runs[1].stderr.endswith(b"images/s), 12 from the cache\n")
    assert describe_cache(cache).scores == 12
    fresh = iqa("score", photos, "--model", model, "--no-cache")
    assert fresh.stdout == runs[0].stdout
    assert b"from the cache" not in fresh.stderr


def test_options_that_change_scores_are_told_apart(iqa: Run, model: Path, photos: Path) -> None:
    one = iqa("score", photos, "--model", model).stdout
    three = iqa("score", photos, "--model", model, "--crops", "3").stdout
    assert one != three
    assert iqa("score", photos, "--model", model, "--crops", "3", "--no-cache").stdout == three
    small = iqa("score", photos, "--model", model, "--max-pixels", "100")
    assert small.stdout.count(b",too-large,") == 12


def test_files_that_are_named_are_not_kept_unless_asked(iqa: Run, model: Path, photos: Path, cache: Path) -> None:
    iqa("score", photos / "01.jpg", "--model", model)
    assert list(cache.iterdir()) == []
    iqa("score", photos / "01.jpg", "--model", model, "--cache")
    assert describe_cache(cache).scores == 1
    iqa("score", "-", "--model", model, input=os.fsencode(photos / "02.jpg"))
    assert describe_cache(cache).scores == 2


def test_a_cache_that_cannot_be_used_is_a_warning(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = iqa("score", photos, "--model", model, env=environment(IQA_CACHE=str(tmp_path / "file")))
    assert done.returncode == 0
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(f"iqa: warning: {tmp_path}/file/{FILE}: the cache cannot be used: ")


def test_the_command_says_what_it_holds_and_clears_it(iqa: Run, model: Path, photos: Path, cache: Path) -> None:
    iqa("score", photos, "--model", model)
    done = iqa("cache", "info")
    header, row = done.stdout.decode().splitlines()
    assert header == "file,size,scores"
    assert row.startswith(f"{cache / FILE},0.")
    assert row.endswith(" MB,12")
    assert iqa("cache", "clear").returncode == 0
    assert iqa("cache", "info").stdout.decode().splitlines()[1].endswith(",0")


def test_the_command_on_what_cannot_be_read_is_one_line(iqa: Run, tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    for command in ("info", "clear"):
        done = iqa("cache", command, env=environment(IQA_CACHE=str(tmp_path)))
        assert done.returncode == 4
        assert done.stderr.count(b"\n") == 1
        assert b"cache cannot be" in done.stderr


def test_a_cache_that_is_just_being_made_holds_no_scores(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "scores-1.sqlite").close()
    (tmp_path / "scores-1.sqlite").touch()
    assert describe_cache(tmp_path).scores == 0


def test_a_tilde_in_iqa_cache_is_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("IQA_CACHE", "~/scores")
    assert find_folder() == tmp_path / "scores"


def test_detail_is_kept_with_its_score(opened: ScoreCache, file: str, cache: Path) -> None:
    detail = Detail(81.25, 8.5, 7.25, 9.0, (Patch(1, 2, 128, 80.5, 0.5), Patch(3, 4, 128, 70.0)), 0.5, 1.5, 2.5, 3.5, 4.5)
    os.utime(file, ns=(OLD, OLD))
    opened.put(file, "", read_state(file), replace(PREDICTION, detail=detail))
    assert look_up(opened, file) == replace(PREDICTION, detail=detail)
    clear_cache(cache)
    assert look_up(opened, file) is None
