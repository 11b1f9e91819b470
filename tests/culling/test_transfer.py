"""What `transfer` promises: all of a unit goes or nothing, nothing is overwritten or lost, and all of it can be taken back."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import crashes
import pytest
from crashes import FILES, PICKS, list_tree, make_tree
from in_process import environment

from iqa_cli.culling.picking.journal import Journal, find_damaged, find_unfinished, open_journal, read_journal, write_journal
from iqa_cli.culling.picking.plan import Plan, plan_transfer
from iqa_cli.culling.picking.steps import Action
from iqa_cli.culling.picking.transfer import Outcome, carry_out, make_folders, undo
from iqa_cli.errors import DataError, UsageError

Transfer = Callable[[Action], tuple[Journal, Outcome]]


HEAD = '{"iqa": "transfer of photos", "version": 1, "action": "copy", "request": {}, "folders": []}'


@pytest.fixture
def top(tmp_path: Path) -> Path:
    make_tree(tmp_path / "photos")
    return tmp_path / "photos"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "best" / "of"


@pytest.fixture
def elsewhere(top: Path) -> Iterator[Path]:
    """A folder on another file system."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK) or shared.stat().st_dev == top.stat().st_dev:
        pytest.skip("there is no other file system here")
    with tempfile.TemporaryDirectory(dir=shared) as name:
        yield Path(name) / "best"


def plan(top: Path, folder: Path, action: Action, *names: str) -> Plan:
    return plan_transfer([str(top / name) for name in names or PICKS], [str(top)], folder, action)


def prepare(top: Path, folder: Path, action: Action, *names: str) -> Journal:
    journal = plan(top, folder, action, *names).start({"asked": "for"})
    make_folders(journal.folders)
    write_journal(journal)
    return journal


def run(journal: Journal) -> Outcome:
    return carry_out(journal, lambda _: None)


def take_back(journal: Journal) -> Outcome:
    return undo(read_journal(journal.path), lambda _: None)


# ---- there and back ----


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("place", ["folder", "elsewhere"])
def test_all_is_taken_back_to_the_bit(top: Path, action: Action, place: str, request: pytest.FixtureRequest) -> None:
    folder, before = request.getfixturevalue(place), list_tree(top)
    journal = prepare(top, folder, action)
    told: list[int] = []
    assert carry_out(journal, told.append) == Outcome(5, {})
    assert sum(told) == len(journal.steps) == 5
    here, there = list_tree(top), list_tree(folder)
    gone = {*FILES} - {"stays.jpg"}
    assert {name: there[name] for name in gone} == {name: before[name] for name in gone}
    assert here == {name: state for name, state in before.items() if action is not Action.MOVE or name == "stays.jpg"}
    assert all((folder / name).is_symlink() == (action is Action.LINK) for name in gone)
    assert take_back(journal) == Outcome(5, {})
    assert list_tree(top) == before
    assert not folder.exists()


def test_what_is_done_twice_is_done_once(top: Path, folder: Path) -> None:
    journal = prepare(top, folder, Action.MOVE)
    assert run(journal).done == 5
    after = list_tree(folder)
    assert run(read_journal(journal.path)) == Outcome(0, {})
    assert list_tree(folder) == after


@pytest.mark.process
@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("place", ["folder", "elsewhere"])
def test_a_crash_at_any_time_loses_nothing(top: Path, action: Action, place: str, request: pytest.FixtureRequest) -> None:
    """Ended before every single system call that changes something; then called again, or undone."""
    folder = request.getfixturevalue(place)
    program = [sys.executable, crashes.__file__, action, top, folder / "in"]
    done = subprocess.run(program, capture_output=True, env=environment(), timeout=600, check=False)
    assert done.returncode == 0, done.stderr.decode()
    count = json.loads(done.stdout)
    assert min(count.values()) > 10  # of links, which need the fewest calls


# ---- what is in the way ----


def test_a_taken_name_keeps_the_whole_unit_where_it_is(top: Path, folder: Path) -> None:
    journal = prepare(top, folder, Action.MOVE)
    (folder / "a.xmp").write_text("somebody else's")  # since the plan was made
    before = list_tree(top)
    outcome = run(journal)
    assert outcome.done == 2
    assert list(outcome.refused.values()) == [f"{folder / 'a.xmp'} exists"]
    assert {name: before[name] for name in ("a.jpg", "a.xmp", "a.CR3")}.items() <= list_tree(top).items()
    assert (folder / "a.xmp").read_text() == "somebody else's"
    assert not (folder / "a.jpg").exists()
    assert take_back(journal).refused == {}
    assert list_tree(top) == before
    assert (folder / "a.xmp").read_text() == "somebody else's"


def test_a_photo_that_changes_after_the_plan_stays(top: Path, folder: Path) -> None:
    for action in (Action.MOVE, Action.COPY):
        journal = prepare(top, folder, action, "sub/b.jpg")
        (top / "sub/b.jpg").write_bytes(b"edited" * len(action))
        assert run(journal).refused == {str(top / "sub/b.jpg"): "it has changed meanwhile"}
        assert (top / "sub/b.jpg").read_bytes() == b"edited" * len(action)
        take_back(journal)


@pytest.mark.parametrize("name", ["a.jpg", "a.xmp"])
@pytest.mark.parametrize("action", [Action.COPY, Action.LINK])
def test_an_edited_copy_stays_with_what_belongs_to_it(top: Path, folder: Path, action: Action, name: str) -> None:
    journal = prepare(top, folder, action)
    run(journal)
    (folder / name).unlink()  # as programs do that write aside; of a link, the file that it leads to stays as it is
    (folder / name).write_bytes(b"edited")
    for _ in range(2):
        assert take_back(journal).refused == {str(top / name): f"{folder / name} was changed since, and stays"}
        assert sorted(list_tree(folder)) == ["a.CR3", "a.jpg", "a.xmp", "iqa-pick-1.undo"]
    (folder / name).rename(top.parent / name)
    assert list(take_back(journal).refused) == [str(top / name)]  # which is not there any more
    assert sorted(list_tree(folder)) == ["iqa-pick-1.undo"]


def test_an_edited_photo_moves_back_as_it_is(top: Path, folder: Path) -> None:
    journal = prepare(top, folder, Action.MOVE)
    run(journal)
    (folder / "a.jpg").write_bytes(b"edited")
    assert take_back(journal).refused == {}
    assert (top / "a.jpg").read_bytes() == b"edited"


@pytest.mark.parametrize("name", ["a.jpg", "a.xmp"])
@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("place", ["folder", "elsewhere"])
def test_a_photo_whose_old_place_is_taken_stays_with_what_belongs_to_it(
    top: Path, place: str, name: str, edited: bool, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(place)
    journal, before = prepare(top, folder, Action.MOVE, "a.jpg"), list_tree(top)
    run(journal)
    (folder / "a.jpg.xmp").write_text("made since")
    (top / name).write_text("somebody else's")
    if edited:
        (folder / name).write_text("edited")
    there = list_tree(folder)
    for _ in range(2):
        why = f"there is another file by now; it stays at {folder / name}"
        assert take_back(journal) == Outcome(0, {str(top / name): why})
        assert list_tree(folder) == there
        assert (top / name).read_text() == "somebody else's"
    (top / name).unlink()
    assert take_back(journal) == Outcome(4, {})
    after = list_tree(top)
    assert {*after} == {*before, "a.jpg.xmp"}
    assert after.items() >= {each: state for each, state in before.items() if each != name or not edited}.items()


def test_a_new_file_in_the_old_place_is_not_overwritten(top: Path, folder: Path) -> None:
    journal = prepare(top, folder, Action.MOVE)
    run(journal)
    (top / "a.jpg").write_bytes(b"new")
    assert list(take_back(journal).refused) == [str(top / "a.jpg")]
    assert (top / "a.jpg").read_bytes() == b"new"
    assert (folder / "a.jpg").read_bytes() == b"'a.jpg'" * 1000
    (top / "a.jpg").unlink()
    assert take_back(journal).refused == {}
    assert (top / "a.jpg").read_bytes() == b"'a.jpg'" * 1000


def test_what_somebody_removed_is_told(top: Path, folder: Path) -> None:
    journal = prepare(top, folder, Action.MOVE)
    run(journal)
    (folder / "a.jpg").unlink()
    assert list(take_back(journal).refused.values()) == [f"neither here nor at {folder / 'a.jpg'}"]
    assert journal.path.exists()


@pytest.mark.parametrize("action", Action)
def test_nothing_is_taken_back_where_the_folder_has_another_name(top: Path, folder: Path, action: Action) -> None:
    before = list_tree(top)
    journal = prepare(top, folder, action)
    run(journal)
    renamed = folder.rename(folder.with_name("renamed"))
    there = {name: state for name, state in list_tree(renamed).items() if not name.endswith(".undo")}
    for _ in range(2):
        outcome = undo(read_journal(renamed / journal.path.name), lambda _: None)
        assert (outcome.done, len(outcome.refused)) == (0, 5)
        assert there.items() <= list_tree(renamed).items()
    assert (renamed / journal.path.name).exists()
    renamed.rename(folder)
    assert take_back(journal) == Outcome(5, {})
    assert list_tree(top) == before
    assert not folder.exists()


@pytest.mark.parametrize("action", [Action.COPY, Action.LINK])
def test_one_that_is_gone_is_told_and_the_others_are_taken_back_once(top: Path, folder: Path, action: Action) -> None:
    journal = prepare(top, folder, action)
    run(journal)
    (folder / "a.jpg").rename(top.parent / "a.jpg")
    for _ in range(2):
        outcome = take_back(journal)
        assert outcome.refused == {str(top / "a.jpg"): f"its {action} is not at {folder / 'a.jpg'} any more"}
        assert sorted(path.name for path in folder.rglob("*") if not path.is_dir()) == ["iqa-pick-1.undo"]
    (top.parent / "a.jpg").rename(folder / "a.jpg")
    assert take_back(journal).refused == {}
    assert not folder.exists()


def test_a_copy_that_could_not_be_removed_is_not_lost_sight_of(top: Path, folder: Path) -> None:
    journal = prepare(top, folder, Action.COPY, "sub/b.jpg")
    run(journal)
    with open_journal(journal) as writer:
        writer.note_removed(0)  # as an undo that was cut short has it
    assert run(replace(read_journal(journal.path), finished=False)) == Outcome(1, {})
    renamed = folder.rename(folder.with_name("renamed"))
    assert len(undo(read_journal(renamed / journal.path.name), lambda _: None).refused) == 1


def test_folders_that_others_use_by_now_stay(top: Path, folder: Path) -> None:
    journal = prepare(top, folder, Action.MOVE)
    run(journal)
    (folder / "mine.txt").write_text("kept")
    assert take_back(journal).refused == {}
    assert list(list_tree(folder.parent)) == ["of/mine.txt"]


# ---- what was made since ----

MADE = ("a.jpg.xmp", "a.wav", "CaptureOne/Settings1/a.CR3.cos", "sub/b.xmp")


def make_beside(folder: Path) -> None:
    """What programs put beside photos that were picked, and what belongs to none of them."""
    for name in (*MADE, "c.xmp", "sub/b.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"made: {name}")


@pytest.mark.parametrize("place", ["folder", "elsewhere"])
def test_what_was_made_beside_moved_photos_comes_back_with_them(top: Path, place: str, request: pytest.FixtureRequest) -> None:
    folder, before = request.getfixturevalue(place), list_tree(top)
    journal = prepare(top, folder, Action.MOVE)
    run(journal)
    make_beside(folder)
    (folder / "a.dop").symlink_to("nowhere")
    assert take_back(journal) == Outcome(3, {str(folder / "a.dop"): "it is a link"})
    assert {*list_tree(folder)} >= {"a.jpg", "a.xmp", "a.CR3", *(name for name in MADE if name != "sub/b.xmp")}
    (folder / "a.dop").unlink()
    assert take_back(journal).refused == {}
    after = list_tree(top)
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {*MADE}
    assert [*list_tree(folder)] == ["c.xmp", "sub/b.txt"]


@pytest.mark.parametrize("action", [Action.COPY, Action.LINK])
def test_a_copy_beside_which_something_was_made_stays_with_it(top: Path, folder: Path, action: Action) -> None:
    journal = prepare(top, folder, action)
    run(journal)
    (folder / "a.jpg.xmp").write_text("made")
    for _ in range(2):
        why = f"it was made since, and its {action} is not removed without it: move it away"
        assert take_back(journal).refused == {str(folder / "a.jpg.xmp"): why}
        there = {"a.jpg", "a.jpg.xmp", "a.CR3", "a.xmp", journal.path.name}
        assert {path.name for path in folder.iterdir() if not path.is_dir()} == there
    (folder / "a.jpg.xmp").rename(top.parent / "a.jpg.xmp")
    assert take_back(journal).refused == {}
    assert not folder.exists()


def test_what_was_made_since_overwrites_nothing(top: Path, folder: Path) -> None:
    journal = prepare(top, folder, Action.MOVE)
    run(journal)
    make_beside(folder)
    (top / "a.jpg.xmp").write_text("another one")
    (top / "a.wav").write_bytes((folder / "a.wav").read_bytes())  # as an undo that was cut short leaves it
    assert take_back(journal).refused == {str(folder / "a.jpg.xmp"): f"{top / 'a.jpg.xmp'} exists"}
    assert ((top / "a.jpg.xmp").read_text(), (folder / "a.jpg.xmp").read_text()) == ("another one", "made: a.jpg.xmp")
    assert (folder / "a.jpg").exists()
    (top / "a.jpg.xmp").unlink()
    assert take_back(journal).refused == {}
    assert ((top / "a.wav").read_text(), (folder / "a.wav").exists()) == ("made: a.wav", False)
    assert (top / "a.jpg.xmp").read_text() == "made: a.jpg.xmp"


def test_what_was_there_before_and_what_another_transfer_brought_stays(top: Path, folder: Path) -> None:
    others = top.with_name("others")
    others.mkdir()
    (others / "a.heic").write_text("of another shot of that name")
    folder.mkdir(parents=True)
    (folder / "a.jpg.pp3").write_text("of another photo of that name")
    first, second = prepare(top, folder, Action.MOVE, "a.jpg"), prepare(others, folder, Action.MOVE, "a.heic")
    run(first)
    run(second)
    assert take_back(first) == Outcome(3, {})
    assert {*list_tree(folder)} == {"a.heic", "a.jpg.pp3", second.path.name}
    assert take_back(second) == Outcome(1, {})
    assert [*list_tree(folder)] == ["a.jpg.pp3"]


# ---- the plan ----


def test_companions_go_along_once(top: Path, folder: Path) -> None:
    (top / "a.jpg.xmp").write_text("x")
    steps = plan(top, folder, Action.COPY, "a.jpg", "a.CR3", "a.jpg").units
    assert list(steps) == [str(top / "a.jpg")]
    names = [os.path.relpath(step.target, folder) for step in steps[str(top / "a.jpg")]]
    assert sorted(names) == ["a.CR3", "a.jpg", "a.jpg.xmp", "a.xmp"]


@pytest.mark.parametrize("action", Action)
def test_what_may_be_of_two_photos_is_moved_with_the_last(top: Path, folder: Path, action: Action) -> None:
    for name in ("c.png", "c.webp", "c.xmp", "c.webp.xmp"):
        (top / name).write_text(name)
    one = plan(top, folder, action, "c.webp").steps
    both = plan(top, folder, action, "c.webp", "c.png").units.values()
    alone, first, second = (sorted(Path(step.target).name for step in steps) for steps in (one, *both))
    own, shared = ["c.webp", "c.webp.xmp"], ["c.xmp"]
    if action is Action.MOVE:
        assert (alone, first, second) == (own, own, ["c.png", *shared])
    else:
        assert (alone, first, second) == (own + shared, own + shared, ["c.png"])


def test_names_that_are_taken_are_seen_beforehand(top: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "a.CR3").write_text("x")
    planned = plan(top, folder, Action.MOVE)
    assert planned.refused == {str(top / "a.jpg"): f"{folder / 'a.CR3'} exists"}
    assert {os.path.relpath(step.target, folder) for step in planned.steps} == {"sub/b.jpg", "sub/raw\udcff.jpg"}


def test_two_photos_never_go_to_one_name(top: Path, tmp_path: Path, folder: Path) -> None:
    make_tree(tmp_path / "others")
    photos = [str(place / "sub/b.jpg") for place in (top, tmp_path / "others")]
    planned = plan_transfer(photos, [str(top), str(tmp_path / "others")], folder, Action.COPY)
    assert planned.refused == {photos[1]: f"another photo goes to {folder / 'sub/b.jpg'}"}


def test_links_are_not_moved(top: Path, tmp_path: Path, folder: Path) -> None:
    make_tree(tmp_path / "archive")
    (top / "link.jpg").symlink_to("a.jpg")
    (top / "linked").symlink_to(tmp_path / "archive")
    for action in Action:
        planned = plan(top, folder, action, "link.jpg", "linked/stays.jpg")
        assert len(planned.refused) == (2 if action is Action.MOVE else 0)
    journal = prepare(top, folder, Action.COPY, "link.jpg")
    assert run(journal).refused == {}
    assert not (folder / "link.jpg").is_symlink()
    assert (folder / "link.jpg").read_bytes() == (top / "a.jpg").read_bytes()


def test_a_reason_names_the_file_that_it_is_about(top: Path, folder: Path) -> None:
    (top / "a.xmp").unlink()
    (top / "a.xmp").symlink_to("elsewhere.xmp")
    assert plan(top, folder, Action.MOVE, "a.jpg").refused == {
        str(top / "a.jpg"): "a.xmp, which belongs to it, is a link: copy it, or link to it"
    }
    (top / "link.jpg").symlink_to("a.jpg")
    assert plan(top, folder, Action.MOVE, "link.jpg").refused == {str(top / "link.jpg"): "it is a link: copy it, or link to it"}


def test_a_file_is_no_folder(top: Path) -> None:
    with pytest.raises(UsageError, match="this is no folder"):
        plan(top, top / "a.jpg", Action.MOVE)


# ---- the journal ----


def test_two_at_once_have_an_undo_file_each(top: Path, folder: Path) -> None:
    before = list_tree(top)
    planned = [plan(top, folder, Action.MOVE, name) for name in ("a.jpg", "sub/b.jpg", "stays.jpg")]
    journals = [each.start({}) for each in planned]  # each before another one is written
    for journal in journals:
        make_folders(journal.folders)
        write_journal(journal)
        assert run(journal).refused == {}
    assert [journal.path.name for journal in journals] == [f"iqa-pick-{number}.undo" for number in (1, 2, 3)]
    for journal in journals:
        assert take_back(journal).refused == {}
    assert list_tree(top) == before
    assert not list_tree(folder.parent)


def test_an_undo_file_never_takes_the_name_of_another_file(top: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", fail)  # as where files have one name only
    journal = plan(top, folder, Action.COPY, "a.jpg").start({})
    make_folders(journal.folders)
    (folder / "iqa-pick-1.undo").write_text("mine")
    write_journal(journal)
    assert (folder / "iqa-pick-1.undo").read_text() == "mine"
    assert journal.path == folder / "iqa-pick-2.undo"
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_a_line_that_was_cut_short_counts_for_nothing(top: Path, folder: Path) -> None:
    journal = prepare(top, folder, Action.COPY)
    run(journal)
    whole = journal.path.read_bytes()
    for cut in range(2, 60, 7):
        journal.path.write_bytes(whole[:-cut])
        again = read_journal(journal.path)
        assert (again.steps, again.action) == (journal.steps, journal.action)
        assert (again.request, again.folders) == (journal.request, journal.folders)
        assert not again.finished
    journal.path.write_bytes(whole[:-5])
    assert run(read_journal(journal.path)).refused == {}  # adds behind the torn line
    assert read_journal(journal.path).finished
    assert take_back(journal).refused == {}


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[1]", '{"iqa": "pick"}', "path,score\n", '{"iqa": "transfer of photos", "version": 9}', "[" * 100_000),
        HEAD.replace("{}", "[1]"),
        *(
            f"{HEAD}\n{line}\n"
            for line in ("[1]", "5", "null", '"source"', "[" * 100_000, '{"made": 1e999}', '{"source": "a\\u0000"}')
        ),
    ],
)
def test_what_is_no_undo_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.undo").write_text(text)
    with pytest.raises(DataError, match="no undo file"):
        read_journal(tmp_path / "x.undo")
    with pytest.raises(DataError, match="cannot read the undo file"):
        read_journal(tmp_path / "missing")
    (tmp_path / "x.undo").rename(tmp_path / "iqa-pick-3.undo")
    assert [*find_damaged(tmp_path)] == [tmp_path / "iqa-pick-3.undo"]
    assert find_unfinished(tmp_path) == []  # so nothing keeps the next transfer from going there


def test_only_one_process_works_by_a_journal(top: Path, folder: Path) -> None:
    journal = prepare(top, folder, Action.MOVE)
    with open_journal(journal), pytest.raises(UsageError, match="another process works by this undo file"):
        run(journal)


def test_a_file_system_without_claims_keeps_nobody_out(top: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", fail)
    before = list_tree(top)
    journal = prepare(top, folder, Action.MOVE)
    assert not run(journal).refused
    assert list_tree(top) != before
    take_back(journal)
    assert list_tree(top) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_keeps_its_photos(top: Path, folder: Path) -> None:
    journal, before = prepare(top, folder, Action.MOVE, "sub/b.jpg"), list_tree(top)
    (top / "sub").chmod(0o500)
    try:
        assert run(journal).refused == {str(top / "sub/b.jpg"): "permission denied"}
        assert list_tree(top) == before
        assert not (folder / "sub/b.jpg").exists()
    finally:
        (top / "sub").chmod(0o700)
