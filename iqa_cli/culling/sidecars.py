"""Sidecars: where a photo's ratings go, and writing them: noted in an undo file first, whole, and never over a person's own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from iqa_cli.culling.companions import FolderNames
from iqa_cli.culling.own_ratings import is_rated, read_sidecar, says_own
from iqa_cli.culling.rating_options import RatingOptions, RejectAs, SidecarStyle
from iqa_cli.culling.ratings import Rating, patch
from iqa_cli.culling.sidecar_names import choose_sidecars, list_pictures
from iqa_cli.culling.sidecar_undo import WRITERS, UndoLog
from iqa_cli.culling.stars import count_stars, find_rejects
from iqa_cli.culling.xmp_text import Unpatchable
from iqa_cli.files.appended import find_state
from iqa_cli.files.replacing import replace_bytes
from iqa_cli.records import ScoreRecord
from iqa_cli.scoring.selection import show_score
from iqa_cli.scoring.writers import format_record

AT_ONCE = 100  # sidecars that are noted together


@dataclass
class Rated:
    """What became of ratings. ratings: of each photo whose sidecars now say so; own: photos with a rating of a person's;
    written: sidecars; failed: sidecars, or photos, and why.
    """

    ratings: dict[Path, int] = field(default_factory=dict)
    own: set[Path] = field(default_factory=set)
    written: int = 0
    failed: list[tuple[Path, str]] = field(default_factory=list)


@dataclass
class Planned:
    """What a sidecar is about. rated: scored photos; pictures: these, and all others of their shot."""

    rated: list[tuple[Path, Rating]] = field(default_factory=list)
    pictures: set[Path] = field(default_factory=set)


@dataclass(frozen=True)
class Job:
    """One sidecar to be changed. photos: whose it is; state: of the file when it was read; before: None for no file."""

    sidecar: Path
    photos: list[Path]
    rating: Rating
    state: object
    before: bytes | None
    after: bytes


def rate_photos(records: Iterable[ScoreRecord], options: RatingOptions, log: UndoLog, done: Rated) -> None:
    """Write the ratings of all photos that have a score, counting in `done` as it goes.

    Raises DataError where the undo file cannot be written.
    """
    folders = FolderNames()
    plan = plan_sidecars(choose_ratings(records, options), options.style, folders, done)
    jobs = prepare_jobs(plan, folders, done, overwrite=options.overwrite)
    with ThreadPoolExecutor(WRITERS) as pool:
        while some := list(islice(jobs, AT_ONCE)):
            for job in some:
                if job.before != job.after:
                    log.add(job.sidecar, job.before, job.after)
            log.flush()
            for job, failure in zip(some, pool.map(write, some), strict=True):
                if failure:
                    done.failed.append((job.sidecar, failure))
                    continue
                done.ratings.update(dict.fromkeys(job.photos, job.rating.value))
                done.written += job.before != job.after


# ---- which ratings ----


def choose_ratings(records: Iterable[ScoreRecord], options: RatingOptions) -> dict[Path, Rating]:
    """The rating of each photo that has a score; one that was scored twice counts once."""
    scored = {place_photo(record.path): record for record in records if record.score is not None}
    scores = [show_score(record) or 0.0 for record in scored.values()]
    stars = count_stars(scores, options.stars_at)
    rejects = find_rejects(scores, options.reject_below)
    return {
        photo: Rating(count, format_record(record)["score"], record.model, options.reject_as if reject else RejectAs.NONE)
        for (photo, record), count, reject in zip(scored.items(), stars, rejects, strict=True)
    }


def place_photo(path: str) -> Path:
    """A photo in its folder, however that was named; a link to a photo has sidecars where the link is."""
    return Path(path).parent.resolve() / Path(path).name


# ---- which sidecars ----


def plan_sidecars(
    ratings: Mapping[Path, Rating], style: SidecarStyle | None, folders: FolderNames, done: Rated
) -> dict[Path, Planned]:
    """Each sidecar to be written, behind all links, and what it is about: several photos, of a shot as RAW and JPEG."""
    plan: dict[Path, Planned] = defaultdict(Planned)
    for photo, rating in ratings.items():
        try:
            for sidecar in choose_sidecars(photo, style, folders):
                planned = plan[sidecar.resolve()]
                planned.rated.append((photo, rating))
                planned.pictures |= list_pictures(sidecar, photo, folders)
        except (OSError, RuntimeError) as error:  # links in a circle
            done.failed.append((photo, describe(error)))
    return plan


# ---- writing ----


def prepare_jobs(plan: Mapping[Path, Planned], folders: FolderNames, done: Rated, *, overwrite: bool) -> Iterator[Job]:
    """What is to be written, read and patched only as it is needed. Of several photos the best score counts."""
    for sidecar, planned in plan.items():
        photos = [photo for photo, _ in planned.rated]
        rating = max((rating for _, rating in planned.rated), key=lambda rating: float(rating.score))
        try:
            state, before = find_state(sidecar), read_sidecar(sidecar)
            if not overwrite and (says_own(before) or any(is_rated(picture, sidecar, folders) for picture in planned.pictures)):
                done.own.update(photos)
                continue
            after = patch(before, rating, overwrite=overwrite)
        except (OSError, Unpatchable) as error:
            done.failed.append((sidecar, describe(error)))
            continue
        yield Job(sidecar, photos, rating, state, before, after)


def write(job: Job) -> str:
    """Change a sidecar, unless it says so already: why that cannot be done, or nothing."""
    try:
        if job.before != job.after:
            if find_state(job.sidecar) != job.state:
                raise Unpatchable("another program has changed it meanwhile")
            replace_bytes(job.sidecar, job.after)
    except (OSError, Unpatchable) as error:
        return describe(error)
    return ""


def describe(error: Exception) -> str:
    """Why something was not written, in words."""
    return getattr(error, "strerror", None) or str(error)
