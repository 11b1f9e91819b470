"""The page around the records: markup, style and script in one, under a policy that lets nothing else in."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from iqa_cli.scoring.writers import clean

SCRIPTS = ("data", "state", "copy", "tiles", "list", "overview", "detail", "main")
"""The parts of the page's script, in order: each uses what those before it define."""
PLACE = re.compile(r"\{\{(\w+)\}\}")
BEGIN = b"<!doctype html>\n<!-- iqa report -->\n"
END = b"</body>\n</html>\n"


@cache
def read_part(name: str) -> str:
    """A file of the folder `page`."""
    return files("iqa_cli.reports").joinpath("page", name).read_text(encoding="utf-8")


def build_head(data: Mapping[str, Any], version: str) -> bytes:
    """The page up to its thumbnails, which may be left out: with END behind it, it is complete. data: for its script."""
    script = "\n".join(['(() => {\n"use strict";', *(read_part(f"{name}.js") for name in SCRIPTS), "})();"])
    style = read_part("style.css")
    policy = f"default-src 'none'; script-src {hash_source(script)}; style-src {hash_source(style)}; img-src data: file:;"
    policy += " base-uri 'none'; form-action 'none'"
    parts = {"policy": policy, "version": version, "style": style, "script": script, "data": embed_json(data)}
    return PLACE.sub(lambda place: parts[place[1]], read_part("page.html")).encode()


def hash_source(text: str) -> str:
    """What a Content-Security-Policy calls an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def embed_json(data: Mapping[str, Any]) -> str:
    """JSON that ends no script element, whatever names it holds."""
    return json.dumps(clean(data), ensure_ascii=False, separators=(",", ":")).replace("<", r"\u003c")


def build_thumbs(number: int, previews: list[bytes]) -> bytes:
    """A script element that no browser runs: previews in base64, one a line."""
    lines = b"\n".join(map(base64.b64encode, previews))
    return b'<script type="text/plain" id="thumbs-%d">%s</script>\n' % (number, lines)
