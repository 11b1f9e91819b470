"""Packet: what a sidecar says, and a change of single properties in it that leaves every other byte as it is.

lxml reads it; nothing outside the file is ever read, and no entity resolved. What is changed is changed in the text, where lxml
and `xmp_text` together tell a property's place: as an attribute or an element, under any prefix, in any `rdf:Description`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from iqa_cli.culling.xmp_text import Attribute, Unpatchable, decode, find_attributes, find_spots, quote

if TYPE_CHECKING:  # an extra, see `ratings.need_lxml`
    from lxml.etree import _Element

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
XMP = "{http://ns.adobe.com/xap/1.0/}"
OURS = "{urn:iqa-cli:xmp:1.0/}"
NAME = rb"((?:\w{1,40}:)?(?:x[ma]pmeta|RDF))"
EMBEDDED = re.compile(rb"<(?:%b\s|/%b\s{0,40}>)" % (NAME, NAME))
"""Where a packet in a picture begins, and where it ends; the element around its RDF may be missing."""
TAG = 128  # bytes that hold either
BLOCK = 1 << 20  # bytes that are read at a time
LARGEST = 16 << 20  # bytes of a packet in a picture
SPACE = " \t\r\n"
PREFIXES = {  # as the programs that made these names write them
    XMP: "xmp",
    OURS: "iqa",
    "{http://ns.adobe.com/xmp/1.0/DynamicMedia/}": "xmpDM",
    "{http://www.digikam.org/ns/1.0/}": "digiKam",
}
NEW = b"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="iqa">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
 </rdf:RDF>
</x:xmpmeta>
"""
"""A sidecar that says nothing yet."""


class Packet:
    """The properties of a sidecar, by names as lxml writes them: {namespace}name.

    Changes are collected, and made by `encode`. Raises Unpatchable for what is no XMP, or has a document type, whose entities
    might mean anything.
    """

    def __init__(self, data: bytes) -> None:
        self.mark, self.encoding, self.text = decode(data)
        root = parse(self.text)
        self.spots = dict(zip(root.iter("*"), find_spots(self.text), strict=True))
        graphs = list(root.iter(f"{RDF}RDF"))
        if len(graphs) != 1:
            raise Unpatchable("XML, but no XMP: it has no rdf:RDF" if not graphs else "more than one rdf:RDF in it")
        self.graph = graphs[0]
        self.descriptions = [child for child in self.graph if child.tag == f"{RDF}Description"]
        self.edits: dict[tuple[int, int], str] = {}
        self.added: dict[str, str] = {}

    def read(self, name: str) -> list[str | None]:
        """The values of a property, one for each place where it stands; None for one that is more than text."""
        return [*(item.get(name, "") for item in self._with_attribute(name)), *map(read_plain, self._elements(name))]

    def set(self, name: str, value: str) -> None:
        """Give a property a value, wherever it stands. Raises Unpatchable where one is more than text."""
        elements = list(self._elements(name))
        if None in map(read_plain, elements):
            raise Unpatchable(f"its {name.partition('}')[2]} is more than a value")
        items = list(self._with_attribute(name))
        for item in items:
            place = self._find_attribute(item, name)
            self.edits[place.value, place.end - 1] = quote(value)
        for element in elements:
            spot = self.spots[element]
            if spot.closed is None:
                self.edits[spot.inner, spot.end] = f">{quote(value)}</{spot.name}>"
            else:
                self.edits[spot.opened, spot.closed] = quote(value)
        if not elements and not items:
            self.added[name] = value

    def remove(self, name: str) -> None:
        """Take a property away, wherever it stands."""
        for item in self._with_attribute(name):
            place = self._find_attribute(item, name)
            self.edits[place.start, place.end] = ""
        for element in self._elements(name):
            spot = self.spots[element]
            self.edits[spot.start - len(self._space_before(spot.start)), spot.end] = ""
        self.added.pop(name, None)

    def encode(self) -> bytes:
        """The sidecar with the changes, all else byte for byte."""
        edits = dict(self.edits)
        if self.added:
            place, text = self._extend_own() or self._describe_anew()
            edits[place] = text
        text = self.text
        for (start, end), new in sorted(edits.items(), reverse=True):
            text = text[:start] + new + text[end:]
        return self.mark + text.encode(self.encoding)

    def _with_attribute(self, name: str) -> Iterator[_Element]:
        return (item for item in self.descriptions if name in item.attrib)

    def _elements(self, name: str) -> Iterator[_Element]:
        return (child for item in self.descriptions for child in item if child.tag == name)

    def _find_attribute(self, item: _Element, name: str) -> Attribute:
        """Where an attribute that an element has stands in the text."""
        for place in find_attributes(self.text, self.spots[item]):
            prefix, _, local = place.name.rpartition(":")
            if (f"{{{item.nsmap.get(prefix)}}}{local}" if prefix else local) == name:
                return place
        raise Unpatchable(f"an attribute that cannot be found again: {name}")

    def _space_before(self, place: int) -> str:
        """The white space that ends at a place of the text."""
        begin = place
        while begin and self.text[begin - 1] in SPACE:
            begin -= 1
        return self.text[begin:place]

    def _extend_own(self) -> tuple[tuple[int, int], str] | None:
        """Where what is new goes in the description that an earlier run made, and its text; None without one."""
        for item in self.descriptions:
            if any(str(name).startswith(OURS) for name in (*item.attrib, *(child.tag for child in item))):
                spot = self.spots[item]
                spaces = [self._space_at(place.start) for place in find_attributes(self.text, spot)]
                return (spot.inner, spot.inner), self._write_added(spaces[-1] if spaces else " ", item)
        return None

    def _describe_anew(self) -> tuple[tuple[int, int], str]:
        """Where a description of its own goes, behind all others, and its text."""
        whole, children = self.spots[self.graph], [child for child in self.graph if child in self.spots]
        newline = "\r\n" if "\r\n" in self.text else "\n"
        if children:
            at = self.spots[children[-1]].end
            space = self._space_before(self.spots[children[-1]].start)
        else:
            at = whole.opened
            space = f"{newline}  " if "\n" in self.text else ""
        between = f"{space}  " if "\n" in space else " "
        prefix = whole.name.rpartition(":")[0] or "rdf"
        bound = "" if ":" in whole.name else f' xmlns:rdf="{RDF[1:-1]}"'
        begin = f"{space}<{prefix}:Description{bound} {self._write_about(prefix)}"
        text = f"{begin}{self._write_added(between, self.graph)}/>"
        if whole.closed is not None:
            return (at, at), text
        return (whole.inner, whole.end), f">{text}{space.rstrip(' ')}</{whole.name}>"

    def _space_at(self, place: int) -> str:
        """The white space that begins at a place of the text."""
        end = place
        while self.text[end] in SPACE:
            end += 1
        return self.text[place:end]

    def _write_about(self, prefix: str) -> str:
        """What the sidecar is about, as its other descriptions say it; the oldest ones do so without a prefix."""
        for item in self.descriptions:
            for name, written in ((f"{RDF}about", f"{prefix}:about"), ("about", "about")):
                if name in item.attrib:
                    return f'{written}="{quote(str(item.attrib[name]))}"'
        return f'{prefix}:about=""'

    def _write_added(self, between: str, scope: _Element) -> str:
        """What is new as attributes, with the declarations that they need in a place where those of `scope` hold."""
        taken = {prefix: uri for prefix, uri in scope.nsmap.items() if prefix}
        parts, declared = [], {uri: prefix for prefix, uri in taken.items()}
        for name, value in self.added.items():
            space, _, local = name.rpartition("}")
            uri = space[1:]
            if uri not in declared:
                prefix = PREFIXES[f"{space}}}"]
                while prefix in taken:  # for something else
                    prefix += "_"
                taken[prefix], declared[uri] = uri, prefix
                parts.append(f'xmlns:{prefix}="{uri}"')
            parts.append(f'{declared[uri]}:{local}="{quote(value)}"')
        return "".join(between + part for part in parts)


def find_packets(picture: BinaryIO) -> Iterator[bytes]:
    """The packets in a picture, wherever they are, each plain XML and whole. Raises OSError.

    The RDF of one comes alone, too, for what is around it may be missing, or have no end. It is read in blocks: no more is held
    than a block and what a packet may be.
    """
    held = b""
    while block := picture.read(BLOCK):
        held += block
        begun: dict[bytes, int] = {}  # name of an element -> where it begins
        end = 0
        for tag in EMBEDDED.finditer(held):
            if tag[1]:
                begun[tag[1]] = tag.start()
            elif tag[2] in begun:
                end = tag.end()
                yield held[begun.pop(tag[2]) : end]
        first = min((start for start in begun.values() if len(held) - start <= LARGEST), default=None)
        held = held[max(end, len(held) - TAG) if first is None else first :]  # where a tag may be cut in two


def parse(text: str) -> _Element:
    """The root of a text that is XML without a document type. Raises Unpatchable."""
    from lxml import etree

    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise Unpatchable("it has a document type, which XMP never has")
    parser = etree.XMLParser(encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(text.encode(), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Unpatchable(f"no XML that can be read: {str(error).partition(' (<string>')[0]}") from error


def read_plain(element: _Element) -> str | None:
    """The text of an element; None where there is more in it."""
    return None if len(element) else (element.text or "")
