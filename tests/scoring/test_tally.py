"""What has become of a run, as parts of it keep it."""

from __future__ import annotations

import json
from collections import Counter

from iqa_cli.records import Status
from iqa_cli.scoring.tally import Tally


def test_a_tally_comes_back_from_what_it_is_written_as() -> None:
    tally = Tally(3, Counter({Status.OK: 2, Status.DAMAGED: 1}), Counter(soft=1), Counter({"*.txt": 4}), Counter(HEIC=5))
    back, merged = Tally.restore(json.loads(json.dumps(tally.describe()))), Tally()
    merged.merge(back)
    for each in (back, merged):
        assert (each.found, each.statuses, each.reasons) == (tally.found, tally.statuses, tally.reasons)
        assert (each.left_out, each.undecoded) == (tally.left_out, tally.undecoded)


def test_counts_of_earlier_versions_have_no_reasons() -> None:
    back = Tally.restore({"statuses": {"ok": 2}, "left_out": {"*.txt": 4}, "undecoded": {}})
    assert (back.found, back.reasons, back.left_out) == (2, Counter(), Counter({"*.txt": 4}))
