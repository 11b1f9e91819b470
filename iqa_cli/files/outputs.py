"""Outputs: whether a file may be written. None may be an input, nor take the place of what is no earlier output of its kind.

A shell that expands `--csv *.jpg` names a photo as the output. So what stands there is looked at before anything else is read.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import stat
import string
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from iqa_cli.errors import UsageError
from iqa_cli.files.atomic import WholeFile, find_open
from iqa_cli.files.folders import naming_failures

HEAD = 1 << 16  # bytes that tell whether a file is an earlier output
MODEL_FILES = (".json", ".toml", ".onnx", ".safetensors")
Check = Callable[[bytes], bool]
"""Whether a file with these first bytes, at least one, may be an earlier output."""


@dataclass(frozen=True)
class Output:
    """A file that a command will write.

    option: as the command line calls it; kind: in words; is_earlier: see `Check`, None where an earlier output looks like any
    other file, so that none is taken for one.
    """

    path: Path
    option: str
    kind: str
    is_earlier: Check | None

    def __str__(self) -> str:
        return f"{self.option} {self.path}"


def check_outputs(outputs: Sequence[Output], inputs: Iterable[str | Path | int], *, force: bool = False) -> None:
    """Raises UsageError where two outputs are one file, one is an input, or one would replace what is no earlier output.

    inputs: paths, or the numbers of open files. force: the latter two are meant.
    """
    places = [name_place(output.path) for output in outputs]
    if twice := [str(output.path) for output, place in zip(outputs, places, strict=True) if places.count(place) > 1]:
        raise UsageError(f"two outputs would be written to one file: {', '.join(twice)}")
    if force:
        return
    read = Inputs(inputs)
    for output in outputs:
        if read.hold(output.path):
            raise UsageError(f"{output}: this is also an input, and would be lost: name another file, or add --force")
        if not may_replace(output):
            what = f"a file that is not {output.kind} of an earlier run" if output.is_earlier else "a file already"
            raise UsageError(f"{output}: there is {what}: name another file, or add --force")


def check_folders(folders: Sequence[Path], inputs: Sequence[Path], *, force: bool = False) -> None:
    """Raises UsageError where a folder that will be written to is one that is read."""
    read = Inputs(inputs)
    for folder in () if force else folders:
        if read.hold(folder):
            raise UsageError(f"{folder}: this folder is also an input: name another for what is written, or add --force")


def make_room(outputs: Sequence[Output]) -> None:
    """Make the folders of outputs, and see that each file can be written there, before it takes long. Raises DataError."""
    for output in outputs:
        with naming_failures(output.path):
            output.path.parent.mkdir(parents=True, exist_ok=True)
        WholeFile(output.path).finish()  # without a write it leaves nothing behind


class Inputs:
    """What a command reads, to be found by any name it has."""

    def __init__(self, inputs: Iterable[str | Path | int]) -> None:
        self.inputs = list(inputs)
        self.files: set[tuple[int, int]] | None = None

    def hold(self, path: Path) -> bool:
        """Whether a file is one of them: the same name, a link, or another spelling that the file system takes for it."""
        here = identify(path)
        if here is None and os.path.exists(path):  # noqa: PTH110  # a pipe or a device; Path raises for long names
            return False
        if here is None:  # nothing would be lost; but what was named twice was named by mistake
            alike = (Path(name) for name in self.inputs if not isinstance(name, int))
            return any(name_place(other) == name_place(path) for other in alike if other.name == path.name)
        if self.files is None:
            self.files = {found for name in self.inputs if (found := identify(name)) is not None}
        return here in self.files


def identify(path: str | Path | int) -> tuple[int, int] | None:
    """What tells a file or folder from all others; None where there is none, and for pipes and devices, which are not lost."""
    try:
        facts = os.stat(path)  # noqa: PTH116  # may be the number of an open file
    except (OSError, ValueError):
        return None
    return (facts.st_dev, facts.st_ino) if stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode) else None


def name_place(path: Path) -> object:
    """What two names of one file have in common: the file, or the name that it would have, however its letters are written."""
    return identify(path) or spell_place(path)


def spell_place(path: Path) -> str:
    """The name that a file has, be it not there yet, in one spelling of those that the file system may take for it."""
    real = os.path.realpath(path)
    return unicodedata.normalize("NFC", real.casefold() if folds_case(Path(real).parent) else real)


ASCII = str.maketrans(string.ascii_letters, string.ascii_letters.swapcase())


def folds_case(folder: Path) -> bool:
    """Whether a folder, be it not there yet, takes names that differ in case for one; so does one that cannot be asked."""
    there = next((each for each in (folder, *folder.parents) if os.path.isdir(each)), folder)  # noqa: PTH112  # may be denied
    with suppress(OSError), os.scandir(there) as entries:
        own = [there] if there.stat().st_dev == there.parent.stat().st_dev else []
        for known in chain(map(Path, entries), own):  # the first with a letter tells
            other = known.with_name(known.name.translate(ASCII))
            if other != known:
                return os.path.lexists(other) and os.path.samestat(other.lstat(), known.lstat())
    return True


def may_replace(output: Output) -> bool:
    """Whether nothing is lost: no such file, an empty one, an earlier output, or one that is open already, as /dev/stdout.

    Writing tells of what is no file.
    """
    if find_open(output.path) is not None:
        return True
    try:
        if not stat.S_ISREG(output.path.stat().st_mode):
            return True
    except (OSError, ValueError):
        return True
    with suppress(OSError), output.path.open("rb") as file:
        head = file.read(HEAD)
        return not head or (output.is_earlier is not None and output.is_earlier(head))
    return False


# ---- what earlier outputs begin with ----


def read_rows(head: bytes) -> list[list[str]]:
    """The first row of CSV, and no other; none where it is no CSV."""
    text = io.StringIO(head.decode("utf-8-sig", "surrogateescape"), newline="")
    with suppress(csv.Error):
        return [next(csv.reader(text))]
    return []


def begins_table(*columns: str) -> Check:
    """CSV whose header begins with these columns."""
    return lambda head: any(tuple(row[: len(columns)]) == columns for row in read_rows(head))


def holds_table(*columns: str) -> Check:
    """CSV whose header is these columns."""
    return lambda head: read_rows(head) == [list(columns)]


def begins_json(*keys: str, opening: str = "{") -> Check:
    """JSON that begins with an object that has these fields, and maybe others. opening: as of `read_fields`; [] is empty."""
    return lambda head: is_empty_array(head, opening) or {*keys} <= read_fields(head, opening)


def holds_json(*fields: Collection[str], also: Collection[str] = (), opening: str = "{") -> Check:
    """JSON that begins with an object of just these fields, or of those. also: what it may have besides; [] is empty."""
    known = [{*names} for names in fields]
    return lambda head: is_empty_array(head, opening) or read_fields(head, opening) - {*also} in known


def is_empty_array(head: bytes, opening: str) -> bool:
    """An array of nothing, where an array is looked for."""
    return opening[0] == "[" and re.fullmatch(rb"(?:\xef\xbb\xbf)?\s*\[\s*\]\s*", head) is not None


TOKENS = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|[\[{}\]"]', re.DOTALL)  # a text, maybe as a name; a bracket; a text cut off


def read_fields(head: bytes, opening: str = "{") -> set[str]:
    """The names of the fields of the object that JSON begins with, not of those within; none where it begins otherwise.

    opening: what stands before the first name, as "[{". Of an object that goes on behind these bytes, those that are in them.
    """
    text = head.decode("utf-8", "replace")
    begin = re.match(r"\s*".join(["\ufeff?", *map(re.escape, opening)]), text)
    names = () if begin is None else list_names(text, begin.end() - 1)
    with suppress(ValueError):  # of a name that is no JSON
        return {str(json.loads(name)) for name in names}
    return set()


def list_names(text: str, place: int) -> Iterator[str]:
    """The names of the fields of the object that begins at this place, as they are written."""
    depth = 0
    for token in TOKENS.finditer(text, place):
        if token[0] == '"':
            return
        if token[1] is None:
            depth += 1 if token[0] in "[{" else -1
            if not depth:
                return
        elif token[2] and depth == 1:
            yield token[1]


def is_safetensors(head: bytes) -> bool:
    """The length of a header in JSON, and the header."""
    return head[8:10] == b'{"' and 2 <= int.from_bytes(head[:8], "little") < 100_000_000


def is_onnx(head: bytes) -> bool:
    """The version of the format, a small number, as the first field of the message, and another field of it."""
    return head[:1] == b"\x08" and 0 < head[1] < 0x20 and head[2:3] in (b"\x12", b"\x1a", b"\x22", b"\x28", b"\x32", b"\x3a")


DRAWN_HERE = re.compile(rb"<dc:creator>\s*<cc:Agent>\s*<dc:title>iqa</dc:title>")


def is_plot(head: bytes) -> bool:
    """A PNG or SVG that says that it was drawn here."""
    png = head.startswith(b"\x89PNG\r\n\x1a\n") and b"tEXtSoftware\0iqa" in head
    svg = head.lstrip().startswith((b"<?xml", b"<svg")) and DRAWN_HERE.search(head) is not None
    return png or svg


is_card = begins_json("name", "summary", "crops", "opinions")


def is_file_name(name: object) -> bool:
    """Whether it may be the name of a file beside a card: a line without slashes that does not begin with a dot."""
    return isinstance(name, str) and re.fullmatch(r"[^./\\][^/\\]*", name) is not None and name.isprintable()


def list_model_files(folder: Path, name: str, ending: str, option: str, card: Path | None = None) -> list[Output]:
    """The weights and the card that a command leaves in a folder.

    ending: safetensors or onnx. card: None: one of the same name. Raises UsageError for a name that files of models never have.
    """
    if not is_file_name(name):
        raise UsageError(
            f"{name!r} is to be the name of files in {folder}: it has one letter at least, no slash, and begins with no dot"
        )
    weights = "an ONNX model" if ending == "onnx" else "weights"
    return [
        Output(folder / f"{name}.{ending}", option, weights, is_onnx if ending == "onnx" else is_safetensors),
        Output(card or folder / f"{name}.json", option, "a model card", is_card),
    ]


def list_model_parts(reference: str) -> list[Path]:
    """The files of a model that is named by a path: of a card or of weights those of the same name, of a folder all."""
    path = Path(reference)
    if path.is_dir():
        return [file for ending in MODEL_FILES for file in path.glob(f"*{ending}")]
    return [path, *(path.with_suffix(ending) for ending in MODEL_FILES if path.suffix in MODEL_FILES)]
