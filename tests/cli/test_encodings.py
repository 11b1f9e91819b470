"""Terminals and files whose encoding has not all letters: what people read is replaced, what programs read stays as it is."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run
from in_process import environment, read_terminal

pytestmark = [pytest.mark.process, pytest.mark.skipif(os.name != "posix", reason="needs terminals of POSIX")]
PHOTO = Path(__file__).parents[1] / "photos" / "chelsea.jpg"
SIGN = {"latin-1": b"\xb1", "ascii": b"+-", "utf-8": "\u00b1".encode()}
BAR = {"latin-1": b"=", "ascii": b"=", "utf-8": "\u2501".encode()}


def run_at(encoding: str, *args: str | Path, cwd: Path | None = None) -> tuple[int, bytes]:
    """Exit code, and what a terminal of that encoding was sent."""
    ours, theirs = pty.openpty()
    shown = bytearray()
    env = environment(PYTHONIOENCODING=encoding, COLUMNS="100", TERM="xterm")
    with subprocess.Popen(
        [sys.executable, "-m", "iqa_cli", *args], stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=cwd
    ) as p:
        os.close(theirs)
        read_terminal(ours, shown)
    os.close(ours)
    return p.returncode, bytes(shown)


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_a_table_is_shown_at_any_terminal(encoding: str) -> None:
    code, shown = run_at(encoding, "score", PHOTO)
    assert code == 0, shown
    assert SIGN[encoding] in shown
    assert BAR[encoding] * 2 in shown
    assert b"scored 1 of 1" in shown


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
@pytest.mark.parametrize("args", [["--help"], ["score", "--help"], ["doctor"], ["models", "show", "qfm-iqm"], ["datasets"]])
def test_every_page_is_shown_at_any_terminal(args: list[str], encoding: str) -> None:
    code, shown = run_at(encoding, *args)
    assert code in (0, 1), shown
    assert b"Traceback" not in shown


def test_letters_that_a_terminal_has_not_are_told_apart(tmp_path: Path) -> None:
    code, shown = run_at("ascii", "score", "caf\u00e9 \u65e5\u672c.jpg", cwd=tmp_path)
    assert code == 1
    assert rb"caf\xe9 \u65e5\u672c.jpg" in shown


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_an_explanation_goes_to_a_file(iqa_process: Run, photos: Path, encoding: str) -> None:
    done = iqa_process("explain", photos / "01.jpg", env=environment(PYTHONIOENCODING=encoding))
    assert (done.returncode, done.stderr) == (0, b"")
    assert SIGN[encoding] in done.stdout


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl"])
@pytest.mark.parametrize("name", [os.fsdecode(b"br\xe9ken.jpg"), "\u65e5\u672c \u00e9.jpg"])
def test_records_are_the_same_bytes_in_any_encoding(
    iqa_process: Run, model: Path, photos: Path, tmp_path: Path, kind: str, name: str
) -> None:
    (tmp_path / name).write_bytes((photos / "01.jpg").read_bytes())
    command = ("score", ".", "--model", model, f"--{kind}", "-")
    outputs = [iqa_process(*command, cwd=tmp_path, env=environment(PYTHONIOENCODING=encoding)) for encoding in ("utf-8", *SIGN)]
    assert {done.returncode for done in outputs} == {0}
    assert len({done.stdout for done in outputs}) == 1
    assert outputs[0].stdout
