"""Hub: the Hugging Face Hub answers within seconds, or what was downloaded before has to do.

Its own library tries each file six times, and waits longer every time; a name that is not found takes more than a minute.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

PATIENCE = 8.0  # s until the Hub counts as out of reach


@contextmanager
def bound_waiting() -> Iterator[str]:
    """Why nothing but what was downloaded before can be had of the Hub while the block lasts; empty where it answers."""
    from huggingface_hub import constants  # takes 0.15 s, which only this road pays

    before = constants.HF_HUB_OFFLINE
    reason = "HF_HUB_OFFLINE is set" if before else probe_hub()
    silence = reason and f"it is out of reach ({reason}), and what is needed was not downloaded before"
    constants.HF_HUB_OFFLINE = bool(silence)
    try:
        yield silence
    finally:
        constants.HF_HUB_OFFLINE = before


def probe_hub() -> str:
    """Why the Hub does not answer to one short request; empty where it does, whatever it says."""
    answers: list[str] = []
    asking = Thread(target=ask_hub, args=(answers,), daemon=True)  # a daemon: a name server may keep it for minutes
    asking.start()
    asking.join(PATIENCE)
    return answers[0] if answers else f"no answer in {PATIENCE:g} s"


def ask_hub(answers: list[str]) -> None:
    """Append what became of the request: nothing to complain about, or the reason in one line."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
        answers.append("")
    except Exception as error:  # of many kinds, by transport and version
        answers.append((str(error).strip().splitlines() or [type(error).__name__])[0].rstrip("."))
