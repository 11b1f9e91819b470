"""The command line as a user has it: its bytes, messages, exit codes, and what signals, disks and terminals do to it."""

import base64
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Run, read_rows, wait_until, write_photo
from in_process import environment, read_terminal, run_at_terminal

from iqa_cli import __version__
from iqa_cli.records import COLUMNS

pytestmark = pytest.mark.process

HEADER = ",".join(COLUMNS)


# ---- streams, columns, exit codes ----


def test_records_go_to_stdout_and_the_summary_to_stderr(iqa: Run, model: Path, photos: Path) -> None:
    done = iqa("score", photos, "--model", model)
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].decode() == HEADER
    rows = read_rows(done.stdout)
    assert [Path(row["path"]).name for row in rows[:3]] == ["01.jpg", "02.jpg", "04.jpg"]
    assert all(re.fullmatch(r"\d+\.\d\d", row["score"]) and re.fullmatch(r"\d+\.\d", row["percentile"]) for row in rows)
    assert {row["model"] for row in rows} == {"toy"}
    assert re.fullmatch(r"scored 12 of 12 images in \d+\.\d s \(\d+\.\d images/s\)\n", done.stderr.decode())


def test_paths_are_as_the_user_named_them(iqa: Run, model: Path, photos: Path) -> None:
    done = iqa("score", "./more/..", "./01.jpg", "more/00.jpg", "--model", model, cwd=photos)
    paths = [row["path"] for row in read_rows(done.stdout)]
    assert len(paths) == 14
    assert paths[0] == "./more/../01.jpg"
    assert paths[-2:] == ["./01.jpg", "more/00.jpg"]


def test_some_failed_is_exit_1_and_nothing_is_silent(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("text")
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    done = iqa("score", photos, tmp_path, "gone.jpg", "--model", model)
    assert done.returncode == 1
    failed = {Path(row["path"]).name: row for row in read_rows(done.stdout) if row["status"] != "ok"}
    assert {name: row["status"] for name, row in failed.items()} == {"text.jpg": "unsupported", "gone.jpg": "missing"}
    assert all(row["detail"] and not row["score"] and not row["percentile"] for row in failed.values())
    lines = done.stderr.decode().splitlines()
    assert lines[0].startswith("scored 12 of 14 images in ")
    assert lines[1] == "failed: 1 unsupported, 1 missing"
    assert lines[2] == "left out: 1 SVG image, 1 *.txt"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["score"], "nothing to score"),
        (["score", "a.jpg", "--backend", "tensorflow"], "tensorflow"),
        (["score", "a.jpg", "--crops", "10"], "--crops"),
        (["score", "a.jpg", "--batch-size", "0"], "--batch-size"),
        (["score", "a.jpg", "--no-such-option"], "no-such-option"),
        (["score", "-", "-"], "once"),
        (["score", "-", "--files-from", "-"], "once"),
        (["score", "a.jpg", "--csv", "out", "--json", "./out"], "one file"),
        (["score", "a.jpg", "--model", "hf://nonsense"], "hf://owner/name"),
        (["no-such-command"], "no-such-command"),
    ],
)
def test_usage_errors_are_exit_2(iqa: Run, tmp_path: Path, args: list[str], message: str) -> None:
    done = iqa(*args, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == b""
    assert message in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there_is_exit_2(iqa: Run, model: Path, photos: Path) -> None:
    done = iqa("score", photos, "--model", model, "--device", "mps")
    assert done.returncode == 2
    assert done.stderr.startswith(b"iqa: error: device mps: ")


def test_weights_that_are_not_there_are_exit_3(iqa: Run, photos: Path) -> None:
    done = iqa("score", photos, "--model", "no-such-model")
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.startswith(b"iqa: error: no-such-model: no such model. Installed: ")
    assert done.stderr.count(b"\n") == 1


def test_damaged_weights_are_exit_3(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    card = tmp_path / "toy.json"
    card.write_bytes(model.read_bytes())
    damaged = bytearray(model.with_name("toy.onnx").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "toy.onnx").write_bytes(damaged)
    done = iqa("score", photos, "--model", card, "--csv", tmp_path / "out.csv")
    assert done.returncode == 3
    assert re.search(rb"toy\.onnx: not the file of the card: SHA-256 [0-9a-f]{64} expected, [0-9a-f]{64} there", done.stderr)
    assert not (tmp_path / "out.csv").exists()


def test_no_images_is_exit_4_and_names_what_was_left_out(iqa: Run, model: Path, tmp_path: Path) -> None:
    done = iqa("score", tmp_path, "--model", model)
    assert (done.returncode, done.stdout) == (4, b"")
    assert done.stderr == b"iqa: error: no images found; there is nothing at all\n"
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / "out.csv").write_text("older")
    done = iqa("score", tmp_path, "--model", model, "--csv", tmp_path / "out.csv", "--force")
    assert done.returncode == 4
    assert done.stderr.startswith(b"iqa: error: no images found; left out: 1 ")
    assert (tmp_path / "out.csv").read_text() == "older"


def test_an_output_that_cannot_be_written_is_told_before_any_work(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    done = iqa("score", photos, "--model", model, "--csv", tmp_path / "no" / "out.csv", "--json", tmp_path / "out.json")
    assert (done.returncode, done.stdout) == (4, b"")
    assert done.stderr.decode().endswith("no/out.csv: cannot write the results: No such file or directory\n")
    assert list(tmp_path.iterdir()) == []


def test_a_list_that_cannot_be_read_is_exit_4(iqa: Run, model: Path, tmp_path: Path) -> None:
    done = iqa("score", "--files-from", tmp_path / "gone", "--model", model)
    assert done.returncode == 4
    assert b"gone: cannot read the list of paths: No such file or directory" in done.stderr


def test_quiet_silences_the_summary_and_not_the_errors(iqa: Run, model: Path, photos: Path) -> None:
    assert iqa("score", photos, "--model", model, "--quiet").stderr == b""
    assert iqa("score", photos, "--model", "no-such-model", "-q").stderr.startswith(b"iqa: error: ")


def test_version(iqa: Run) -> None:
    done = iqa("--version")
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, f"iqa {__version__}\n", b"")


# ---- outputs ----


def test_three_outputs_at_once_tell_the_same(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    files = {kind: tmp_path / f"out.{kind}" for kind in ("csv", "jsonl", "json")}
    done = iqa(
        "score", photos, "gone.jpg", "--model", model, *(part for kind, file in files.items() for part in (f"--{kind}", file))
    )
    assert (done.returncode, done.stdout) == (1, b"")
    objects = json.loads(files["json"].read_bytes())
    assert objects == [json.loads(line) for line in files["jsonl"].read_bytes().splitlines()]
    rows = read_rows(files["csv"].read_bytes())
    assert [tuple(row) for row in rows] == [tuple(item) for item in objects] == [COLUMNS] * 13
    for row, item in zip(rows, objects, strict=True):
        assert (float(row["score"]) if row["score"] else None) == item["score"]
        assert (row["path"], row["status"], row["detail"]) == (item["path"], item["status"], item["detail"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "out.json", "out.jsonl"]


def test_a_run_repeated_gives_the_same_bytes(iqa: Run, model: Path, photos: Path) -> None:
    first = iqa("score", photos, "--model", model, "--workers", "1").stdout
    assert iqa("score", photos, "--model", model, "--workers", "4", "--batch-size", "5").stdout == first


def test_crops_are_those_asked_for(iqa: Run, model: Path, photos: Path) -> None:
    one, three = (iqa("score", photos, "--model", model, "--crops", count).stdout for count in ("1", "3"))
    assert one == iqa("score", photos, "--model", model).stdout
    assert one != three


def test_too_large_images_are_told(iqa: Run, model: Path, photos: Path) -> None:
    done = iqa("score", photos / "01.jpg", "--model", model, "--max-pixels", "100")
    (row,) = read_rows(done.stdout)
    assert (done.returncode, row["status"], row["width"], row["height"]) == (1, "too-large", "80", "96")


# ---- names ----

NAMES = [
    b"-rf.jpg",
    b"a,b.jpg",
    b'quote".jpg',
    b"line\nend.jpg",
    b"return\r.jpg",
    "写真.jpg".encode(),
    b"raw\xff\xfe.jpg",
    b" .jpg",
    b"\x1b[31m.jpg",
]


@pytest.fixture
def odd_photos(tmp_path: Path) -> Path:
    folder = tmp_path / "odd"
    folder.mkdir()
    photo = write_photo(tmp_path / "plain.jpg", 1).read_bytes()
    for name in NAMES:
        folder.joinpath(os.fsdecode(name)).write_bytes(photo)
    return folder


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_odd_names_come_back_as_they_are(iqa: Run, model: Path, odd_photos: Path, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    done = iqa("score", ".", "--model", model, f"--{kind}", out, cwd=odd_photos)
    assert done.returncode == 0
    rows = read_rows(out.read_bytes()) if kind == "csv" else json.loads(out.read_bytes())
    named = [base64.b64decode(row.get("path_base64", "")) or os.fsencode(row["path"]) for row in rows]
    assert sorted(named) == sorted(b"./" + name for name in NAMES)


def test_odd_names_as_arguments(iqa: Run, model: Path, odd_photos: Path) -> None:
    done = iqa("score", "--model", model, "--", *NAMES, cwd=odd_photos)
    assert done.returncode == 0
    assert [os.fsencode(row["path"]) for row in read_rows(done.stdout)] == NAMES


def test_odd_names_on_stdin(iqa: Run, model: Path, odd_photos: Path) -> None:
    done = iqa("score", "-0", "-", "--model", model, cwd=odd_photos, input=b"\0".join(NAMES) + b"\0")
    assert done.returncode == 0
    assert [os.fsencode(row["path"]) for row in read_rows(done.stdout)] == NAMES


def test_odd_names_at_a_terminal_cannot_harm_it(model: Path, odd_photos: Path) -> None:
    code, shown = run_at_terminal("score", odd_photos, "--model", model)
    assert code == 0
    for text in (r"\x1b[31m.jpg", r"line\nend.jpg", r"raw\udcff\udcfe.jpg", "写真.jpg"):
        assert text in shown.replace("\r\n", "").replace(" ", "")


# ---- lists of paths ----


def test_lists_join_the_arguments_in_order(iqa: Run, model: Path, photos: Path, tmp_path: Path) -> None:
    listing = tmp_path / "list"
    listing.write_text("05.jpg\r\n\n07.jpg\n")
    done = iqa(
        "score", "08.jpg", "-", "01.jpg", "--files-from", listing, "--model", model, cwd=photos, input=b"02.jpg\nmore\n04.jpg"
    )
    names = ["08", "02", "more/00", "more/03", "more/06", "more/09", "04", "01", "05", "07"]
    assert [row["path"] for row in read_rows(done.stdout)] == [f"{name}.jpg" for name in names]
    assert done.returncode == 0


def test_a_list_from_stdin_by_option(iqa: Run, model: Path, photos: Path) -> None:
    done = iqa("score", "--files-from", "-", "--null", "--model", model, cwd=photos, input=b"02.jpg\0gone.jpg\0")
    assert [row["status"] for row in read_rows(done.stdout)] == ["ok", "missing"]
    assert done.returncode == 1


def test_an_empty_list_is_exit_4(iqa: Run, model: Path) -> None:
    done = iqa("score", "-", "--model", model, input=b"")
    assert done.returncode == 4


# ---- interruptions ----

HEARD = pytest.mark.skipif(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, reason="the suite runs under nohup")


@contextmanager
def endless_run(model: Path, photo: Path, *args: str | Path) -> Iterator[tuple[subprocess.Popen[bytes], threading.Event]]:
    """A run that is fed one path again and again until the event is set; then it waits for more."""
    command = [sys.executable, "-m", "iqa_cli", "score", "-", "--model", model, *args]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, env=environment(), **pipes)
    enough = threading.Event()

    def feed() -> None:
        assert process.stdin is not None
        while not enough.is_set():
            try:
                process.stdin.write(os.fsencode(photo) + b"\n")
                process.stdin.flush()
            except BrokenPipeError:
                return
            time.sleep(0.005)

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        yield process, enough
    finally:
        enough.set()
        process.kill()
        feeder.join()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), pytest.param(signal.SIGHUP, 129, marks=HEARD)]
)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "json"])
def test_a_signal_keeps_the_records_so_far(
    model: Path, photos: Path, tmp_path: Path, kind: str, number: signal.Signals, code: int
) -> None:
    out = tmp_path / f"out.{kind}"
    out.write_text("older")
    with endless_run(model, photos / "01.jpg", "--force", f"--{kind}", out) as (process, _):
        part = tmp_path / f".out.{kind}.{process.pid}.part"
        wait_until(lambda: part.exists() and part.stat().st_size > 2000)
        assert out.read_text() == "older"
        process.send_signal(number)
        assert process.wait(120) == code
        assert process.stderr is not None
        message = process.stderr.read().decode()
    whole = out.read_bytes()
    rows = {
        "csv": lambda: read_rows(whole),
        "jsonl": lambda: [json.loads(line) for line in whole.splitlines()],
        "json": lambda: json.loads(whole),
    }[kind]()
    assert len(rows) > 5
    assert whole.endswith(b"\n")
    assert {row["status"] for row in rows} == {"ok"}
    found = re.fullmatch(r"iqa: interrupted: (\d+) of the (\d+) images found so far are kept in (.*)\n", message)
    assert found, message
    assert abs(int(found[1]) - len(rows)) <= 1  # the signal may come between a row and its count
    assert int(found[1]) <= int(found[2])
    assert found[3] == str(out)
    assert list(tmp_path.iterdir()) == [out]


def test_partial_results_are_seen_while_it_runs(model: Path, photos: Path) -> None:
    with endless_run(model, photos / "01.jpg") as (process, enough):
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), True)
        assert process.stdout.readline().decode() == HEADER + "\n"
        assert process.stdout.readline().startswith(os.fsencode(photos / "01.jpg") + b",")
        assert process.poll() is None
        enough.set()


@pytest.fixture
def nobody() -> Iterator[int]:
    """A pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.parametrize("args", [["models"], ["datasets"], ["cache", "info"], ["--help"], ["score", "--help"], ["--version"]])
def test_a_page_that_nobody_reads_ends_the_command_without_a_word(nobody: int, args: list[str]) -> None:
    command = [sys.executable, "-m", "iqa_cli", *args]
    done = subprocess.run(command, stdout=nobody, stderr=subprocess.PIPE, check=False, env=environment())
    assert (done.returncode, done.stderr) == (141, b"")


def test_messages_that_nobody_reads_stop_nothing(model: Path, photos: Path, tmp_path: Path, nobody: int) -> None:
    """As with 2>&1 | head: errors and the summary are lost, not the results."""
    args = [tmp_path / "gone.jpg", photos, "--csv", tmp_path / "out.csv", "--no-cache", "-m", model]
    done = subprocess.run([sys.executable, "-m", "iqa_cli", "score", *args], stderr=nobody, check=False, env=environment())
    assert done.returncode == 1
    assert len(read_rows((tmp_path / "out.csv").read_bytes())) == 13


FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")


@needs_full
@pytest.mark.parametrize(
    "args",
    [
        *(["models", "show", "MODEL"], ["datasets"], ["datasets", "show", "livec"], ["cache", "info"], ["cache", "clear"]),
        *(["doctor"], ["--help"], ["score", "--help"], ["--version"], ["explain", "-m", "MODEL", "PHOTO"]),
        ["score", "-m", "MODEL", "PHOTO"],
    ],
    ids=" ".join,
)
def test_a_full_disk_behind_stdout_is_a_line_and_exit_4(model: Path, photos: Path, args: list[str]) -> None:
    named = {"MODEL": str(model), "PHOTO": str(photos / "01.jpg")}
    command = [sys.executable, "-m", "iqa_cli", *(named.get(arg, arg) for arg in args)]
    with FULL.open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, env=environment())
    assert (done.returncode, done.stderr) == (4, b"iqa: error: cannot write the results: No space left on device\n")


@needs_full
@pytest.mark.parametrize(
    ("args", "code"),
    [
        *((["PHOTO", "-m", "MODEL"], 0), (["PHOTO", "gone.jpg", "-m", "MODEL"], 1), (["PHOTO", "--no-such-option"], 2)),
        *((["PHOTO", "--min", "3", "--max", "2"], 2), (["PHOTO", "-m", "no-such-model"], 3)),
    ],
    ids=str,
)
def test_a_full_disk_behind_stderr_stops_nothing(model: Path, photos: Path, args: list[str], code: int) -> None:
    named = {"MODEL": str(model), "PHOTO": str(photos / "01.jpg")}
    command = [sys.executable, "-m", "iqa_cli", "score", "--no-header", *(named.get(arg, arg) for arg in args)]
    with FULL.open("wb") as full:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, check=False, env=environment())
    assert (done.returncode, done.stdout.count(b"\n")) == (code, code + 1 if code < 2 else 0)


def test_a_closed_pipe_ends_the_run_without_a_word(model: Path, photos: Path) -> None:
    with endless_run(model, photos / "01.jpg") as (process, _):
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(120) == 141
        assert process.stderr is not None
        assert process.stderr.read() == b""
        process.stdout = None


def test_head_gets_its_line(model: Path, photos: Path) -> None:
    command = f"{sys.executable} -m iqa_cli score {photos} --model {model} --quiet | head -n 1"
    done = subprocess.run(["bash", "-c", command], check=True, capture_output=True, timeout=60, env=environment())
    assert (done.stdout.decode(), done.stderr) == (HEADER + "\n", b"")


@pytest.mark.parametrize("command", ["--help", "score --help", "--version"])
def test_closed_pipes_are_clean_everywhere(command: str) -> None:
    shell = f"{{ {sys.executable} -m iqa_cli {command}; }} | true"
    assert subprocess.run(["bash", "-c", shell], check=True, capture_output=True, timeout=60, env=environment()).stderr == b""


def test_an_error_in_the_middle_keeps_the_records_so_far(iqa: Run, broken_model: Path, tmp_path: Path) -> None:
    from PIL import Image

    for name, grey in (("a", 200), ("b", 220), ("c", 10), ("d", 240)):
        Image.new("RGB", (64, 64), (grey,) * 3).save(tmp_path / f"{name}.png")
    out = tmp_path / "out.json"
    done = iqa("score", tmp_path, "--model", broken_model, "--json", out, "--workers", "1")
    assert done.returncode == 3
    lines = done.stderr.decode().splitlines()
    assert re.fullmatch(rf"iqa: interrupted: 2 of the \d images found so far are kept in {out}", lines[0])
    assert lines[1] == f"iqa: error: model toy gives no number for {tmp_path}/c.png: its weights are broken"
    assert [Path(item["path"]).name for item in json.loads(out.read_bytes())] == ["a.png", "b.png"]


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_full_disk_keeps_the_records_so_far(iqa_process: Run, model: Path, photos: Path, tmp_path: Path, kind: str) -> None:
    def limit_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))

    out = tmp_path / "out"
    env = environment(PYTHONDONTWRITEBYTECODE="1")
    done = iqa_process("score", photos, "--model", model, f"--{kind}", out, preexec_fn=limit_files, env=env)
    assert done.returncode == 4
    assert f"iqa: error: {out}: cannot write the results: File too large" in done.stderr.decode()
    rows = read_rows(out.read_bytes()) if kind == "csv" else json.loads(out.read_bytes())
    assert 1 <= len(rows) < 12
    assert {row["status"] for row in rows} == {"ok"}
    assert out.read_bytes().endswith(b"\n")


# ---- at a terminal ----


def test_a_terminal_gets_a_table_and_a_summary(model: Path, photos: Path) -> None:
    code, shown = run_at_terminal("score", photos, "gone.jpg", "--model", model)
    assert code == 1
    lines = [line.rstrip() for line in shown.splitlines()]
    assert lines[0].split() == ["Score", "±", "Percentile", "Image"]
    assert re.fullmatch(rf" *\d+\.\d\d +\d+\.\d +━* +{photos}/01\.jpg", lines[1])
    assert lines[13].split() == ["missing", "gone.jpg"]
    assert lines[14].strip() == "no such file or directory"
    assert lines[15].startswith("scored 12 of 13 images in ")
    assert lines[16] == "failed: 1 missing"
    assert max(map(len, lines)) <= 100


def test_a_narrow_terminal_keeps_a_path_on_one_line_with_both_its_ends(model: Path, tmp_path: Path) -> None:
    name = "a-name-that-is-much-longer-than-the-terminal-is-wide-and-then-some-more.jpg"
    write_photo(tmp_path / name, 1)
    _, shown = run_at_terminal("score", tmp_path, "--model", model, "--quiet", columns=60)
    (line,) = [line for line in shown.splitlines() if ".jpg" in line]
    assert line.rstrip().endswith("-some-more.jpg")
    assert f" {str(tmp_path)[:5]}" in line
    assert len(line.rstrip()) <= 60


def test_progress_is_shown_when_records_go_to_a_file(model: Path, photos: Path, tmp_path: Path) -> None:
    code, shown = run_at_terminal("score", photos, "--model", model, "--csv", tmp_path / "out.csv")
    assert code == 0
    assert re.search(r"12 of 12 .*images/s", shown)
    assert "worst so far: " in shown
    assert "scored 12 of 12 images" in shown
    assert "━" in shown
    assert "Percentile" not in shown


def test_progress_and_records_in_a_pipe_do_not_mix(model: Path, photos: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "iqa_cli", "score", photos, "--model", model]
    env = environment(COLUMNS="100", TERM="xterm")
    shown = bytearray()
    reader = threading.Thread(target=read_terminal, args=(ours, shown))
    reader.start()  # a terminal holds a few thousand bytes that nobody has read
    try:
        done = subprocess.run(
            command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, env=env, timeout=120
        )
    finally:
        os.close(theirs)
        reader.join()
        os.close(ours)
    assert len(read_rows(done.stdout)) == 12
    assert done.stdout.startswith(HEADER.encode())
    assert b"12 of 12" in shown
    assert b",ok," not in shown


def test_quiet_shows_no_progress(model: Path, photos: Path, tmp_path: Path) -> None:
    assert run_at_terminal("score", photos, "--model", model, "--csv", tmp_path / "out.csv", "--quiet") == (0, "")


def test_an_error_at_a_terminal_is_one_line(photos: Path) -> None:
    code, shown = run_at_terminal("score", photos, "--model", "no-such-model")
    assert code == 3
    assert shown.startswith("iqa: error: no-such-model: ")


# ---- models ----


def test_models_are_listed_as_csv_in_a_pipe(iqa: Run) -> None:
    from iqa_cli.models.find import find_cards

    cards = list(find_cards())
    done = iqa("models")
    if not cards:
        assert done.returncode == 3
        return
    rows = read_rows(done.stdout)
    assert done.returncode == 0
    assert [row["model"] for row in rows] == [card.name for card in cards]
    assert all(row["backends"] and row["size"].endswith("MB") and row["summary"] for row in rows)
