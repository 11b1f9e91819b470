"""Failures: what the exceptions of fsspec's file systems, and of the libraries below them, mean for a run.

They are told by their names and attributes, since few of those libraries need be installed.
"""

from __future__ import annotations

import logging
import socket
from enum import Enum, auto

NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "DefaultCredentialsError"}
REFUSED_KEYS = {
    *("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"),  # S3
    *("AuthenticationFailed", "AuthorizationFailure", "InvalidAuthenticationInfo", "NoAuthenticationInformation"),  # Azure
}
"""Codes by which a store says that credentials are wrong, whatever they are used for."""
UNNAMEABLE = {"ParamValidationError", "InvalidURL", "HFValidationError"}  # of botocore, aiohttp, the hub
"""What is raised before anything is asked for, as nothing can be called so."""
UNREACHABLE = {
    "ClientConnectorError",  # of aiohttp, below gcsfs and the web
    "EndpointConnectionError",  # of botocore
    "ConnectTimeoutError",
    "ConnectionTimeoutError",
    "ConnectError",  # of httpx, below the hub
    "ServiceRequestError",  # of azure-core
    "TransportError",  # of google-auth
}
TALKATIVE = ("adlfs", "azure", "fsspec", "gcsfs", "google")  # log what they raise, with tracebacks


class Failure(Enum):
    """What a failed request means. PASSING: another attempt may help; UNREACHABLE: so, but maybe nothing there can be had.

    UNNAMEABLE: nothing there can be called so.
    """

    MISSING = auto()
    UNNAMEABLE = auto()
    DENIED = auto()
    FATAL = auto()
    UNREACHABLE = auto()
    PASSING = auto()


def judge(error: BaseException) -> Failure:
    """What an exception of fsspec and the libraries below it means."""
    names = {kind.__name__ for kind in type(error).__mro__}
    status = find_status(error)
    if names & NO_CREDENTIALS or type(error.__cause__).__name__ == "NoSuchBucket" or find_code(error) in REFUSED_KEYS:
        return Failure.FATAL
    if isinstance(error, FileNotFoundError) or status in (404, 410) or "EntryNotFoundError" in names:
        return Failure.MISSING
    if names & UNNAMEABLE:
        return Failure.UNNAMEABLE
    if isinstance(error, PermissionError) or (400 <= status < 500 and status not in (408, 429)):
        return Failure.DENIED
    if names & UNREACHABLE or isinstance(error, ConnectionRefusedError | socket.gaierror):
        return Failure.UNREACHABLE
    return Failure.PASSING


def find_status(error: BaseException) -> int:
    """The status of the HTTP response that an exception is about; 0 where it is about none."""
    if type(error) is OSError and str(error).startswith("Forbidden: "):  # so gcsfs says it
        return 403
    for each in (error, getattr(error, "response", None)):  # as the hub's exceptions have it
        for name in ("status", "status_code", "code"):  # of aiohttp; azure-core and httpx; gcsfs
            status = getattr(each, name, None)
            if isinstance(status, int):
                return status
    return 0


def find_code(error: BaseException) -> str:
    """The code that S3 or Azure gave, of an exception of theirs, or of one that it became; "" for others."""
    for each in (error, error.__cause__):
        response = getattr(each, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        code = getattr(each, "error_code", None)  # a name, or a member of an enumeration of names
        if code is not None:
            return str(getattr(code, "value", code))
    return ""


def say(error: BaseException) -> str:
    """An exception in one line, with what stands below where that only announces it."""
    lines = str(error).strip().splitlines()
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1]) if lines else type(error).__name__


def quieten_libraries() -> None:
    """Keeps what file systems log off stderr, where our words say it; logging that a program has set up gets it."""
    for name in TALKATIVE:
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
