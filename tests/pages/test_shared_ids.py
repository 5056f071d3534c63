"""Ids that stand in several files, in fixed memory."""

from eqn.pages.shared_ids import Meetings, Owners, SharedId


def test_all_are_found_where_few_ids_are() -> None:
    meetings = Meetings()
    files = {"a": ["1", "2", "3"], "b": ["3", "4"], "c": ["1", "3", "5"]}
    for ids in files.values():
        meetings.note(ids)
    owners = Owners(meetings.keys(10))
    for file, ids in files.items():
        owners.note(file, ids)

    assert meetings.share == 1
    assert owners.shared() == [SharedId("1", ("a", "c")), SharedId("3", ("a", "b", "c"))]


def test_of_very_many_ids_a_fair_sample_is_looked_at() -> None:
    """Two files share half of their 20,000 ids; with room for 1,000 some are looked at, and what is found is shared."""
    first, second = [f"id {n}" for n in range(20_000)], [f"id {n}" for n in range(10_000, 30_000)]
    meetings = Meetings(most=1_000)
    for ids in (first, second):
        for start in range(0, len(ids), 3_000):
            meetings.note(ids[start : start + 3_000])
    owners = Owners(meetings.keys(8))
    owners.note("first", first)
    owners.note("second", second)

    assert 0.01 < meetings.share < 0.1
    assert len(owners.shared()) == 8
    assert all(shared.files == ("first", "second") for shared in owners.shared())
    assert {shared.id for shared in owners.shared()} <= set(first) & set(second)


def test_nothing_is_found_where_nothing_meets() -> None:
    meetings = Meetings()
    meetings.note(["1", "2"])
    meetings.note(["3"])

    assert meetings.keys(10) == set()
