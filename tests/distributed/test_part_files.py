import random
from collections import Counter

import pytest

from iqa_cli.distributed.parts import PART, Part, cut_parts
from iqa_cli.records import Status, Undecodable
from iqa_cli.remote.entries import Entry


def make(count: int) -> list[Entry]:
    return [Entry(f"set/{number:06}.jpg", size=number) for number in range(count)]


def names(parts: list[Part]) -> list[str]:
    return [entry.name for part in parts for entry in part.entries]


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_parts_are_the_listing_in_its_order_none_much_larger_or_smaller(size: int) -> None:
    entries = make(3000)
    parts = list(cut_parts(entries, size))
    assert names(parts) == [entry.name for entry in entries]
    sizes = [len(part.entries) for part in parts]
    assert max(sizes) <= 2 * size
    assert min(sizes[:-1]) >= max(1, size // 2)
    assert 0.8 * size <= len(entries) / len(parts) <= 1.2 * size
    assert len({part.name for part in parts}) == len(parts)
    assert all(PART.fullmatch(part.name) for part in parts)


def test_each_archive_is_a_part_of_its_own() -> None:
    entries = [Entry("a.jpg"), Entry("0.tar", archive=True), Entry("1.tar", archive=True), Entry("b.jpg"), Entry("c.jpg")]
    parts = list(cut_parts(entries, 100))
    assert [[entry.name for entry in part.entries] for part in parts] == [["a.jpg"], ["0.tar"], ["1.tar"], ["b.jpg", "c.jpg"]]
    assert parts[1].name.startswith("0.tar-")
    assert not list(cut_parts([], 100))


def test_parts_are_drawn_lazily() -> None:
    drawn = Counter[str]()

    def draw():
        for entry in make(1000):
            drawn["entries"] += 1
            yield entry

    next(cut_parts(draw(), 10))
    assert drawn["entries"] <= 21


@pytest.mark.parametrize("seed", range(20))
def test_a_change_of_the_listing_changes_few_parts(seed: int) -> None:
    rng = random.Random(seed)
    entries = make(5000)
    changed = list(entries)
    place = rng.randrange(len(entries))
    kind = seed % 3
    if kind == 0:
        changed.insert(place, Entry(f"set/{place:06}a.jpg"))
    elif kind == 1:
        del changed[place]
    else:
        changed[place] = Entry(changed[place].name, size=7_000_000)
    before, after = ({part.name: part for part in cut_parts(each, 50)} for each in (entries, changed))
    assert names(list(after.values())) == [entry.name for entry in changed]
    assert len(set(after) - set(before)) <= 12
    assert set(after) - set(before)


def test_a_part_is_named_after_all_that_its_rows_hang_on() -> None:
    failure = Undecodable(Status.MISSING, "no such object")
    variants = [
        Entry("a.tar"),
        Entry("b.tar"),
        Entry("a.tar", size=1),
        Entry("a.tar", version="1"),
        Entry("a.tar", archive=True, wanted="x.jpg"),
        Entry("a.tar", failure=failure),
    ]
    found = [next(cut_parts([entry], 10)).name for entry in variants]
    assert len(set(found)) == len(variants)
    assert found == [next(cut_parts([entry], 10)).name for entry in variants]


def test_any_name_makes_a_name_of_a_file() -> None:
    for name in ("a b/ä?.jpg", "..", ".hidden", "\udce9.jpg", "x" * 500, "s3://bucket/", "a\nb.jpg", "\\"):
        (part,) = cut_parts([Entry(name)], 10)
        assert PART.fullmatch(part.name), part.name
        assert part.name[0] not in "._"
        assert len(part.name) < 100
        assert part.name.isascii()


def test_neighbours_are_cut_by_their_own_names_alone() -> None:
    """Where the listing is the same for a while, so are the ends of the parts in it."""
    entries = make(4000)
    ends = [{part.entries[-1].name for part in cut_parts(each, 40)} for each in (entries, entries[1000:])]
    tail = {entry.name for entry in entries[1500:]}
    assert ends[0] & tail == ends[1] & tail
