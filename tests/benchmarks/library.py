"""Does an image cost more where there are many? `iqa score` over libraries of growing size, cold and again from the cache.

    python -m tests.benchmarks.library --count 100 --count 1000 --count 10000
    python -m tests.benchmarks.library --count 1000 --count 100000 --no-network

Libraries are made of links to the sample photos, a thousand a folder. Each line is a whole process:

    s        from its start to its end
    ms       the same without the time that one image takes, start included, for each of the others
    CPU ms   the time of all cores per image, which a busy machine distorts less
    MB       the most memory that it and the processes that it started had at a time, sampled

With --no-network the model's place is taken by a network that answers with the mean of what it sees: what is left is the road
around it, finding, decoding, keeping and writing, in a time that allows for many images.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import cycle, islice
from pathlib import Path

from iqa_cli.models.card import WeightFile, write_card
from iqa_cli.models.find import find_model
from iqa_cli.options import BackendChoice

from .scored import make_cost_parser, print_table, read_count, run_whole, show_figure, write_json
from .speed import Contestant, Limits, Run, run_once

SAMPLES = Path(__file__).parent.parent / "photos"
A_FOLDER = 1000  # files


@dataclass(frozen=True)
class Line:
    """A run over a library. ms: milliseconds an image without the start; None of one image."""

    images: int
    cached: bool
    seconds: float
    ms: float | None
    cpu_ms: float
    memory_mb: float


def make_library(folder: Path, count: int) -> Path:
    """A folder of that many photos, of which there are few."""
    for number, source in enumerate(islice(cycle(sorted(SAMPLES.glob("*.jpg"))), count)):
        place = folder / f"{number // A_FOLDER:04}"
        place.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, place / f"{number:07}.jpg")
        except OSError:  # on another disk
            shutil.copyfile(source, place / f"{number:07}.jpg")
    return folder


def write_mean(model: str, folder: Path) -> str:
    """A model that sees what another one sees and answers with the mean of it; the path of its card. Raises WeightsError."""
    import onnx
    from onnx import TensorProto, helper

    card, path = find_model(model, BackendChoice.AUTO).card, folder / "mean.onnx"
    crops = helper.make_tensor_value_info("crops", TensorProto.FLOAT, ["n", 3, "h", "w"])
    quality = helper.make_tensor_value_info("quality", TensorProto.FLOAT, ["n"])
    axes = helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3])
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["crops", "axes"], ["quality"], keepdims=0)], "mean", [crops], [quality], [axes]
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return str(write_card(replace(card, name="mean", files={"onnx": WeightFile.of(path)}), folder))


def measure(model: str, counts: Sequence[int], folder: Path, limit: float) -> Iterator[Line]:
    """A line for each library, and one more for what it takes from the cache."""
    command = ("-m", "iqa_cli", "score", "--quiet", "--csv", os.devnull, "--model", model, "--cache", "--")
    limits, scorer = Limits(seconds=limit), Contestant("iqa", command)
    for count in counts:
        library, cache = make_library(folder / f"library-{count}", count), str(folder / f"cache-{count}")
        alone = run_once(scorer, [str(next(library.rglob("*.jpg")))], str(folder / "alone"), limits)
        for cached in (False, True):
            sys.stderr.write(f"{count} images{', again' if cached else ''}\n")
            yield sum_up(count, cached, run_once(scorer, [str(library)], cache, limits), alone)
        shutil.rmtree(library)


def sum_up(count: int, cached: bool, own: Run, alone: Run) -> Line:
    """A line from a run over so many images, and one over one image. Raises DataError where it failed."""
    own.check()
    later = (own.seconds - alone.seconds) / (count - 1) if count > 1 else None
    return Line(count, cached, own.seconds, later and 1000 * later, 1000 * own.cpu / count, own.memory / 1e6)


def make_rows(lines: Sequence[Line]) -> list[list[str]]:
    """The table as text, header first."""
    rows = [["images", "s", "ms", "CPU ms", "MB"]]
    for line in lines:
        name = f"{line.images}{', again' if line.cached else ''}"
        figures = (line.seconds, 1), (line.ms, 2), (line.cpu_ms, 2), (line.memory_mb, 0)
        rows.append([name, *(show_figure(figure, decimals) for figure, decimals in figures)])
    return rows


def run(options: argparse.Namespace) -> None:
    """Measure, print, write. Raises IqaError."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = write_mean(options.model, folder) if options.no_network else options.model
        lines = list(measure(model, options.count or [100, 1000], folder, options.limit))
    print_table(make_rows(lines))
    if options.json is not None:
        write_json(options.json, {"model": options.model, "network": not options.no_network, "lines": [*map(asdict, lines)]})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; its exit code."""
    parser = make_cost_parser("library", __doc__)
    parser.add_argument(
        "--count", action="append", type=read_count, metavar="N", help="images, default 100 and 1000; may be repeated"
    )
    parser.add_argument("--no-network", action="store_true", help="a network that costs nothing, in the model's place")
    parser.add_argument("--limit", type=read_count, default=7200, metavar="S", help="a process may take so long, default 7200")
    return run_whole(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
