"""The sidecars of other programs that tests patch, and what one means apart from ratings."""

import importlib
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from iqa_cli.culling.ratings import LABEL, SPELLINGS
from iqa_cli.culling.xmp import OURS, RDF

SIDECARS = sorted((Path(__file__).parent / "sidecars").glob("*.xmp"))
OWN = {  # rated by a person
    *("acdsee-rated", "bridge-rejected", "camera-raw-3", "capture-one-rated", "darktable-rejected", "digikam-rated"),
    *("exiftool-rated", "fast-raw-viewer", "lightroom-rated-picked", "photo-mechanic-rated", "rated-twice", "windows"),
}


def mean(data: bytes, besides: Iterable[str] = (*SPELLINGS, LABEL)) -> Counter[tuple[str, str]]:
    """All that a packet says besides some properties and ours, whichever description says it, and what stands around it."""
    etree = importlib.import_module("lxml.etree")
    root = etree.fromstring(data)
    said: Counter[tuple[str, str]] = Counter()
    abouts = set()
    for item in next(root.iter(f"{RDF}RDF")).findall(f"{RDF}Description"):
        abouts.update(value for name, value in item.attrib.items() if name.endswith("about"))
        said.update((name, value) for name, value in item.attrib.items() if not name.endswith("about"))
        said.update(("note", str(note.text)) for note in item if not isinstance(note.tag, str))
        for child in item.iterchildren("*"):
            text = etree.tostring(child, method="c14n", exclusive=True, with_tail=False).decode()
            said[str(child.tag), text] += 1
    assert len(abouts) <= 1, f"it is about several things: {abouts}"
    inside = next(root.iter(f"{RDF}RDF")).iter(etree.PI)
    said.update(("around", str(node)) for node in (*root.itersiblings(preceding=True), *root.itersiblings(), *inside))
    return Counter({fact: said[fact] for fact in said if fact[0] not in besides and not fact[0].startswith(OURS)})


def read_by_exiftool(folder: Path) -> dict[str, object]:
    """Name of a sidecar without its suffix -> its rating, as exiftool reads it."""
    if not shutil.which("exiftool"):
        pytest.skip("needs exiftool (libimage-exiftool-perl)")
    done = subprocess.run(
        ["exiftool", "-j", "-ext", "xmp", "-XMP-xmp:Rating", folder], capture_output=True, check=True, timeout=300
    )
    return {Path(row["SourceFile"]).stem: row.get("Rating") for row in json.loads(done.stdout)}


def read_by_exiv2(path: Path, key: str = "Xmp.xmp.Rating") -> str:
    """The rating, or another property, as exiv2 reads it; empty for none."""
    if not shutil.which("exiv2"):
        pytest.skip("needs exiv2")
    done = subprocess.run(["exiv2", "-q", "-g", f"^{key}$", "-Pv", path], capture_output=True, check=False, timeout=60)
    return done.stdout.decode().strip()
