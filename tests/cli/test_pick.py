"""`iqa pick` as people call it: nothing without --apply, everything back with --undo."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CARD, Run, read_rows, toy_nodes, wait_until, write_model, write_photo
from in_process import environment, run_at_terminal
from PIL import Image
from series import START, make_burst, write_series

from iqa_cli.cli.flags.pick import PhotoFlags, PickFlags, TransferFlags
from iqa_cli.cli.flags.score import InputFlags, ModelFlags
from iqa_cli.cli.flags.shared import BatchFlags
from iqa_cli.cli.pick import describe_request
from iqa_cli.errors import UsageError
from iqa_cli.options import BackendChoice, RawChoice, ScoreOptions

pytestmark = pytest.mark.process
ALIKE = ("path", "suggestion", "group", "group_kind", "rank_in_group", "best_of_group")
PHOTO = Path(__file__).parents[1] / "photos" / "coffee.jpg"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A burst with a sidecar and a RAW file for each frame, three single photos, one in a folder, and one that is damaged."""
    top = tmp_path / "photos"
    (top / "sub").mkdir(parents=True)
    frames = make_burst(np.asarray(Image.open(PHOTO).convert("RGB")), np.random.default_rng(4), 1e5)
    paths, *_ = write_series(top, "burst", frames, START)
    for path in paths:
        path.with_suffix(".xmp").write_text(f"stars of {path.name}")
        path.with_suffix(".CR3").write_text(f"raw of {path.name}")
    for seed, name in enumerate(("one.jpg", "two.jpg", "sub/raw\udcff.jpg")):
        write_photo(top / name, seed)
    (top / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    return top


def list_tree(top: Path) -> dict[str, str]:
    files = (path for path in sorted(top.rglob("*")) if path.is_file())
    return {os.path.relpath(path, top): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_nothing_happens_without_apply(iqa: Run, model: Path, library: Path, tmp_path: Path) -> None:
    before = list_tree(tmp_path)
    done = iqa("pick", library, "-m", model, "--to", tmp_path / "best", "--move")
    assert done.returncode == 1  # of a photo without a score
    assert b"nothing is done yet: add --apply" in done.stderr
    assert list_tree(tmp_path) == before
    rows = {Path(row["path"]).name: row for row in read_rows(done.stdout)}
    assert [*rows["one.jpg"]] == [
        *("path", "suggestion", "reason", "score", "group", "group_kind", "rank_in_group", "best_of_group", "target")
    ]
    burst = [row for name, row in rows.items() if name.startswith("burst") and name.endswith(".jpg")]
    assert {row["group_kind"] for row in burst} == {"burst"}
    assert [row["suggestion"] for row in burst].count("pick") == 1
    assert {row["suggestion"] for row in burst if row["best_of_group"] == "false"} <= {"alternate", "reject candidate"}
    assert rows["cut.jpg"]["suggestion"] == ""
    assert rows["one.jpg"]["target"] == str(tmp_path / "best" / "one.jpg")


@pytest.mark.parametrize("action", ["--move", "--copy", "--link"])
def test_what_is_applied_is_undone(iqa: Run, model: Path, library: Path, tmp_path: Path, action: str) -> None:
    before, best = list_tree(library), tmp_path / "best"
    done = iqa("pick", library, "-m", model, "--to", best, action, "--apply")
    picked = [Path(row["path"]) for row in read_rows(done.stdout) if row["suggestion"] == "pick"]
    assert len(picked) == 4
    frame = next(path.stem for path in picked if path.name.startswith("burst"))
    names = {f"{frame}.jpg", f"{frame}.xmp", f"{frame}.CR3", "one.jpg", "two.jpg", "sub/raw\udcff.jpg"}
    there = list_tree(best)
    assert {*there} == {*names, "iqa-pick-1.undo"}
    assert {name: there[name] for name in names} == {name: before[name] for name in names}
    left = {*before} - names if action == "--move" else {*before}
    assert {*list_tree(library)} == left
    undone = iqa("pick", "--undo", best / "iqa-pick-1.undo")
    assert (undone.returncode, undone.stdout) == (0, b"")
    assert list_tree(library) == before
    assert not best.exists()


@pytest.mark.parametrize("action", ["--move", "--copy", "--link"])
def test_an_undo_that_finds_nothing_says_so_and_can_be_called_again(
    iqa: Run, model: Path, library: Path, tmp_path: Path, action: str
) -> None:
    before, best = list_tree(library), tmp_path / "best"
    iqa("pick", library, "-m", model, "--to", best, action, "--apply")
    best.rename(tmp_path / "renamed")
    undone = iqa("pick", "--undo", tmp_path / "renamed" / "iqa-pick-1.undo")
    assert undone.returncode == 1
    assert b"taken back" not in undone.stderr
    assert b"iqa-pick-1.undo is kept" in undone.stderr
    (tmp_path / "renamed").rename(best)
    assert iqa("pick", "--undo", best / "iqa-pick-1.undo").returncode == 0
    assert list_tree(library) == before
    assert not best.exists()


def test_sidecars_that_were_made_since_come_back_or_are_named(iqa: Run, model: Path, library: Path, tmp_path: Path) -> None:
    best = tmp_path / "best"
    before = list_tree(library)
    for action in ("--move", "--copy"):
        iqa("pick", library / "one.jpg", library / "two.jpg", "-m", model, "--keep", "2", "--to", best, action, "--apply")
        (best / "one.xmp").write_text("stars")
        (best / "two.jpg.xmp").write_text("stars")
        undone = iqa("pick", "--undo", best / "iqa-pick-1.undo")
        if action == "--move":
            assert (undone.returncode, undone.stderr) == (0, b"4 files taken back\n")
            assert list_tree(library).keys() - before.keys() == {"one.xmp", "two.jpg.xmp"}
            (library / "one.xmp").unlink()
            (library / "two.jpg.xmp").unlink()
    assert undone.returncode == 1
    assert undone.stderr.count(b" stays: it was made since") == 2
    assert b"iqa-pick-1.undo is kept" in undone.stderr
    assert {*list_tree(best)} == {"one.jpg", "one.xmp", "two.jpg", "two.jpg.xmp", "iqa-pick-1.undo"}


def test_picks_inside_the_folder_are_not_picked_again(iqa: Run, model: Path, library: Path) -> None:
    call = ("pick", library, "-m", model, "--to", library / "best", "--copy", "--apply", "--keep", "2")
    first = iqa(*call)
    copied = list_tree(library / "best")
    again = iqa(*call)
    assert {row["path"] for row in read_rows(again.stdout)} == {row["path"] for row in read_rows(first.stdout)}
    assert b"already among the picks" in again.stderr
    assert b"exists" in again.stderr  # neither overwritten nor doubled
    assert list_tree(library / "best") == copied


@pytest.mark.parametrize("action", ["--move", "--copy"])
@pytest.mark.parametrize("others", [(), ("linked",)], ids=["a folder", "and a link to it"])
def test_a_file_goes_rather_than_a_link_to_it(
    iqa: Run, model: Path, tmp_path: Path, action: str, others: tuple[str, ...]
) -> None:
    top = tmp_path / "photos"
    top.mkdir()
    write_photo(top / "b.jpg", 1)
    (top / "b.xmp").write_text("stars of b.jpg")
    (top / "a.jpg").symlink_to("b.jpg")
    (tmp_path / "linked").symlink_to("photos")
    named = (*(tmp_path / name for name in others), top)
    done = iqa("pick", *named, "-m", model, "--to", tmp_path / "best", action, "--apply")
    assert done.returncode == 0
    assert [row["path"] for row in read_rows(done.stdout)] == [str(top / "b.jpg")]
    assert b"named twice" in done.stderr
    assert {*list_tree(tmp_path / "best")} == {"b.jpg", "b.xmp", "iqa-pick-1.undo"}
    assert (top / "a.jpg").is_symlink()


def test_a_list_is_for_xargs(iqa: Run, model: Path, library: Path) -> None:
    done = iqa("pick", library, library / "one.jpg", "-m", model, "--keep", "100%", "--list", "-0", "-q")
    paths = done.stdout.split(b"\0")
    assert paths[-1] == b""
    assert len(paths) - 1 == len({*paths}) - 1 == sum(1 for path in library.rglob("*.jpg") if path.name != "cut.jpg")
    assert os.fsencode(library / "sub" / "raw\udcff.jpg") in paths
    best = iqa("pick", library, "-m", model, "--list", "-q").stdout.splitlines()
    assert sum(b"burst" in path for path in best) == 1


BRAKED = """
import signal, sys
linked = []
def brake(event, args):  # the run waits to be killed before its end, however late that comes
    if event == "os.link":
        linked.append(args)
        if len(linked) > 350:
            signal.pause()
sys.addaudithook(brake)
from iqa_cli.cli.entry import main
main()
"""


def test_a_killed_run_goes_on(iqa: Run, model: Path, tmp_path: Path) -> None:
    """Killed in the middle; another one is refused; called again as it was, without a photo being scored; then undone."""
    top, best = tmp_path / "many", tmp_path / "best"
    top.mkdir()
    picture = write_photo(tmp_path / "photo.jpg", 3, (64, 64)).read_bytes()
    for number in range(400):
        (top / f"{number:04}.jpg").write_bytes(picture + str(number).encode())
    before = list_tree(top)
    call = ("pick", str(top), "-m", str(model), "--keep", "100%", "--to", str(best), "--copy", "--apply")
    running = subprocess.Popen([sys.executable, "-c", BRAKED, *call], env=environment(), stdout=-3, stderr=-3)
    wait_until(lambda: best.exists() and len(list(best.iterdir())) > 20)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert len(list_tree(best)) < 400
    other = iqa("pick", top, "-m", model, "--keep", "1", "--to", best, "--move", "--apply")
    assert other.returncode == 2
    assert b"cut short" in other.stderr
    again = iqa(*call)
    assert (again.returncode, again.stdout) == (0, b"")
    assert list_tree(best).items() >= before.items()
    assert len(list_tree(best)) == 401
    assert iqa("pick", "--undo", best / "iqa-pick-1.undo").returncode == 0
    assert list_tree(top) == before
    assert not best.exists()


def cut_short(journal: Path) -> None:
    """Have an undo file look as if the run had been killed before its end."""
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(line for line in lines if b"finished" not in line))


def test_only_the_same_list_goes_on(iqa: Run, model: Path, library: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"{library / 'one.jpg'}\n")
    (tmp_path / "b.txt").write_text(f"{library / 'two.jpg'}\n")
    call = ("pick", "-m", model, "--to", tmp_path / "best", "--move", "--apply", "--files-from")
    assert iqa(*call, tmp_path / "a.txt").returncode == 0
    cut_short(tmp_path / "best" / "iqa-pick-1.undo")
    other = iqa(*call, tmp_path / "b.txt")
    assert (other.returncode, other.stdout) == (2, b"")
    assert b"call it again as it was, or take it back" in other.stderr
    assert iqa(*call, tmp_path / "a.txt").returncode == 0
    assert iqa(*call, tmp_path / "b.txt").returncode == 0
    assert {"one.jpg", "two.jpg"} < {path.name for path in (tmp_path / "best").iterdir()}


@pytest.mark.parametrize("named", [("-",), ("--files-from", "-"), ("--files-from", "/dev/stdin")])
def test_a_list_on_stdin_does_not_go_on(iqa: Run, model: Path, library: Path, tmp_path: Path, named: tuple[str, ...]) -> None:
    listed = os.fsencode(library / "one.jpg")
    call = ("pick", *named, "-m", model, "--to", tmp_path / "best", "--copy", "--apply")
    assert iqa(*call, input=listed).returncode == 0
    cut_short(tmp_path / "best" / "iqa-pick-1.undo")
    again = iqa(*call, input=listed)
    assert (again.returncode, again.stdout) == (2, b"")
    assert b"its list of paths cannot be read again: take it back: iqa pick --undo" in again.stderr


@pytest.mark.parametrize("field", [field.name for field in fields(ScoreOptions)])
def test_a_request_says_all_that_chooses_or_scores(field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    others: dict[str, Any] = {
        "model": "b",
        "backend": BackendChoice.TORCH,
        "raw": RawChoice.DEVELOP,
        "device": "cuda",
        "include": ("*.jpg",),
    }
    others |= {"exclude": ("*.png",), "follow_symlinks": False, "cache": True, "reasons": True, "detail": True}
    flags = TransferFlags(to=tmp_path, copy=True)
    plain, other = (
        describe_request(options, InputFlags(paths=["a"]), PickFlags().gather(), flags)
        for options in (ScoreOptions(), ScoreOptions(**{field: others.get(field, 7)}))
    )
    assert (plain == other) == (field in ("batch_size", "workers", "cache"))
    assert json.loads(json.dumps(other)) == other


def test_another_scale_of_the_model_changes_no_suggestion(iqa: Run, model: Path, library: Path, tmp_path: Path) -> None:
    (tmp_path / "unit").mkdir()
    card = replace(CARD, score_range=(0.0, 1.0), opinions=tuple(opinion / 100 for opinion in CARD.opinions))
    unit = write_model(tmp_path / "unit", toy_nodes(), card)
    wide, narrow = (read_rows(iqa("pick", library, "-m", each).stdout) for each in (model, unit))
    for one, other in zip(wide, narrow, strict=True):
        assert [one[name] for name in ALIKE] == [other[name] for name in ALIKE]
        assert not one["score"] or float(other["score"]) == pytest.approx(float(one["score"]) / 100, abs=0.01)
    assert any(re.fullmatch(r"score 0\.\d\d", row["reason"]) for row in narrow)


def test_an_undo_refuses_all_that_it_does_not_do(iqa: Run, library: Path) -> None:
    for group in (PhotoFlags, PickFlags, TransferFlags, ModelFlags, BatchFlags):
        for field in fields(group):
            told = {**{each.name: each.default for each in fields(group)}, field.name: object()}
            flags, others = (TransferFlags(), [group(**told)])
            if group is TransferFlags:
                flags, others = TransferFlags(**told), []
            if field.name in ("undo", "quiet"):
                flags.refuse_more(*others)
            else:
                with pytest.raises(UsageError, match="--undo FILE takes back what was done: leave out"):
                    flags.refuse_more(*others)
    done = iqa("pick", "--undo", "x", "--apply", "--best-of-groups", "--exclude", "*", "-m", "nope", cwd=library)
    assert done.returncode == 2
    assert b"leave out --apply and --exclude and --best-of-groups and --model" in done.stderr


@pytest.mark.parametrize("named", ["a.tar", "a.zip::b.jpg", "s3://bucket/b.jpg", "https://example.org/b.jpg"])
def test_what_is_no_file_here_is_refused(iqa: Run, library: Path, named: str) -> None:
    done = iqa("pick", library, named)
    assert (done.returncode, done.stdout) == (2, b"")
    assert f"{named}: only photos that are files here can be picked: leave it out".encode() in done.stderr
    shown = iqa("pick", "--help").stdout
    assert b"archives" not in shown
    assert b"URLs" not in shown


def test_at_a_terminal_it_is_a_table(model: Path, library: Path) -> None:
    code, shown = run_at_terminal("pick", library, "-m", model, "--keep", "50%", columns=120)
    assert code == 1
    assert "Suggestion" in shown
    assert "reject candidate" in shown or "alternate" in shown
    assert "among the 50 % kept" in shown
    assert " damaged " in shown
    assert " without a score" in shown


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("--copy",), "--copy where to"),
        (("--to", "best"), "add --copy, --move or --link"),
        (("--to", "best", "--copy", "--move"), "only one of them"),
        (("--apply",), "--apply is about"),
        (("--to", "best", "--copy", "--list"), "--list only writes paths"),
        (("--keep", "many"), "neither a number of photos"),
        (("--keep", ""), "--keep is empty"),
        (("--keep", " ", "--best-of-groups"), "--keep is empty"),
        (("--to", "", "--copy"), "a path is empty"),
        (("--undo", ""), "a path is empty"),
        (("--undo", "x", "--keep", ""), "leave out the paths and --keep"),
        (("--keep", "0"), "keep one photo at least"),
        (("--keep", "0%"), "more than 0 %"),
        (("--keep", "101%"), "at most 100 %"),
        (("--per-folder",), "--per-folder is about"),
        (("--undo", "x", "--copy"), "leave out --copy and the paths"),
    ],
)
def test_what_makes_no_sense_is_refused(iqa: Run, tmp_path: Path, flags: tuple[str, ...], reason: str) -> None:
    done = iqa("pick", tmp_path, *flags, cwd=tmp_path)
    assert done.returncode == 2
    assert reason.lower().encode() in done.stderr.lower()
    assert not any(tmp_path.iterdir())


def test_an_undo_file_that_is_none_is_refused(iqa: Run, tmp_path: Path) -> None:
    (tmp_path / "x.undo").write_text("{}")
    assert iqa("pick", "--undo", tmp_path / "x.undo").returncode == 4
    assert iqa("pick", "--undo", tmp_path / "missing").returncode == 4


def test_a_damaged_undo_file_keeps_no_pick_from_its_folder(iqa: Run, model: Path, library: Path, tmp_path: Path) -> None:
    call = ("pick", library / "one.jpg", "-m", model, "--to", tmp_path / "best", "--copy", "--apply")
    assert iqa(*call).returncode == 0
    with (tmp_path / "best" / "iqa-pick-1.undo").open("ab") as file:
        file.write(b"[1]\n")
    assert b"this is no undo file" in iqa("pick", "--undo", tmp_path / "best" / "iqa-pick-1.undo").stderr
    done = iqa(*call[:1], library / "two.jpg", *call[2:])
    assert done.returncode == 0
    assert b"this is no undo file of iqa pick: whether its pick was cut short is not known" in done.stderr
    assert (tmp_path / "best" / "two.jpg").exists()
