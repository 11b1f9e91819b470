"""The libraries of the [formats] extra, and what is said where one is not installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from iqa_cli.images.formats import HEIC, JXL, RAW
from iqa_cli.records import Status, Undecodable

LIBRARIES = {HEIC: "pi_heif", JXL: "pylibjxl.pillow_plugin", RAW: "rawpy"}
COMMAND = "pip install 'iqa-cli[formats]'"


def explain_missing(kind: str) -> str:
    """Why a file of that kind has no score, and what to do about it."""
    return f"{kind}: needs the [formats] extra, which is not installed; get it with: {COMMAND}"


MISSING = {explain_missing(kind): kind for kind in LIBRARIES}
"""What is said of a file -> its kind."""


def import_library(kind: str) -> Any:
    """What decodes that kind. Raises Undecodable where it is not installed."""
    try:
        return import_module(LIBRARIES[kind])
    except ImportError as error:
        raise Undecodable(Status.UNSUPPORTED, explain_missing(kind)) from error
