"""Refusal: a request that gets an error as JSON, with a status of HTTP and a code that programs compare."""

from __future__ import annotations

from typing import Any

SCHEMA_VERSION = 1

CODES: dict[str, tuple[int, str]] = {
    "empty-body": (400, "the request has no body"),
    "bad-multipart": (400, "the body is no multipart/form-data, or is cut short"),
    "no-image": (400, "the form has no file"),
    "incomplete-body": (400, "the body ended before it was complete"),
    "not-found": (404, "there is no such address here"),
    "no-policy": (404, "this server has no policy: start it with --policy FILE"),
    "method-not-allowed": (405, "this address takes another method"),
    "body-timeout": (408, "the body took too long to arrive"),
    "body-too-large": (413, "the body is larger than is taken"),
    "too-many-images": (413, "the form has more files than are taken"),
    "encoded-body": (415, "the body is compressed: send the image as it is"),
    "unreadable": (422, "the image could not be scored"),
    "queue-full": (429, "too much to do: try again soon"),
    "internal": (500, "the server failed; its log says why"),
    "timeout": (503, "the request took too long: try again later"),
    "closing": (503, "the server is stopping"),
}
"""Code -> status of HTTP, and what it means in words."""


class Refusal(Exception):  # noqa: N818  the outcome of one request
    """A request is refused. code: one of CODES; detail: what to add to its words; results: what there is nevertheless."""

    def __init__(self, code: str, detail: str = "", results: list[Any] | None = None) -> None:
        super().__init__(code, detail)
        self.code, self.results = code, results
        self.status, words = CODES[code]
        self.message = f"{words}: {detail}" if detail else words

    def describe(self) -> dict[str, Any]:
        """As JSON data."""
        error = {"code": self.code, "message": self.message}
        kept = {} if self.results is None else {"results": self.results}
        return {"schema_version": SCHEMA_VERSION, "error": error, **kept}
