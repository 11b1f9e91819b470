"""Crash a transfer, or its undoing, before each system call that changes something, and see what is left.

Run as a program: action, working folder, folder for picks. It forks, so it is a process of its own; the answer is JSON.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from iqa_cli.culling.picking.journal import find_unfinished, read_journal, write_journal
from iqa_cli.culling.picking.plan import plan_transfer
from iqa_cli.culling.picking.steps import Action
from iqa_cli.culling.picking.transfer import carry_out, make_folders, undo

FILES = ("a.jpg", "a.xmp", "a.CR3", "sub/b.jpg", "sub/raw\udcff.jpg", "stays.jpg")
PICKS = ("a.jpg", "sub/b.jpg", "sub/raw\udcff.jpg")
STRAY = "a.jpg.xmp"
CHANGES = {
    "os.link",
    "os.rename",
    "os.remove",
    "os.symlink",
    "os.mkdir",
    "os.rmdir",
    "os.utime",
    "shutil.copyfile",
    "shutil.copystat",
}
CRASHED = 9


def make_tree(top: Path) -> None:
    shutil.rmtree(top, ignore_errors=True)
    for number, name in enumerate(FILES):
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{name!r}".encode() * 1000)
        os.utime(path, ns=(1_600_000_000_123_456_789 + number,) * 2)


def list_tree(top: Path) -> dict[str, tuple[str, int]]:
    """Name of each file below a folder -> hash and time of change."""
    return {
        os.path.relpath(path, top): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(top.rglob("*"))
        if path.is_file()
    }


def start(top: Path, folder: Path, action: Action) -> None:
    plan = plan_transfer([str(top / name) for name in PICKS], [str(top)], folder, action)
    assert not plan.refused
    journal = plan.start({})
    make_folders(journal.folders)
    write_journal(journal)
    carry_out(journal, lambda _: None)


def resume(folder: Path) -> None:
    for path in find_unfinished(folder):
        carry_out(read_journal(path), lambda _: None)


def take_back(folder: Path) -> None:
    for path in sorted(folder.glob("*.undo")):
        assert not undo(read_journal(path), lambda _: None).refused


def crash_at(number: int, work: Callable[[], None]) -> bool:
    """Do some work in a child that ends before the change of that number; whether it did."""
    child = os.fork()
    if child == 0:
        left = [number]

        def watch(event: str, args: tuple[object, ...]) -> None:
            writes = event == "open" and isinstance(args[1], str) and args[1] not in ("r", "rb")
            if event in CHANGES or writes:
                left[0] -= 1
                if left[0] < 0:
                    os._exit(CRASHED)

        sys.addaudithook(watch)
        try:
            work()
        except BaseException as error:
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, CRASHED), code
    return code == CRASHED


def check_whole(top: Path, folder: Path, before: dict[str, tuple[str, int]]) -> None:
    """Each file is where it was or where it goes, whole."""
    here, there = list_tree(top), list_tree(folder) if folder.exists() else {}
    for name, state in before.items():
        found = [tree[name] for tree in (here, there) if name in tree]
        assert {*found} == {state}, name


def make_stray(folder: Path, action: Action) -> dict[str, tuple[str, int]]:
    """A file that a program made beside a photo that was moved: its name, hash and time of change; nothing otherwise."""
    if action is not Action.MOVE:
        return {}
    (folder / STRAY).write_bytes(b"made since" * 1000)
    os.utime(folder / STRAY, ns=(1_600_000_000_123_456_789,) * 2)
    return {STRAY: list_tree(folder)[STRAY]}


def main(action: Action, top: Path, folder: Path) -> dict[str, int]:
    make_tree(top)
    before = list_tree(top)
    crashes = {"forward": 0, "back": 0}
    for finish in (resume, take_back):
        number = 0
        while crash_at(number, lambda: start(top, folder, action)):
            check_whole(top, folder, before)
            if not any(folder.glob("*.undo")):  # nothing has been done yet: it is called again
                start(top, folder, action)
            finish(folder)
            if finish is resume:
                moved = {*before} - {*list_tree(top)}
                assert moved == ({*before} - {"stays.jpg"} if action is Action.MOVE else set())
                assert {*before} - {"stays.jpg"} <= {*list_tree(folder)}
                take_back(folder)
            assert list_tree(top) == before
            assert not list_tree(folder), list_tree(folder)
            shutil.rmtree(folder, ignore_errors=True)
            crashes["forward"] += 1
            number += 1
        take_back(folder)
    number = 0
    while True:
        start(top, folder, action)
        after = before | make_stray(folder, action)
        crashed = crash_at(number, lambda: take_back(folder))
        check_whole(top, folder, after)
        if not crashed:
            break
        take_back(folder)
        assert list_tree(top) == after
        (top / STRAY).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        crashes["back"] += 1
        number += 1
    assert list_tree(top) == after
    assert not folder.exists()
    return crashes


if __name__ == "__main__":
    json.dump(main(Action(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])), sys.stdout)
