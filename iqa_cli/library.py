"""Scorer: image quality inside other people's programs. Paths, bytes, file objects, Pillow images and arrays become records.

    >>> from iqa_cli import Scorer
    >>> with Scorer() as scorer:
    ...     record = scorer.score("tests/photos/astronaut.jpg")
    >>> print(record.status, record.width, record.height, 0 <= record.score <= 100)
    ok 512 512 True

Numbers are those of the command line, to the last bit: both come through `iqa_cli.scoring.pipeline`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from iqa_cli.errors import ClosedError, InputError, UsageError
from iqa_cli.images.find import AnyPath, iterate_paths
from iqa_cli.images.in_memory import Channels
from iqa_cli.models.card import ModelCard
from iqa_cli.models.find import find_model
from iqa_cli.options import DEFAULT_MODEL, FILE_KINDS, BackendChoice, ScoreOptions
from iqa_cli.records import ScoreRecord
from iqa_cli.remote.find import find_sources, locate_sources
from iqa_cli.remote.names import plainly
from iqa_cli.scoring.decode_client import Stopped
from iqa_cli.scoring.explaining import Explainer, Explanation
from iqa_cli.scoring.pipeline import Pipeline, filter_names, open_pipeline
from iqa_cli.scoring.sources import FileBytes, LazyFile, Pixels, Source, Unreadable, read_image

if TYPE_CHECKING:
    from iqa_cli.images.in_memory import ImageInput

inherited: list[Pipeline | Explainer | None] = []
"""Pipelines and explainers of the process that this one was forked from.

Never used and never freed: their locks and files are its own.
"""
opening = Lock()


def renew_lock() -> None:
    """After a fork: a thread of the other process may have held it."""
    global opening
    opening = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=renew_lock)


class Scorer:
    """Scores images with one model: as good as people would say they are, from 0 (bad) to 100 (excellent).

    model: an installed name ("qfm-iqm-lite", "qfm-iqm"), a path (card, .onnx, .safetensors or their folder), or
        hf://owner/name[@revision].
    backend: "auto", "onnx" or "torch". device: "auto", "cpu", "cuda", "cuda:1", "mps", ...
    crops: views an image, 1 to 9; None: as many as the model's card says.
    workers: how many images are worked on at a time, each by a core; None: one a core that this process may use.
    batch_size: images a run of the network, of `score_many`; helps on a GPU only.
    max_pixels: larger images are not decoded but recorded so; None: 300 million.
    timeout: seconds after which the decoding of an image is given up and recorded so.
    cache: whether scores of paths are kept in the user's cache folder, and taken from there.
    preview: longer side in px of the small JPEG that comes with each score, as `record.preview`; 0: none.
    reasons: whether each record says what is wrong with the photo, as `record.reasons`.
    detail: whether `record.native` says how much of the resolution is real, measured at full size.

    Open it once and keep it: opening takes some 0.3 s, a photo of 2 megapixels some 75 ms of a core. It may be used by any
    number of threads at a time, in daemons, notebooks and web handlers (from a coroutine:
    `await asyncio.to_thread(scorer.score, data)`), and in scripts without `if __name__ == "__main__"`. A fork, and a copy by
    pickle, open their own at the first use.

    Files are decoded by processes of their own, so a picture that crashes its decoder costs its own record only. `close` ends
    them; so does leaving the `with` block, and so does the end of this program.

    Raises WeightsError where the model cannot be loaded, UsageError for options that make no sense.
    """

    def __init__(  # noqa: PLR0913  # its options, each by name
        self,
        model: str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        backend: str = "auto",
        device: str = "auto",
        crops: int | None = None,
        workers: int | None = None,
        batch_size: int = 1,
        max_pixels: int | None = None,
        timeout: float = ScoreOptions.timeout,
        cache: bool = False,
        preview: int = 0,
        reasons: bool = False,
        detail: bool = False,
    ) -> None:
        if backend not in set(BackendChoice):
            raise UsageError(f"backend is {', '.join(BackendChoice)}, not {backend!r}")
        self.options = ScoreOptions(
            model=os.fspath(model),
            backend=BackendChoice(backend),
            device=device,
            crops=crops,
            workers=workers,
            batch_size=batch_size,
            max_pixels=max_pixels,
            timeout=timeout,
            cache=cache,
            preview=preview,
            reasons=reasons,
            detail=detail,
        )
        found = find_model(self.options.model, self.options.backend)
        self._model = replace(found, folder=Path(os.path.abspath(found.folder)))  # noqa: PTH100  # a daemon changes its folder
        self._closed = False
        self._pipeline: Pipeline | None = open_pipeline(self.options, model=self._model)
        self._process: int | None = os.getpid()
        self._explainer: Explainer | None = None

    @property
    def card(self) -> ModelCard:
        """What the model is: its name, scale, training, figures, limits, and the SHA-256 of its weights."""
        return self._model.card

    @property
    def workers(self) -> int:
        """How many images are worked on at a time."""
        return self._open().workers

    @property
    def sha256(self) -> str:
        """Of the file of weights that runs, in hex."""
        return self.card.files[FILE_KINDS[self._model.backend]].sha256

    def score(self, image: ImageInput, *, name: str | None = None, channels: Channels = "rgb") -> ScoreRecord:
        """The record of one image: `record.score` from 0 to 100, `record.percentile`, `record.status`.

        image: a path (str or os.PathLike), a name in an archive ("00000.tar::KEY.jpg") or a URL; the bytes of a file (bytes,
            bytearray or memoryview); a binary file object, which is read whole, from its beginning where it can seek; a Pillow
            image, with its mode, EXIF orientation and profile; or an upright array of sRGB, uint8 [H, W, 3], for grey [H, W].
        name: what the record calls it; None: its path, or "<bytes>", "<file>", "<image>" or "<array>".
        channels: the order of an array's last axis, "rgb" or "bgr" (as OpenCV reads).

        The bytes of a file score as the file does. A Pillow image and an array score as a PNG of the same pixels; a JPEG may
        differ from its own pixels by half a point, because as a file it is decoded at a half or less where it is large.

        An image that cannot be scored is a record, too: its status says why (missing, denied, unsupported, damaged, too-large,
        timeout, crashed), its detail says it in words, and its score is None.

        Raises InputError for what can be no image (another type; an array of floats, of 16 bits, of 1 or 4 channels, with the
        channels first, or empty), ClosedError once it is closed, WeightsError where the network fails, DataError where no
        process can be started.

        >>> with Scorer() as scorer, open("tests/photos/coffee-blur.jpg", "rb") as file:
        ...     sharp = scorer.score("tests/photos/coffee.jpg")
        ...     blurred = scorer.score(file)
        ...     nothing = scorer.score(b"no image", name="upload.jpg")
        >>> print(blurred.path, blurred.status, blurred.score < sharp.score)
        tests/photos/coffee-blur.jpg ok True
        >>> print(nothing.path, nothing.status, nothing.score, nothing.detail)
        upload.jpg unsupported None not an image
        """
        pipeline = self._open()
        try:
            (source,) = locate_sources([read_source(image, name, channels)])
            return pipeline.score_one(source)
        except Stopped:
            raise self._complain() from None

    def score_many(self, images: Iterable[ImageInput | Source], *, channels: Channels = "rgb") -> Iterator[ScoreRecord]:
        """A record an image, in the order of the images, each as soon as it and those before it are done.

        images: of any kinds that `score` takes, mixed or not, or sources of `remote.find`; or an array, uint8 [N, H, W, 3] or
            of paths. Another thread draws them, few at a time, as they are needed, and copies them: a buffer may be used again.

        Raises as `score` does, after the records of the images before; what the iterable raises comes through.

        >>> with Scorer() as scorer:
        ...     for record in scorer.score_many(["tests/photos/coffee.jpg", "gone.jpg"]):
        ...         print(record.path, record.status)
        tests/photos/coffee.jpg ok
        gone.jpg missing
        """
        if isinstance(images, str | bytes | bytearray | memoryview | os.PathLike) or hasattr(images, "read"):
            raise InputError("score_many takes several images: for one, use score, or put it into a list")
        if isinstance(images, np.ndarray) and images.ndim != 4 and not (images.ndim == 1 and images.dtype.kind in "OTU"):
            raise InputError(f"score_many takes arrays [N, H, W, 3], not {list(images.shape)}: for one picture, use score")
        sources = (read_source(image, None, channels) for image in images)
        return self._iterate(self._open(), locate_sources(sources))

    def explain(self, image: ImageInput | Source, *, name: str | None = None, channels: Channels = "rgb") -> Explanation:
        """What there is to say about one image: its record, what is wrong with it, and where it loses quality.

        image, name, channels: as of `score`; or a source of `remote.find`. The explanation has the `record` that `score` gives,
        with its `reasons`, which `iqa_cli.explain.reasons` has in words; `measured`, all measurements by name; `map`, float32
        [h, w], its longer side 64 cells, of the points that the photo's parts have above or, less than 0, below its average
        part, NaN where that is not known, None without a score; and `patches`, the native pixels that its detail comes from.

        It takes as long as scoring some forty photos: so many windows are scored for the map. Raises as `score` does.

        >>> with Scorer() as scorer:
        ...     explained = scorer.explain("tests/photos/coffee-dark.jpg")
        >>> print(explained.record.status, explained.map.shape, *(reason.code for reason in explained.reasons))
        ok (43, 64) dark
        """
        pipeline = self._open()
        try:
            (source,) = locate_sources([read_source(image, name, channels)])
            return self._open_explainer(pipeline).explain(source)
        except Stopped:
            raise self._complain() from None

    def __getstate__(self) -> dict[str, object]:
        """What is copied or pickled; the copy opens its own processes at its first use, as a fork does."""
        return {**self.__dict__, "_pipeline": None, "_process": None, "_explainer": None}

    def close(self) -> None:
        """End the decoding processes. Whatever other threads have under way ends with ClosedError. May be called again."""
        self._closed = True
        if self._pipeline is not None and self._process == os.getpid():
            self._pipeline.close()
            if self._explainer is not None:
                self._explainer.close()

    def __enter__(self) -> Self:
        """The scorer itself. Raises ClosedError where it was closed."""
        self._open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def _iterate(self, pipeline: Pipeline, sources: Iterable[Source]) -> Iterator[ScoreRecord]:
        process = os.getpid()
        records = pipeline.run(sources)
        try:
            while True:
                if os.getpid() != process:  # the threads that score have stayed there
                    raise UsageError("these records are those of the process before the fork: call score_many again")
                try:
                    yield next(records)
                except StopIteration:
                    return
        except Stopped:
            raise self._complain() from None
        finally:
            if os.getpid() == process:
                records.close()

    def _open(self) -> Pipeline:
        """The pipeline of this very process. Raises ClosedError."""
        if self._closed:
            raise self._complain()
        pipeline = self._pipeline
        if pipeline is None or self._process != os.getpid():
            with opening:
                if self._pipeline is None or self._process != os.getpid():
                    inherited.append(self._pipeline)
                    self._pipeline = open_pipeline(self.options, model=self._model)
                    self._process = os.getpid()
                pipeline = self._pipeline
        return pipeline

    def _open_explainer(self, pipeline: Pipeline) -> Explainer:
        """The explainer beside a pipeline, which is that of this very process."""
        with opening:
            if self._explainer is None or self._explainer.beside is not pipeline:
                inherited.append(self._explainer)
                self._explainer = Explainer(pipeline)
            return self._explainer

    def _complain(self) -> ClosedError:
        return ClosedError("this Scorer is closed: open another one, and keep it open as long as it is used")


def read_source(image: ImageInput | Source, name: str | None, channels: Channels) -> Source:
    """One image as a `Scorer` takes it; a path as the command line has it, without file://. Raises InputError."""
    source = image if isinstance(image, FileBytes | LazyFile | Pixels | Unreadable) else read_image(image, name, channels)
    return plainly(str(source)) if isinstance(source, str) else source


def score_images(paths: AnyPath | Iterable[AnyPath], options: ScoreOptions | None = None) -> Iterator[ScoreRecord]:
    """Score files, one path or many, and whatever images are in folders: a record an image, in order, as they get done.

    A named tar or zip is a folder of what is in it; what is no image is left out. Raises WeightsError or UsageError.

    >>> records = list(score_images("tests/photos", ScoreOptions(include=("coffee*",))))
    >>> max(records, key=lambda record: record.score).path
    'tests/photos/coffee.jpg'
    """
    chosen = options or ScoreOptions()
    pipeline = open_pipeline(chosen)
    return pipeline.run(find_sources(iterate_paths(paths), Counter(), filter_names(chosen)))
