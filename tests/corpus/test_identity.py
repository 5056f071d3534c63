"""Promises about ids."""

import hashlib
import sys
from collections import defaultdict
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eqn.corpus import identity
from eqn.corpus.contract import Reason
from eqn.corpus.identity import Identity, IdentityGiver, IdentityScan, duplicates
from eqn.corpus.rows import Fault
from tests.memory import peak_bytes

_Pairs = list[tuple[str, str]]


def _not_again() -> _Pairs:
    raise AssertionError("the file was read again")


def _decide(rows: _Pairs) -> list[str | Reason]:
    scan = IdentityScan()
    for identifier, text in rows:
        scan.note(identifier, text, given=True)
    found = scan.finish(given=True, again=lambda: rows)
    giver = IdentityGiver(found)
    outcomes = [giver.give(identifier, text) for identifier, text in rows]
    reasons = [outcome.reason for outcome in outcomes if isinstance(outcome, Fault)]
    assert duplicates(found) == {reason: reasons.count(reason) for reason in set(reasons)}
    return [outcome.reason if isinstance(outcome, Fault) else outcome for outcome in outcomes]


@pytest.mark.promise(25)
def test_of_equal_repeats_the_first_stays_and_of_a_conflict_none() -> None:
    """The worked example: 1 is repeated, 2 contradicts itself, 3 is alone."""
    rows = [("2", "x"), ("1", "a"), ("3", "a"), ("1", "a"), ("2", "x"), ("2", "y"), ("1", "a")]
    repeated, conflicting = Reason.REPEATED_ROW, Reason.CONFLICTING_ID
    assert _decide(rows) == [conflicting, "1", "3", repeated, conflicting, conflicting, repeated]


@pytest.mark.promise(25)
@given(st.lists(st.tuples(st.sampled_from("123456"), st.sampled_from(["x", "y", "xy"])), max_size=30))
def test_the_decision_is_that_of_the_simple_rule(rows: _Pairs) -> None:
    """Sorting digests gives what remembering every row in a dictionary gives."""
    texts: defaultdict[str, set[str]] = defaultdict(set)
    for identifier, text in rows:
        texts[identifier].add(text)
    seen: set[str] = set()
    expected: list[str | Reason] = []
    for identifier, _ in rows:
        if len(texts[identifier]) > 1:
            expected.append(Reason.CONFLICTING_ID)
        else:
            expected.append(Reason.REPEATED_ROW if identifier in seen else identifier)
        seen.add(identifier)
    assert _decide(rows) == expected


@pytest.mark.promise(25)
def test_repeats_are_found_across_the_windows_of_the_comparison() -> None:
    """Many rows, many of them equal: nothing is lost between two windows."""
    rows = [(str(number % 50_000), "t") for number in range(150_000)]
    outcomes = _decide(rows)
    assert len(rows) > 2 * identity._WINDOW
    assert outcomes[:50_000] == [identifier for identifier, _ in rows[:50_000]]
    assert set(outcomes[50_000:]) == {Reason.REPEATED_ROW}


def test_ids_that_all_differ_are_not_looked_at_again() -> None:
    """Nor is anything kept of them."""
    scan = IdentityScan()
    for number in range(1_000):
        scan.note(str(number), "t", given=True)
    assert scan.finish(given=True, again=_not_again) == Identity(given=True)


@pytest.mark.promise(25)
def test_ids_that_only_look_equal_at_first_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of 8 bytes can meet by chance: the second look goes by 16, and finds the real repeats among them."""

    def alike(identifier: str) -> bytes:
        return bytes(8) + hashlib.blake2b(identifier.encode(), digest_size=8).digest()

    monkeypatch.setattr(identity, "id_digest", alike)
    assert _decide([("1", "a"), ("2", "a"), ("3", "b")]) == ["1", "2", "3"]
    repeated, conflicting = Reason.REPEATED_ROW, Reason.CONFLICTING_ID
    assert _decide([("1", "a"), ("2", "x"), ("2", "y"), ("1", "a")]) == ["1", conflicting, conflicting, repeated]


@given(st.lists(st.integers(0, 12), max_size=30))
def test_repeated_keys_come_once_each_and_in_order(numbers: list[int]) -> None:
    """What a dictionary of counts says, as sorted integers."""
    keys = bytearray(b"".join(number.to_bytes(8, sys.byteorder) for number in numbers))
    expected = sorted({number for number in numbers if numbers.count(number) > 1})
    assert list(memoryview(identity.repeated(keys)).cast("Q")) == expected


def _peak(identifiers: Iterable[str | None], texts: Iterable[str], *, given: bool) -> int:
    scan = IdentityScan()

    def work() -> None:
        for identifier, text in zip(identifiers, texts, strict=True):
            scan.note(identifier, text, given=given)
        scan.finish(given=given, again=_not_again)

    return peak_bytes(work)


@pytest.mark.promise(24)
def test_a_scan_takes_few_bytes_for_a_row() -> None:
    """8 for a key and 1 to compare, beside what their list takes ahead; 8 for each text that comes again."""
    rows = 20_000
    assert _peak(map(str, range(rows)), ("t" for _ in range(rows)), given=True) < 12 * rows
    assert _peak((None for _ in range(rows)), map(str, range(rows)), given=False) < 12 * rows
    assert _peak((None for _ in range(rows)), (str(number // 2) for number in range(rows)), given=False) < 19 * rows


@pytest.mark.promise(25)
def test_without_ids_a_text_and_its_occurrence_make_one() -> None:
    """Equal texts all stay; the id is the same in every file and on every machine."""
    texts = ["a", "b", "a", "a", "c"]
    scan = IdentityScan()
    for text in texts:
        scan.note(None, text, given=False)
    found = scan.finish(given=False, again=_not_again)
    giver = IdentityGiver(found)
    prefix = {text: hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts}
    assert [giver.give(None, text) for text in texts] == [
        f"{prefix['a']}-1",
        f"{prefix['b']}-1",
        f"{prefix['a']}-2",
        f"{prefix['a']}-3",
        f"{prefix['c']}-1",
    ]
    assert scan.noted == 5
    assert not duplicates(found)


def test_rows_before_the_first_id_are_counted_as_missing_theirs() -> None:
    """Be the first id in a row that is good, or in one that is not."""
    scan = IdentityScan()
    scan.note(None, "a", given=False)
    scan.note("1", "b", given=True)
    scan.note(None, "c", given=True)
    scan.finish(given=True, again=_not_again)
    assert (scan.missing, scan.noted) == (2, 1)
    scan = IdentityScan()
    scan.note(None, "a", given=False)
    scan.finish(given=True, again=_not_again)
    assert (scan.missing, scan.noted) == (1, 0)
