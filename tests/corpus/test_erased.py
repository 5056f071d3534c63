"""Rows on a list of erasures: read as nothing but a number, while every other row fares as ever."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from eqn.corpus.contract import Reason
from eqn.corpus.erased import NOTHING_ERASED, ErasureList, digest_of
from eqn.corpus.inputs import find_inputs
from eqn.corpus.quarantine import Quarantined, erased
from eqn.corpus.reader import FileScan, read_batches, scan

Rows = dict[int, tuple[str, str] | Quarantined]


def listed(*, ids: tuple[str, ...] = (), texts: tuple[str, ...] = ()) -> ErasureList:
    return ErasureList({digest_of(one): 1 for one in ids}, {digest_of(one): 1 for one in texts})


def read(path: Path, erasures: ErasureList = NOTHING_ERASED, *, batch_rows: int = 3) -> tuple[FileScan, Rows]:
    """Give the scan of a file, and for each row its id and text, or why it is in quarantine."""
    (file,) = find_inputs([str(path)])
    scanned = scan(file, erasures=erasures)
    rows: Rows = {}
    for batch in read_batches(file, scanned, erasures=erasures, batch_rows=batch_rows):
        refused = {item.row: item for item in batch.quarantined}
        taken = iter(zip(*(column.to_pylist() for column in batch.table.columns[:2]), strict=True))
        for number in range(batch.first_row, batch.first_row + batch.rows):
            rows[number] = refused[number] if number in refused else next(taken)
    return scanned, rows


def test_a_row_is_erased_by_its_id_or_its_text(tmp_path: Path) -> None:
    """Exactly as given: neither case nor white space is overlooked."""
    path = tmp_path / "a.csv"
    path.write_text('id,text,x\n007,one,a\n7,two,b\nx,"th,ree",c\ny,One,d\nz,one ,e\n')
    scanned, rows = read(path, listed(ids=("007", "Y"), texts=("one", "th,ree")))

    assert (scanned.accepted, scanned.quarantined) == (3, {Reason.ERASED: 2})
    assert (rows[1], rows[3]) == (erased(1), erased(3))
    assert [rows[number] for number in (2, 4, 5)] == [("7", "two"), ("y", "One"), ("z", "one ")]


def test_made_ids_count_on_over_erased_rows(tmp_path: Path) -> None:
    """Where a file has no ids, one of several equal texts may be erased, and the others keep their ids."""
    path = tmp_path / "a.txt"
    path.write_text("hi\nhi\nho\nhi\n")
    _, before = read(path)
    second = before[2]
    assert isinstance(second, tuple)
    scanned, rows = read(path, listed(ids=(second[0],)))

    assert rows == before | {2: erased(2)}
    assert scanned.quarantined == {Reason.ERASED: 1}


@pytest.mark.parametrize(
    ("name", "content", "gone"),
    [
        ("a.csv", b"id,text\n1,secret,more\n2,b\n", 1),
        ("a.csv", b'id,text\n1,b\n1,secret\n2,"secret\n', 2),
        ("a.csv", b"id,text\n1,\xff\nsecret,\xff\n,secret\n3,c\n", 2),
        ("a.csv", b'id,text,x\n1,b,"\r",more\n2,secret,a\rb,more\n', 1),
        ("a.tsv", b"id\ttext\n1\tsecret\tmore\n2\tb\n", 1),
        ("a.jsonl", b'{"id": 1, "text": "secret"}\n{"id": 1, "text": "b"}\n{"id": 2, "text": 5, "x": ["secret"]}\n', 2),
    ],
)
def test_faulty_rows_are_known_by_their_fields(tmp_path: Path, name: str, content: bytes, gone: int) -> None:
    """Whatever is wrong with a row, where its text or its id can be made out."""
    path = tmp_path / name
    path.write_bytes(content)
    _, before = read(path)
    scanned, rows = read(path, listed(ids=("secret",), texts=("secret",)))

    assert scanned.quarantined[Reason.ERASED] == gone
    assert {number: row for number, row in rows.items() if row != erased(number)}.items() <= before.items()


def test_a_repeated_row_is_known_by_a_text_with_a_lone_cr(tmp_path: Path) -> None:
    """It is part of the field, and no end of a line."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"id,text\n1,a\rb\n1,a\rb\n")
    _, before = read(path)
    repeated = before[2]
    assert isinstance(repeated, Quarantined)

    assert listed(texts=("a\rb",)).records_of_refused("1", repeated.raw, repeated.reason) == [1]


def test_fields_of_a_row_that_was_read_are_no_ids(tmp_path: Path) -> None:
    """An erased id must not take rows of others that hold the same number somewhere else."""
    path = tmp_path / "a.csv"
    path.write_text("text,rating\n,5\nfine,5\n")
    _, before = read(path)
    scanned, rows = read(path, listed(ids=("5",)))

    assert Reason.ERASED not in scanned.quarantined
    assert rows == before


_WORDS = strategies.sampled_from(["", "a", "b", "c", "a,b", 'q"', "0"])
_LINES = strategies.lists(strategies.tuples(_WORDS, _WORDS), min_size=1, max_size=12)
_NAMES = strategies.sets(_WORDS, max_size=3)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=_LINES, ids=_NAMES, texts=_NAMES, kind=strategies.sampled_from(["csv", "jsonl", "txt"]))
def test_every_other_row_fares_as_without_the_list(
    tmp_path: Path, lines: list[tuple[str, str]], ids: set[str], texts: set[str], kind: str
) -> None:
    """Rows are conserved, no erased id or text comes out, and no other row changes."""
    path = tmp_path / f"a.{kind}"
    if kind == "csv":
        cells = (",".join('"' + word.replace('"', '""') + '"' for word in line) for line in lines)
        path.write_text("\n".join(["id,text", *cells]))
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(dict(zip(("id", "text"), line, strict=True))) + "\n" for line in lines))
    else:
        path.write_text("x\n" + "".join(f"{text}\n" for _, text in lines))
    _, before = read(path)
    scanned, rows = read(path, listed(ids=tuple(ids), texts=tuple(texts)))

    gone = {number for number, row in rows.items() if row == erased(number)}
    assert scanned.rows == len(rows) == len(before)
    assert scanned.quarantined.get(Reason.ERASED, 0) == len(gone)
    assert {number: row for number, row in rows.items() if number not in gone}.items() <= before.items()
    for number, row in before.items():
        if isinstance(row, tuple):
            assert (number in gone) == (row[0] in ids or row[1] in texts)


def test_the_digest_of_a_list_is_that_of_its_content() -> None:
    """Neither the order nor the records matter."""
    assert listed(ids=("a", "b")).digest == ErasureList({digest_of("b"): 3, digest_of("a"): 1}).digest
    assert listed(ids=("a",)).digest != listed(texts=("a",)).digest
    assert not NOTHING_ERASED
