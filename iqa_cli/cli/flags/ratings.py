"""Options of `iqa score` about ratings in sidecars."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated

import typer

from iqa_cli.culling.rating_options import RatingOptions, RejectAs, SidecarStyle
from iqa_cli.errors import UsageError

RATINGS = "Ratings for photo programs"


@dataclass(frozen=True)
class RatingFlags:
    """Whether and how photos are rated in sidecars, which are written beside them and never in them."""

    write_xmp: Annotated[
        bool,
        typer.Option(
            "--write-xmp",
            help="Rate all scored photos in XMP sidecars, at the end: of these photos, the worst 10 % get 1 star, then 20 % 2,"
            " 40 % 3, 20 % 4, the best 10 % 5; none in a run that is cut short. Your own ratings stay. Lightroom and Bridge"
            " read sidecars of RAW files only.",
            rich_help_panel=RATINGS,
        ),
    ] = False
    xmp_style: Annotated[
        SidecarStyle | None,
        typer.Option(
            help="IMG.xmp; or IMG.CR3.xmp, for darktable and digiKam."
            r"  \[default: the sidecars that a photo has, else adobe]",
            rich_help_panel=RATINGS,
        ),
    ] = None
    stars_at: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C,D",
            help="Stars by score: 2 from A on, 5 from D on, as 20,40,60,80; also in a run that is cut short.",
            rich_help_panel=RATINGS,
        ),
    ] = None
    reject_as: Annotated[
        RejectAs,
        typer.Option(
            help="Mark the worst by a rating of -1, a red label, or the flag of rejects, unless they have a mark of yours.",
            rich_help_panel=RATINGS,
        ),
    ] = RejectAs.NONE
    reject_below: Annotated[
        float | None,
        typer.Option(metavar="S", help=r"The worst: scores below S.  \[default: the lowest 5 %]", rich_help_panel=RATINGS),
    ] = None
    overwrite_ratings: Annotated[
        bool, typer.Option("--overwrite-ratings", help="Also over ratings of your own.", rich_help_panel=RATINGS)
    ] = False

    def gather(self) -> RatingOptions | None:
        """How photos are rated; None where they are not. Raises UsageError where that makes no sense."""
        if not self.write_xmp:
            given = [f.name for f in fields(self) if getattr(self, f.name) != f.default]
            if given:
                raise UsageError(f"--{given[0].replace('_', '-')} is about sidecars: add --write-xmp")
            return None
        return RatingOptions(
            self.xmp_style, parse_limits(self.stars_at), self.reject_as, self.reject_below, self.overwrite_ratings
        )


def parse_limits(text: str | None) -> tuple[float, ...] | None:
    """The scores of --stars-at. Raises UsageError."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--stars-at takes four scores with commas between them, as 20,40,60,80, not {text}") from error
