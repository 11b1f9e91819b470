"""PartScorer: what an actor holds, and this process, too: one open model, which scores parts and writes their rows."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from threading import Event
from time import time
from typing import Any

from iqa_cli.distributed.folders import Folder, open_folder
from iqa_cli.distributed.job import Job
from iqa_cli.distributed.outcomes import Outcome, describe_part, read_tally, report_error
from iqa_cli.distributed.parts import Part
from iqa_cli.errors import IqaError, WeightsError
from iqa_cli.models.find import find_model
from iqa_cli.options import FILE_KINDS
from iqa_cli.records import PASSING
from iqa_cli.remote.find import open_entries, read_ahead
from iqa_cli.remote.stores import Stores
from iqa_cli.scoring.pipeline import Pipeline, count_found, filter_names, open_pipeline
from iqa_cli.scoring.tally import Tally
from iqa_cli.scoring.writers import list_columns
from iqa_cli.tables.parquet import describe_row, encode_rows, score_schema


class PartScorer:
    """Scores parts with one model, as `iqa score` does, and writes the rows of each into its file."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.pipeline: Pipeline | None = None
        self.stores = Stores(Event())
        self.folder: Folder | None = None

    def run(self, item: Part | Outcome) -> Outcome:
        """What has become of a part; what is an outcome already stays so. What ends the run comes as an outcome, too."""
        if isinstance(item, Outcome):
            return item
        try:
            self.folder = self.folder or open_folder(self.job.place)
            return self._reuse(item, self.folder) or self._score(item, self.folder)
        except IqaError as error:
            return report_error(error)

    def close(self) -> None:
        """End the processes that decode."""
        if self.pipeline is not None:
            self.pipeline.close()

    def _reuse(self, part: Part, folder: Folder) -> Outcome | None:
        """The outcome of a part whose file is there, whole, and the job's."""
        tally = read_tally(folder, part.name, self.job.mark)
        if tally is None:
            return None
        if self.job.retry and any(tally.statuses[status] for status in PASSING):
            return None
        return Outcome(part.name, tally, reused=True)

    def _score(self, part: Part, folder: Folder) -> Outcome:
        """Score a part and write it. Raises DataError where its store or the output cannot be reached, and WeightsError."""
        pipeline, names, tally = self._open(), filter_names(self.job.options), Tally()
        began = time()
        sources = read_ahead(open_entries(part.entries, tally.left_out, names, self.stores))
        columns = list_columns(groups=False, detail=self.job.options.detail)
        rows: list[dict[str, Any]] = []
        with closing(pipeline.run(count_found(sources, tally))) as records:
            for record in records:
                tally.add(record)
                rows.append(describe_row(record, self.job.sha256, columns))
        folder.write(part.name, encode_rows(rows, score_schema(columns), describe_part(tally, self.job.mark)))
        return Outcome(part.name, tally, began=began, ended=time())

    def _open(self) -> Pipeline:
        """The model, verified and loaded. Raises WeightsError where it is not the one that the job is about."""
        if self.pipeline is None:
            self.job.enter_folder()
            found = find_model(self.job.options.model, self.job.options.backend)
            sha256 = found.card.files[FILE_KINDS[found.backend]].sha256
            if sha256 != self.job.sha256:
                weights = f"other weights, {sha256[:12]}, not {self.job.sha256[:12]}"
                raise WeightsError(f"{self.job.options.model}: a machine that scores has {weights}")
            options = replace(self.job.options, cache=False)
            self.pipeline = open_pipeline(options, model=found)
        return self.pipeline
