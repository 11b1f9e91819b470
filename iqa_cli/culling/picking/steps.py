"""Steps of a transfer: one file copied, moved or linked. None is lost, overwritten or left in part, wherever it is cut short.

A file gets its final name by a hard link, which fails where the name is taken; where a file system has no links, by a rename
after a look. What crosses file systems is copied aside, flushed and compared before the original goes.
"""
# Paths are strings here, because names that are no UTF-8 and links have to survive as they are.
# ruff: noqa: PTH104, PTH108, PTH114, PTH115, PTH116, PTH120, PTH123, PTH211

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

NO_LINKS = (errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL)
"""As systems say that a file cannot have a second name here."""


class Action(StrEnum):
    """What is done with a photo that is picked. LINK: a symbolic link to it."""

    COPY = "copy"
    MOVE = "move"
    LINK = "link"


@dataclass(frozen=True)
class Step:
    """One file and where it goes, absolute paths.

    unit: a photo and what belongs to it, which go together or not at all. size, modified: bytes and ns, as planned.
    """

    unit: int
    source: str
    target: str
    size: int
    modified: int


@dataclass(frozen=True)
class Made:
    """State of a file that was made here: bytes, ns."""

    size: int
    modified: int


class Refused(Exception):  # noqa: N818  of one file, not of the run
    """A step that was not taken, or not taken back. Its text says why, without the path."""


Note = Callable[[Made], None]
"""Writes down, for good, that a file of that state is about to get its name, or that a link has got it."""


def find_state(path: str) -> Made | None:
    """The state of what has that name, links not followed; None for nothing."""
    try:
        facts = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Made(facts.st_size, facts.st_mtime_ns)


def is_same_file(one: str, other: str) -> bool:
    """Whether two names are of one file, links not followed."""
    with suppress(OSError):
        return os.path.samestat(os.lstat(one), os.lstat(other))
    return False


# ---- forward ----


def take(action: Action, step: Step, made: list[Made], note: Note) -> None:
    """Take a step, or what is left of it. made: what was noted for it before. Raises Refused and OSError."""
    source, target = find_state(step.source), find_state(step.target)
    if action is Action.LINK:
        take_link(step, made, note, exists=target is not None)
    elif source is None:
        if action is Action.COPY or target is None:
            raise Refused("it is not there any more")
    elif target is not None:
        finish(action, step, target, made)
    elif source != Made(step.size, step.modified):
        raise Refused("it has changed meanwhile")
    elif action is Action.COPY or not rename(step.source, step.target):
        copy(step.source, step.target, note, compare=action is Action.MOVE)
        if action is Action.MOVE:
            remove_original(step.source, step.target)


def take_link(step: Step, made: list[Made], note: Note, *, exists: bool) -> None:
    """A symbolic link, noted once it is there: it is told by where it leads. Raises Refused and OSError."""
    if find_state(step.source) is None:
        raise Refused("it is not there any more")
    if exists and not leads_back(step):
        raise Refused(f"{step.target} exists")
    if not exists:
        os.symlink(step.source, step.target)
    if not (made and exists):
        note(find_state(step.target) or Made(0, 0))


def finish(action: Action, step: Step, target: Made, made: list[Made]) -> None:
    """Finish a step that was cut short once the target had its name. Raises Refused where that is another file."""
    if action is Action.MOVE and is_same_file(step.source, step.target):
        os.unlink(step.source)
    elif target not in made:
        raise Refused(f"{step.target} exists")
    elif action is Action.MOVE:
        remove_original(step.source, step.target)


def remove_original(original: str, copied: str) -> None:
    """Remove a file of which there is a copy. Raises Refused where the copy is not equal."""
    if hash_file(original) != hash_file(copied):
        raise Refused(f"{copied} is not equal")
    flush_folder(os.path.dirname(copied))
    os.unlink(original)


# ---- back ----


def refuse_lost(action: Action, step: Step) -> None:
    """Raises Refused where a copy or a link that was made is not there any more: it may be somewhere else by now.

    One that was cut short before it got its name is still aside.
    """
    if action is not Action.MOVE and find_state(step.target) is None and find_state(name_aside(step.target)) is None:
        raise Refused(f"its {action} is not at {step.target} any more")


def refuse_parting(action: Action, step: Step, made: list[Made]) -> None:
    """Raises Refused where what a step has made must stay where it is: it was changed, or its old place is taken; and OSError.

    Whoever takes a unit back asks this of all its steps first, so that none goes without the others. Nothing is changed here.
    """
    source, target = find_state(step.source), find_state(step.target)
    if target is None:
        return
    if action is not Action.MOVE:
        own = leads_back(step) if action is Action.LINK else target in made
        if made and not own:
            raise Refused(f"{step.target} was changed since, and stays")
    elif source is not None and not is_same_file(step.source, step.target):
        planned = Made(step.size, step.modified)
        may_be_own = target in made or source != planned
        if (target == planned and target not in made) or (may_be_own and hash_file(step.source) != hash_file(step.target)):
            raise Refused(f"there is another file by now; it stays at {step.target}")


def take_back(action: Action, step: Step, made: list[Made]) -> None:
    """Undo a step, or what was done of it, unless `refuse_parting` refuses. Raises Refused and OSError."""
    remove_aside(step.target)
    remove_aside(step.source)
    source, target = find_state(step.source), find_state(step.target)
    if target is None:
        if source is None and action is Action.MOVE:
            raise Refused(f"neither here nor at {step.target}")
    elif action is Action.LINK:
        if leads_back(step):
            os.unlink(step.target)
    elif action is Action.COPY:
        if target in made:  # else it was never made here
            os.unlink(step.target)
    elif source is not None:
        take_back_half(step, target, made)
    else:
        Path(step.source).parent.mkdir(parents=True, exist_ok=True)
        if not rename(step.target, step.source):
            copy(step.target, step.source, lambda _: None, compare=True)
            if target in made:
                os.utime(step.source, ns=(step.modified, step.modified))  # of which the other file system may keep less
            remove_original(step.target, step.source)


def leads_back(step: Step) -> bool:
    """Whether what is at the target is the link that was made there."""
    return os.path.islink(step.target) and os.readlink(step.target) == step.source


def take_back_half(step: Step, target: Made, made: list[Made]) -> None:
    """Undo a move that was cut short, or an undo that was, where both names exist. Raises Refused."""
    if is_same_file(step.source, step.target):
        os.unlink(step.target)
    elif target in made:
        remove_original(step.target, step.source)


# ---- files ----


def rename(source: str, target: str) -> bool:
    """Give a file another name, never that of another one; False where that is on another file system.

    Raises Refused where the name is taken, and OSError.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError as error:
        raise Refused(f"{target} exists") from error
    except OSError as error:
        if error.errno == errno.EXDEV:
            return False
        if error.errno not in NO_LINKS:
            raise
        return rename_after_look(source, target)
    try:
        os.unlink(source)
    except OSError:
        os.unlink(target)
        raise
    return True


def rename_after_look(source: str, target: str) -> bool:
    """The same where files have one name only."""
    if os.path.lexists(target):
        raise Refused(f"{target} exists")
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno == errno.EXDEV:
            return False
        raise
    return True


def name_aside(target: str) -> str:
    """Where a copy is made before it gets its name; short, whatever that is."""
    name = hashlib.blake2b(os.fsencode(os.path.basename(target)), digest_size=8).hexdigest()  # noqa: PTH119
    return os.path.join(os.path.dirname(target), f".{name}.iqa-part")  # noqa: PTH118


def remove_aside(target: str) -> None:
    """Remove a copy that was cut short."""
    with suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(name_aside(target))


def copy(source: str, target: str, note: Note, *, compare: bool) -> None:
    """Copy a file with its times and rights, whole or not at all, never over another one.

    compare: whether its bytes are compared with those of the source. Raises Refused and OSError.
    """
    aside = name_aside(target)
    remove_aside(target)
    try:
        before = os.stat(source)
        shutil.copyfile(source, aside)
        shutil.copystat(source, aside)
        flush_file(aside)
        after = os.stat(source)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise Refused("it is being written to")
        if os.stat(aside).st_size != after.st_size or (compare and hash_file(aside) != hash_file(source)):
            raise Refused("the copy is not equal")
        state = find_state(aside)
        if state is not None:
            note(state)
        if not rename(aside, target):
            raise Refused(f"cannot be given the name {target}")
    finally:
        remove_aside(target)


def hash_file(path: str) -> bytes:
    """A hash of a file's bytes. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def flush_file(path: str) -> None:
    """Wait until a file is on the disk. Raises OSError."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def flush_folder(path: str) -> None:
    """Wait until the names in a folder are on the disk, where the system can say so."""
    with suppress(OSError):
        flush_file(path)
