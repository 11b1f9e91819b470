"""The text of an XML file: its encoding, and where in it every element stands, so that a part can be changed and no other."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

MARKS = (  # UTF-32 before UTF-16, whose marks begin alike
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
DECLARED = re.compile(rb"""<\?xml\s[^>]*?encoding\s*=\s*["']([\w.-]+)["']""")
TOKEN = re.compile(  # of XML that is well formed
    r"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>"
    r"""|<(?P<closing>/?)(?P<name>[^\s/>]+)(?P<attributes>(?:[^>"']|"[^"]*"|'[^']*')*?)(?P<empty>/?)>""",
    re.DOTALL,
)
ATTRIBUTE = re.compile(r"""\s*([^\s=]+)\s*=\s*("[^"]*"|'[^']*')""")
ESCAPES = {'"': "&quot;", "'": "&apos;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}


class Unpatchable(Exception):  # noqa: N818  # the outcome of one sidecar, not an error of the run
    """A sidecar that is left as it is; in words, why."""


@dataclass(frozen=True)
class Attribute:
    """An attribute in a text. name: with its prefix, as it is written; start: where the space before it begins; end: behind
    its closing quote; value: where its value begins.
    """

    name: str
    start: int
    end: int
    value: int


@dataclass
class Spot:
    """An element in a text. name: with its prefix; start, end: all of it; opened: behind its start tag; closed: where its end
    tag begins, None without one; inner: where its attributes end.
    """

    name: str
    start: int
    inner: int
    opened: int
    closed: int | None = None
    end: int = 0


def decode(data: bytes) -> tuple[bytes, str, str]:
    """The mark that a file begins with, its encoding, and its text. Raises Unpatchable where these are not to be told."""
    mark, encoding = next(((mark, name) for mark, name in MARKS if data.startswith(mark)), (b"", ""))
    if not encoding:
        declared = DECLARED.match(data)
        wide = {b"<\0": "utf-16-le", b"\0<": "utf-16-be"}.get(data[:2])
        encoding = wide or (declared[1].decode() if declared else "utf-8")
    body = data[len(mark) :]
    try:
        text = body.decode(encoding)
        whole = text.encode(encoding) == body
    except (LookupError, UnicodeError) as error:
        raise Unpatchable(f"not the {encoding} text that it should be") from error
    if not whole:
        raise Unpatchable(f"{encoding} text that cannot be written back as it was")
    return mark, encoding, text


def find_spots(text: str) -> list[Spot]:
    """Every element of a text that is well-formed XML, in the order of their start tags."""
    spots: list[Spot] = []
    opened: list[Spot] = []
    for token in TOKEN.finditer(text):
        if token["name"] is None:
            continue
        if token["closing"]:
            spot = opened.pop()
            spot.closed, spot.end = token.start(), token.end()
            continue
        inner = token.start("attributes") + len(token["attributes"].rstrip())
        spot = Spot(token["name"], token.start(), inner, token.end(), end=token.end())
        spots.append(spot)
        if not token["empty"]:
            opened.append(spot)
    return spots


def find_attributes(text: str, spot: Spot) -> Iterator[Attribute]:
    """The attributes of an element, declarations of namespaces among them."""
    for match in ATTRIBUTE.finditer(text, spot.start + 1 + len(spot.name), spot.inner):
        yield Attribute(match[1], match.start(), match.end(), match.start(2) + 1)


def quote(value: str) -> str:
    """The value as it may stand in any XML: between either kind of quotes, between tags, in any encoding."""
    return (
        escape(value, {'"': "&quot;", "'": "&apos;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
        .encode("ascii", "xmlcharrefreplace")
        .decode()
    )
