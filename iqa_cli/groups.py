"""Groups: images that belong together, as all versions of one photo do, and what can be said of others like them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
import numpy.typing as npt

from iqa_cli.metrics import Floats, Statistic, bootstrap_interval

Places = npt.NDArray[np.int64]  # of images among the images, or of groups among the groups


@dataclass(frozen=True)
class Groups:
    """The images of each group: group g has `sizes[g]` of them, at `places[starts[g]]` and behind."""

    places: Places  # [n]
    starts: Places  # [groups]
    sizes: Places  # [groups]

    @classmethod
    def of(cls, names: Sequence[str]) -> Groups:
        """From the name of each image's group."""
        number = {name: i for i, name in enumerate(dict.fromkeys(names))}
        numbers = np.array([number[name] for name in names], dtype=np.int64)
        sizes = np.bincount(numbers)
        return cls(np.argsort(numbers, kind="stable"), np.cumsum(sizes) - sizes, sizes)

    def gather(self, drawn: Places) -> Places:
        """The images of some groups, as often as they were drawn."""
        sizes = self.sizes[drawn]
        ends = np.cumsum(sizes)
        within = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes)  # 0, 1, ... in each group
        found: Places = self.places[np.repeat(self.starts[drawn], sizes) + within]
        return found

    def bootstrap(self, statistic: Statistic, a: Floats, b: Floats, *, rounds: int, seed: int) -> tuple[float, float]:
        """The ends of the 95 % interval of a statistic of rows [n]; nan for a single group, which says nothing of others."""
        if len(self.sizes) < 2:
            return nan, nan

        def of_groups(drawn: npt.ArrayLike, _: npt.ArrayLike) -> float:
            places = self.gather(np.asarray(drawn, dtype=np.int64))
            return statistic(a[places], b[places])

        numbers = np.arange(len(self.sizes))
        return bootstrap_interval(of_groups, numbers, numbers, seed=seed, rounds=rounds)
