"""Limits: what one request, and all of them together, may cost."""

from __future__ import annotations

from dataclasses import dataclass

from iqa_cli.errors import UsageError
from iqa_cli.options import MAX_TIMEOUT

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Raises UsageError for a limit that lets nothing through.

    max_body: bytes of a request. max_images: of one request. queue: images that wait or are worked on at a time; requests
    beyond it are refused. timeout: seconds that a request may take once it has been received. body_timeout: seconds that its
    body may take to arrive. head_timeout: seconds for its head.
    """

    max_body: int = 32 * MEGABYTE
    max_images: int = 16
    queue: int = 32
    timeout: float = 30.0
    body_timeout: float = 20.0
    head_timeout: float = 10.0

    def __post_init__(self) -> None:
        for name in ("max_body", "max_images", "queue"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is at least 1, not {getattr(self, name)}")
        if self.max_images > self.queue:
            raise UsageError(f"a request of {self.max_images} images would never find room in a queue of {self.queue}")
        for name in ("timeout", "body_timeout", "head_timeout"):
            if not 0 < getattr(self, name) <= MAX_TIMEOUT:
                raise UsageError(f"{name} is more than 0 and at most {MAX_TIMEOUT:g} seconds, not {getattr(self, name):g}")

    @property
    def memory(self) -> int:
        """Bytes of bodies that are held at a time."""
        return max(self.queue // 4, 2) * self.max_body
