"""The table of promises itself: what is counted, what is told of a failure, and what is told of a row without tests."""

import json
from pathlib import Path

import pytest

from tests.faults import promises
from tests.faults.promises import NOTHING, PROMISES, Promises, Tried, lines
from tests.faults.table import PAGE, with_rows

pytest_plugins = ["pytester"]

_TESTS = """
import pytest

@pytest.mark.promise(7)
@pytest.mark.parametrize("store", ["directory", "ceph"])
def test_races(store, request):
    request.config.pluginmanager.get_plugin("promises").trials_of(request.node)(200, "races")

@pytest.mark.promise(7, 8)
def test_case():
    pass

@pytest.mark.promise(9)
def test_broken(request):
    request.config.pluginmanager.get_plugin("promises").trials_of(request.node)(3, "silences")
    assert 1 == 2, "the first line\\nthe second"

@pytest.mark.promise(10)
def test_not_here():
    pytest.skip("NOT RUN: no such server")

def test_of_no_promise():
    pass
"""
_REGISTERED = """
from tests.faults.promises import Promises

def pytest_configure(config):
    config.addinivalue_line("markers", "promise(row): a row")
    config.pluginmanager.register(Promises(), "promises")
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_tried_is_counted_and_told(
    pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """Trials add up per store; a failure, a skip and a row without any test are told as what they are."""
    kept = tmp_path / "build" / "faults.json"
    monkeypatch.setattr(promises, "KEPT", kept)
    pytester.makeconftest(_REGISTERED)
    pytester.makepyfile(test_sample=_TESTS)

    pytester.inline_run("-n", str(workers)).assertoutcome(passed=4, failed=1, skipped=1)

    table = lines(promises.read(kept))
    assert table[7] == ("1 case, 200 races (ceph), 200 races (directory)", "3 tests passed")
    assert table[8] == ("1 case", "1 test passed")
    assert table[9][0] == "nothing"
    assert table[9][1].startswith("1 FAILED: test_sample.py::test_broken")
    assert table[10] == ("nothing", "NOT RUN: Skipped: NOT RUN: no such server")
    assert table[11] == ("nothing", NOTHING)
    assert {one["test"] for one in json.loads(kept.read_text())} == {
        f"test_sample.py::test_{name}" for name in ("races[directory]", "races[ceph]", "case", "broken", "not_here")
    }


def test_a_later_run_replaces_what_was_kept_of_a_test_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(promises, "KEPT", tmp_path / "faults.json")
    monkeypatch.delattr(request.config, "workerinput", raising=False)  # a worker keeps nothing
    for names in (("one", "two"), ("two",)):
        run = Promises()
        run.tried = {name: Tried(name, (1,), "passed", trials=[(len(names), "reads", "")]) for name in names}
        run.pytest_sessionfinish(request.session)

    assert lines(promises.read(promises.KEPT))[1] == ("3 reads", "2 tests passed")


def test_a_test_that_ends_its_process_has_not_passed(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker can tell nothing; what an earlier run found must not stand."""
    kept = pytester.path / "build" / "faults.json"
    monkeypatch.setattr(promises, "KEPT", kept)
    pytester.makeconftest(_REGISTERED)
    for body, result in (("pass", "1 test passed"), ("os._exit(1)", "1 FAILED: test_sample.py::test_case")):
        pytester.makepyfile(test_sample=f"import os, pytest\n\n@pytest.mark.promise(7)\ndef test_case():\n    {body}\n")
        pytester.inline_run("-n", "1", "-p", "no:cacheprovider")
        assert lines(promises.read(kept))[7][1] == result


def test_every_row_has_its_promise() -> None:
    assert list(PROMISES) == list(range(1, 36))


def test_rows_are_written_alone_and_the_others_stay() -> None:
    """A row that was run again takes its own place in the page, and only that."""
    page = PAGE.read_text("utf-8")

    written = with_rows(page, {7: ("200 races", "2 tests passed")})

    changed = [new for old, new in zip(page.splitlines(), written.splitlines(), strict=True) if old != new]
    assert changed == [f"| 7 | {PROMISES[7]} | 200 races | 2 tests passed |"]
    assert with_rows(written, {}) == written
