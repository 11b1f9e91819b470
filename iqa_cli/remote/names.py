"""How images that are no files are called: `s3://bucket/a.jpg`, and in archives `shards/00000.tar::000000012.jpg`."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote

from iqa_cli.images.find import expand_pattern, is_pattern

SEPARATOR = "::"
ENDINGS = r"tar|tar\.gz|tgz|tar\.bz2|tbz2?|tar\.xz|txz|zip"
ARCHIVE = re.compile(rf".+\.({ENDINGS})", re.IGNORECASE | re.DOTALL)
MEMBER = re.compile(rf"(.+?\.(?:{ENDINGS})){SEPARATOR}(.+)", re.IGNORECASE | re.DOTALL)
URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
HTTP = ("http", "https")
LOCAL = ("file", "local")
HERE = re.compile(r"(?<=^file://)localhost(?=/)", re.IGNORECASE)  # which a URL of a file may name, or leave out
CHAINED = re.compile(r"(?:zip|tar)://(.*?)::(.+)", re.IGNORECASE | re.DOTALL)


def split_member(path: str) -> tuple[str, str] | None:
    """The archive and the path in it of a name that has both; None for any other, and for files that are called so."""
    if SEPARATOR not in path:
        return None
    found = MEMBER.fullmatch(path)
    return (found[1], found[2]) if found and not os.path.lexists(path) else None


def join_member(archive: str, member: str) -> str:
    """What the record of a file in an archive calls it."""
    return f"{archive}{SEPARATOR}{member}"


def is_archive(path: str) -> bool:
    """Whether a name is that of an archive, which a folder may have as well, or of something in one."""
    return ARCHIVE.fullmatch(path_of(path)) is not None or split_member(path) is not None


def scheme_of(path: str) -> str:
    """What stands before :// in lower case; empty where nothing does."""
    found = URL.match(path)
    return found[1].lower() if found else ""


def is_url(path: str) -> bool:
    """Whether a name is a URL, maybe of an archive and with a path in it."""
    return scheme_of(path) not in ("", *LOCAL)


def path_of(url: str) -> str:
    """The part of a URL that ends as the file does: without the query of a web address."""
    return url.partition("?")[0].partition("#")[0] if scheme_of(url) in HTTP else url


def is_pattern_of_urls(url: str) -> bool:
    """Whether a URL is a pattern; a web address never is."""
    return scheme_of(url) not in HTTP and re.search(r"[*?]", url) is not None


def leads_out(member: str) -> bool:
    """Whether a path in an archive may lead out of it, where somebody unpacks it, or takes it for a path of files here."""
    return ".." in re.split(r"[/\\]", member)


def split_key(member: str) -> tuple[str, str]:
    """WebDataset's key of a path in a shard, and the ending, which begins behind the first dot of the name.

    >>> split_key("train/0001.seg.png")
    ('train/0001', 'seg.png')
    """
    folder, slash, name = member.rpartition("/")
    stem, _, ending = name.partition(".")
    return f"{folder}{slash}{stem}", ending


def plainly(path: str) -> str:
    """A name as it is written here: fsspec's zip://MEMBER::ARCHIVE is ARCHIVE::MEMBER, and zip://::ARCHIVE is ARCHIVE.

    >>> plainly("file://localhost/photos/a%20b.jpg"), plainly("zip://a.jpg::file:///photos/b.zip")
    ('/photos/a b.jpg', '/photos/b.zip::a.jpg')
    """
    if scheme_of(path) in LOCAL:
        return unquote(HERE.sub("", path).partition("://")[2])
    chained = CHAINED.fullmatch(path)
    if chained is None:
        return path
    archive = plainly(chained[2]) if scheme_of(chained[2]) in LOCAL else chained[2]
    return join_member(archive, chained[1]) if chained[1].strip("/") else archive


def expand_name(path: str) -> list[str]:
    """What a pattern on the command line matches, as `expand_pattern`; a pattern for what is in archives stays one."""
    path = plainly(path)
    if is_url(path):
        return [path]
    inside = split_member(path)
    if inside is None:
        return expand_pattern(path)
    return [join_member(archive, inside[1]) for archive in expand_pattern(inside[0])]


def matches_nothing(path: str) -> bool:
    """Whether a name that was expanded still is a pattern of files."""
    inside = split_member(path)
    return not is_url(path) and is_pattern(path if inside is None else inside[0])


def is_elsewhere(path: str) -> bool:
    """Whether a name is no path of a local file: a URL, or the name of something in an archive."""
    return is_url(path) or split_member(plainly(path)) is not None
