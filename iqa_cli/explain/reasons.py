"""Reasons: what is wrong with a photo, said by one table of codes, measurements, thresholds and words.

The measurements are those of `measure.measure_picture`: of the pixels that are decoded for the score, reduced to 3 megapixels
at most, which is about what a screen shows.
The thresholds were chosen on one half of 552 photos, those whose names' hash is even, and measured on the other half by
`python -m tests.benchmarks.explaining.reasons`: of 262 clean photos 12 have any reason. What was done to photos in middle
strength is named in 90 % and more, except for three things: 1.3 stops too much light in 63 %, a cast of 1.7 stops in 84 % and
of 0.8 in 25 %. `tests/benchmarks/README.md` has the figures, and what naming more would cost.

Where a measurement's name does not say what it is: stops_too_dark and stops_too_light are stops beside what photos have on
average. cast is how strange the colour of the light is: 1 is usual, and hardly a photo has 4.4. sharpening is the amount of the
unsharp mask that would give such edges. enlarging is about 0 in pictures of their own size, and 1 in enlarged ones.
earlier_jpeg_quality is that of a JPEG that the pixels went through, 100 where there is no trace of a bad one. blur and shake
are px where the short side is 512, noise and tones values of 255, white, specks, lost_share and plainness shares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from iqa_cli.records import Reason


@dataclass(frozen=True)
class Rule:
    """A measurement, and where it begins to be wrong: above the threshold, or below it."""

    measurement: str
    threshold: float
    below: bool = False

    def breaks(self, value: float) -> bool:
        """Whether a value is beyond the threshold."""
        return value < self.threshold if self.below else value > self.threshold

    def excess(self, value: float) -> float:
        """How far a value is beyond the threshold, as a factor."""
        high, low = (self.threshold, value) if self.below else (value, self.threshold)
        return high / max(low, 1e-6)


@dataclass(frozen=True)
class Kind:
    """What may be wrong with a photo.

    rules: any of them tells. sentence: what is wrong, and advice: what to do about it, in plain words. message: both, as short
    as somebody who sent the photo may be told.
    """

    code: str
    rules: tuple[Rule, ...]
    sentence: str
    advice: str
    message: str


NOT_PHOTO = "not_photo"
ANY_PICTURE = (NOT_PHOTO, "partly_lost", "lowres")
"""The reasons that pages and drawings may have, too."""

KINDS: Mapping[str, Kind] = {
    kind.code: kind
    for kind in (
        Kind(
            NOT_PHOTO,
            (
                Rule("plainness", 0.2),
                Rule("regularity", 0.42),
                Rule("waves", 0.62),
                Rule("evenness", 0.65),
                Rule("bend", 0.05, below=True),
                Rule("structure", 0.06, below=True),
            ),
            "This looks like a screenshot, a page, a drawing, a pattern or plain noise, not like a photo.",
            "The score was learnt from photos alone: do not rely on it here.",
            "no photo: send a photo, not a screenshot or a drawing",
        ),
        Kind(
            "partly_lost",
            (Rule("lost_share", 0.04),),
            "A part of the picture is one plain colour from edge to edge: its data are lost.",
            "Copy the file again from where it came from, or save it again from the original.",
            "a part of the picture is missing: send it again",
        ),
        Kind(
            "soft",
            (Rule("blur", 0.8),),
            "Even the sharpest edges are soft.",
            "Focus on the subject, clean the lens, and keep the distance that the lens needs.",
            "not sharp: focus on the subject, clean the lens, and take it again",
        ),
        Kind(
            "shaken",
            (Rule("shake", 1.1),),
            "Edges are blurred in one direction and sharp in the other: the camera or the subject moved.",
            "Hold the camera still, rest it on something, or take a shorter exposure.",
            "shaken: hold the camera still, or take it in better light",
        ),
        Kind(
            "noisy",
            (Rule("noise", 7.6), Rule("color_noise", 2.4), Rule("specks", 0.012)),
            "There is noise where the picture should be smooth.",
            "Take it in better light or at a lower ISO; denoise the RAW file.",
            "noisy: take it in better light",
        ),
        Kind(
            "dark",
            (Rule("stops_too_dark", 1.3), Rule("highlight", 40.0, below=True)),
            "Hardly anything in the picture is light.",
            "Take it in better light, or expose it longer.",
            "too dark: take it in better light",
        ),
        Kind(
            "bright",
            (Rule("stops_too_light", 1.3), Rule("white", 0.35)),
            "Large parts are plain white, without any detail.",
            "Expose it shorter, or do not take it against the light.",
            "too bright: take it with less light, or not against the light",
        ),
        Kind(
            "flat",
            (Rule("unused_tones", 112.0),),
            "Light and dark hardly differ.",
            "Clean the lens, avoid haze and reflections, or set the black and white points.",
            "hardly any contrast: clean the lens, and avoid haze and reflections",
        ),
        Kind(
            "blocky",
            (Rule("blocks", 2.6), Rule("earlier_jpeg_quality", 30.0, below=True), Rule("jpeg_quality", 30.0, below=True)),
            "The picture was compressed so much that its blocks show.",
            "Save it again from the original, at a quality of 85 or more.",
            "compressed too much: send the photo as it came from the camera",
        ),
        Kind(
            "banded",
            (Rule("steps", 0.75),),
            "There are few tones, with steps between them.",
            "Save it again from the original, with all of its colours.",
            "too few tones: send the photo as it came from the camera",
        ),
        Kind(
            "cast",
            (Rule("cast", 4.4),),
            "One colour lies over all of the picture.",
            "Set the white balance to the light there was.",
            "a colour lies over all of it: set the white balance, or take it in daylight",
        ),
        Kind(
            "oversharp",
            (Rule("sharpening", 0.9),),
            "Edges have halos: the picture was sharpened too much.",
            "Develop it again with less sharpening.",
            "sharpened too much: send the photo as it came from the camera",
        ),
        Kind(
            "upscaled",
            (Rule("rhythm", 40.0), Rule("enlarging", 0.45)),
            "The picture was enlarged: it has fewer real pixels than it seems to have.",
            "Use the original in its own size.",
            "enlarged: send the photo as it came from the camera",
        ),
        Kind(
            "lowres",
            (Rule("megapixels", 0.12, below=True),),
            "The picture is very small.",
            "Use the original in its own size.",
            "too small: send the photo as it came from the camera",
        ),
    )
}
"""The reasons by their codes, in the order in which they are said."""


def find_reasons(measured: Mapping[str, float]) -> tuple[Reason, ...]:
    """What is wrong with a photo, by what was measured of it, in the order of the table.

    A measurement that is missing says nothing. Of what is no photo nothing else is said that only photos have.
    """
    found = tuple(reason for kind in KINDS.values() for reason in judge_kind(kind, measured))
    if any(reason.code == NOT_PHOTO for reason in found):
        return tuple(reason for reason in found if reason.code in ANY_PICTURE)
    return found


def judge_kind(kind: Kind, measured: Mapping[str, float]) -> Iterator[Reason]:
    """The reason of this kind, if it is one: by the rule that is broken most."""
    broken = [
        (rule.excess(value), rule, value)
        for rule in kind.rules
        if (value := measured.get(rule.measurement)) is not None and rule.breaks(value)
    ]
    if broken:
        _, rule, value = max(broken, key=lambda each: each[0])
        yield Reason(kind.code, rule.measurement, value, rule.threshold)
