"""Stars by shares and by limits."""

import random
from collections import Counter

import pytest

from iqa_cli.culling.rating_options import RatingOptions, RejectAs
from iqa_cli.culling.stars import count_stars, find_rejects
from iqa_cli.errors import UsageError


def test_shares_are_as_the_help_says() -> None:
    scores = [float(score) for score in range(1000)]
    random.Random(1).shuffle(scores)
    assert Counter(count_stars(scores)) == {1: 100, 2: 200, 3: 400, 4: 200, 5: 100}
    assert sum(find_rejects(scores)) == 50
    assert {score for score, reject in zip(scores, find_rejects(scores), strict=True) if reject} == set(range(50))


@pytest.mark.parametrize("number", [0, 1, 2, 3, 5, 7, 10, 99])
def test_better_scores_never_have_fewer_stars(number: int) -> None:
    stars = count_stars([float(score) for score in range(number)])
    assert stars == sorted(stars)
    assert set(stars) <= {1, 2, 3, 4, 5}


def test_few_photos_are_not_torn_apart() -> None:
    assert count_stars([7.0]) == [3]
    assert count_stars([7.0] * 20) == [3] * 20
    assert count_stars([float(score) for score in range(10)]) == [1, 2, 2, 3, 3, 3, 3, 4, 4, 5]
    assert not any(find_rejects([float(score) for score in range(10)]))


def test_limits_belong_to_the_higher_stars() -> None:
    assert count_stars([0, 19.99, 20, 39.99, 40, 60, 79.99, 80, 100], (20, 40, 60, 80)) == [1, 1, 2, 2, 3, 4, 4, 5, 5]
    assert find_rejects([9.99, 10, 50], 10) == [True, False, False]


@pytest.mark.parametrize(
    "limits", [(), (20, 40, 60), (20, 40, 60, 80, 90), (20, 40, 40, 80), (80, 60, 40, 20), (0, 1, 2, float("nan"))]
)
def test_limits_that_are_none_are_refused(limits: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="four rising scores"):
        RatingOptions(stars_at=limits)


def test_a_limit_of_rejects_needs_a_mark() -> None:
    with pytest.raises(UsageError, match="--reject-as"):
        RatingOptions(reject_below=10)
    with pytest.raises(UsageError, match="not nan"):
        RatingOptions(reject_as=RejectAs.PICK, reject_below=float("nan"))
