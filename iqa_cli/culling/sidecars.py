"""Sidecars: where a photo's ratings go, and writing them: noted in an undo file first, whole, and never over a person's own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from iqa_cli.culling.companions import FolderNames, split_name
from iqa_cli.culling.rating_options import RatingOptions, RejectAs, SidecarStyle
from iqa_cli.culling.ratings import Rating, holds_own, patch
from iqa_cli.culling.sidecar_undo import WRITERS, UndoLog, read_bytes
from iqa_cli.culling.stars import count_stars, find_rejects
from iqa_cli.culling.xmp import Packet, find_packets
from iqa_cli.culling.xmp_text import Unpatchable
from iqa_cli.files.appended import find_state
from iqa_cli.files.replacing import replace_bytes
from iqa_cli.records import ScoreRecord
from iqa_cli.scoring.selection import show_score
from iqa_cli.scoring.writers import format_record

LARGEST = 64 << 20  # bytes of a sidecar that is read
AT_ONCE = 100  # sidecars that are noted together
STYLES = (SidecarStyle.ADOBE, SidecarStyle.DARKTABLE)


@dataclass
class Rated:
    """What became of ratings. ratings: of each photo whose sidecars now say so; own: photos with a rating of a person's;
    written: sidecars; failed: sidecars, or photos, and why.
    """

    ratings: dict[Path, int] = field(default_factory=dict)
    own: set[Path] = field(default_factory=set)
    written: int = 0
    failed: list[tuple[Path, str]] = field(default_factory=list)


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
) -> dict[Path, list[tuple[Path, Rating]]]:
    """Each sidecar to be written, behind all links, and the photos that it is about: several, of a shot as RAW and JPEG."""
    plan: dict[Path, list[tuple[Path, Rating]]] = defaultdict(list)
    for photo, rating in ratings.items():
        try:
            for sidecar in choose_sidecars(photo, style, folders):
                plan[sidecar.resolve()].append((photo, rating))
        except (OSError, RuntimeError) as error:  # links in a circle
            done.failed.append((photo, describe(error)))
    return plan


def name_sidecar(photo: Path, style: SidecarStyle, folders: FolderNames) -> Path:
    """How a photo's sidecar is called, in a style that is one way; where IMG.xmp is another picture's it is IMG.png.xmp."""
    owns = style is SidecarStyle.ADOBE and folders.find(photo.parent).owns_stem(photo.name)
    return photo.with_name(f"{split_name(photo.name)[0] if owns else photo.name}.xmp")


def find_sidecars(photo: Path, folders: FolderNames) -> dict[SidecarStyle, Path]:
    """The sidecars that a photo has, by style; the suffix in any case. Raises OSError where the folder cannot be listed."""
    names = list(folders.find(photo.parent).list_sidecars(photo.name))
    found: dict[SidecarStyle, Path] = {}
    for style in STYLES:
        usual = name_sidecar(photo, style, folders).name
        alike = [name for name in names if name.lower() == usual.lower()]
        if alike:
            found[style] = photo.with_name(usual if usual in alike else min(alike))
    return found


def choose_sidecars(photo: Path, style: SidecarStyle | None, folders: FolderNames) -> list[Path]:
    """Where a photo's rating goes. Raises OSError."""
    there = find_sidecars(photo, folders)
    if style is None and there:
        return list(there.values())
    wanted = STYLES if style is SidecarStyle.BOTH else (style or SidecarStyle.ADOBE,)
    return [there.get(one) or name_sidecar(photo, one, folders) for one in wanted]


# ---- writing ----


def prepare_jobs(
    plan: Mapping[Path, list[tuple[Path, Rating]]], folders: FolderNames, done: Rated, *, overwrite: bool
) -> Iterator[Job]:
    """What is to be written, read and patched only as it is needed. Of several photos the best score counts."""
    for sidecar, rated in plan.items():
        photos = [photo for photo, _ in rated]
        rating = max((rating for _, rating in rated), key=lambda rating: float(rating.score))
        try:
            state, before = find_state(sidecar), read_sidecar(sidecar)
            if not overwrite and (says_own(before) or any(is_rated(photo, sidecar, folders) for photo in photos)):
                done.own.update(photos)
                continue
            after = patch(before, rating, overwrite=overwrite)
        except (OSError, Unpatchable) as error:
            done.failed.append((sidecar, describe(error)))
            continue
        yield Job(sidecar, photos, rating, state, before, after)


def is_rated(photo: Path, besides: Path, folders: FolderNames) -> bool:
    """Whether a person has rated a photo in another sidecar than the one, or in the picture itself. Raises OSError."""
    others = [sidecar for sidecar in find_sidecars(photo, folders).values() if sidecar.resolve() != besides]
    return any(map(reads_own, others)) or embeds_own(photo)


def reads_own(sidecar: Path) -> bool:
    """Whether a sidecar holds a person's rating; not so where it cannot be read, which is told where it is to be written."""
    try:
        return says_own(read_sidecar(sidecar), strict=False)
    except (OSError, Unpatchable):
        return False


def says_own(data: bytes | None, *, strict: bool = True) -> bool:
    """Whether a packet holds a person's rating. strict: raises Unpatchable for what cannot be read."""
    try:
        return data is not None and holds_own(Packet(data))
    except Unpatchable:
        if strict:
            raise
        return False


def read_sidecar(sidecar: Path) -> bytes | None:
    """What a sidecar holds; None for no file. Raises OSError and Unpatchable."""
    if sidecar.exists() and not sidecar.is_file():
        raise Unpatchable("it is no regular file")
    if sidecar.exists() and sidecar.stat().st_size > LARGEST:
        raise Unpatchable(f"more than {LARGEST >> 20} MB, which is no sidecar")
    data = read_bytes(sidecar)
    if data is not None and not data.strip(b"\0 \t\r\n"):
        raise Unpatchable("it is empty")
    return data


def embeds_own(photo: Path) -> bool:
    """Whether a picture itself holds a person's rating, in any of its packets; not so where it cannot be read."""
    try:
        with photo.open("rb") as file:
            return any(says_own(packet, strict=False) for packet in find_packets(file))
    except OSError:
        return False


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
