"""Metrics in the text format of Prometheus: counted here, because four kinds of lines need no library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds
HELP = {
    "iqa_requests_total": ("counter", "Requests that were answered, by address and status."),
    "iqa_images_total": ("counter", "Images, by what became of them."),
    "iqa_verdicts_total": ("counter", "Verdicts, by band."),
    "iqa_reasons_total": ("counter", "Reasons against photos."),
    "iqa_request_seconds": ("histogram", "How long requests took, from their head to their answer."),
    "iqa_queue_images": ("gauge", "Images that wait or are worked on."),
    "iqa_queue_limit": ("gauge", "How many may."),
    "iqa_body_bytes": ("gauge", "Bytes of bodies that are held."),
    "iqa_info": ("gauge", "What runs here."),
}


class Metrics:
    """Counts; only the thread of the event loop does, so nothing is locked."""

    def __init__(self) -> None:
        self.counters: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        self.buckets: dict[str, list[int]] = {}
        self.sums: Counter[str] = Counter()

    def count(self, name: str, **labels: object) -> None:
        """One more."""
        self.counters[name, tuple((label, str(value)) for label, value in labels.items())] += 1

    def observe(self, path: str, seconds: float) -> None:
        """A request that took so long."""
        buckets = self.buckets.setdefault(path, [0] * (len(BUCKETS) + 1))
        for place, bound in enumerate((*BUCKETS, float("inf"))):
            buckets[place] += seconds <= bound
        self.sums[path] += seconds  # type: ignore[assignment]

    def write(self, gauges: Mapping[str, float], info: Mapping[str, str]) -> str:
        """All of them as text. gauges: what is so now; info: what runs here."""
        lines: list[str] = []
        for name, (kind, words) in HELP.items():
            lines += [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]
            if kind == "counter":
                own = sorted((labels, value) for (counter, labels), value in self.counters.items() if counter == name)
                lines += [f"{name}{write_labels(dict(labels))} {value}" for labels, value in own]
            elif kind == "histogram":
                lines += self._write_histogram(name)
            else:
                lines.append(f"{name}{write_labels(info)} 1" if name == "iqa_info" else f"{name} {gauges[name]:g}")
        return "\n".join(lines) + "\n"

    def _write_histogram(self, name: str) -> Iterator[str]:
        for path, buckets in sorted(self.buckets.items()):
            for bound, value in zip((*map(str, BUCKETS), "+Inf"), buckets, strict=True):
                yield f"{name}_bucket{write_labels({'path': path, 'le': bound})} {value}"
            yield f"{name}_sum{write_labels({'path': path})} {self.sums[path]:.6f}"
            yield f"{name}_count{write_labels({'path': path})} {buckets[-1]}"


def write_labels(labels: Mapping[str, str]) -> str:
    """Labels in braces; empty where there are none."""
    pairs = ",".join(f'{name}="{escape(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def escape(value: str) -> str:
    """A label's value between quotes."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
