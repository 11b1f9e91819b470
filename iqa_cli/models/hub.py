"""The Hugging Face Hub within seconds, or else its local cache alone.

Its own library tries each file six times, and waits longer every time; a name that is not found takes more than a minute.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock, Thread

from iqa_cli.errors import WeightsError

HUB_TIMEOUT = 8.0  # s until the Hub counts as out of reach
SWITCHING = RLock()  # held by the thread that has changed whether the Hub is asked, which is the same for a whole process


@contextmanager
def limit_hub_timeout() -> Iterator[str]:
    """Use the local cache alone within the block where the Hub does not answer; yields why, or nothing where it does.

    One thread at a time: another one waits until the block is left.
    Raises WeightsError where there is no place for that cache: it would be a folder called ~ wherever one happens to be.
    """
    from huggingface_hub import constants  # takes 0.15 s, which only models of the Hub pay

    if constants.HF_HUB_CACHE.startswith("~"):
        raise WeightsError(
            "models of the Hugging Face Hub are kept in the home folder, and none can be found: set HF_HOME to the path of a"
            " folder, without ~"
        )
    with SWITCHING:
        before = constants.HF_HUB_OFFLINE
        reason = "HF_HUB_OFFLINE is set" if before else probe_hub()
        offline = reason and f"it is out of reach ({reason}), and what is needed was not downloaded before"
        constants.HF_HUB_OFFLINE = bool(offline)
        try:
            yield offline
        finally:
            constants.HF_HUB_OFFLINE = before


def probe_hub() -> str:
    """Why the Hub does not answer one short request; empty where it does, whatever its status."""
    outcomes: list[str] = []
    request = Thread(target=request_hub, args=(outcomes,), daemon=True)  # a daemon: a name server may keep it for minutes
    request.start()
    request.join(HUB_TIMEOUT)
    return outcomes[0] if outcomes else f"no answer in {HUB_TIMEOUT:g} s"


def request_hub(outcomes: list[str]) -> None:
    """Append the outcome of a request: an empty string, or the reason of its failure in one line."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    try:
        get_session().head(constants.ENDPOINT, timeout=HUB_TIMEOUT)
        outcomes.append("")
    except Exception as error:  # of many kinds, by transport and version
        outcomes.append((str(error).strip().splitlines() or [type(error).__name__])[0].rstrip("."))
