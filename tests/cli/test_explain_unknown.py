"""Parts of a photo for which a network gives no number."""

import json

import numpy as np

from iqa_cli.cli.explaining.command import describe_explanation
from iqa_cli.cli.explaining.page import name_weakest
from iqa_cli.records import ScoreRecord, Status
from iqa_cli.scoring.explaining import Explanation


def explain(points: list[list[float]]) -> Explanation:
    return Explanation(ScoreRecord("a.png", Status.OK, "toy", score=50.0), map=np.asarray(points, np.float32))


def test_they_are_null_in_json_and_the_weakest_part_is_another() -> None:
    found = explain([[np.nan, 0.0, 0.0], [0.0, 0.0, -9.0], [5.0, 4.0, 0.0]])
    told = json.loads(json.dumps(describe_explanation(found), allow_nan=False))
    assert told["map"][0] == [None, 0.0, 0.0]
    assert name_weakest(found) == "the middle right, which scores 9 points lower than the average part"


def test_where_nothing_is_known_no_part_is_the_weakest() -> None:
    assert name_weakest(explain([[np.nan] * 3] * 3)) == ""
