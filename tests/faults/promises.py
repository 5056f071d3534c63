"""The promises under faults, which tests hold them, and how often each was tried: the table of `make test-faults`.

    @pytest.mark.promise(7)                           # the row that a test holds; several are allowed
    def test_rivals(any_store, trials):
        ...
        trials(200, "races", store="directory")       # what was tried; a test that says nothing counts as one case

Every run of pytest leaves what it tried in build/faults.json, where the outcome of each test is kept until it is run
again, and prints the rows that it touched. `python -m tests.faults.table` writes them into README.md.
"""

import dataclasses
import fcntl
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

KEPT = Path(__file__).parents[2] / "build" / "faults.json"

PROMISES: Mapping[int, str] = {
    1: "A reader sees nothing or a whole release",
    2: "Every crash point recovers",
    3: "`kill -9` at any time loses and doubles no row",
    4: "The harness sees bugs: seven mutants are caught",
    5: "Data is durable before it is named",
    6: "A full disk or an I/O error publishes and damages nothing",
    7: "Two runs, one number: exactly one wins",
    8: "A lost acknowledgement is no conflict",
    9: "An unknown commit outcome deletes nothing",
    10: "A zombie writer cannot overwrite its successor",
    11: "Any order of operations keeps the invariants",
    12: "Collection never removes live data",
    13: "5xx, SlowDown, 409 and resets only cost time",
    14: "A slow or hung store is bounded",
    15: "Corrupt bytes are never delivered",
    16: "A partial upload is invisible and cleaned up",
    17: "`200 OK` with an error inside is a failure",
    18: "An unsuitable store is refused up front",
    19: "Clocks decide nothing",
    20: "Rows in = rows out + quarantined, for any bytes",
    21: "The nasty files have exact outcomes",
    22: "A CSV executes nothing in a spreadsheet",
    23: "Texts of 1 MB neither crash nor starve",
    24: "Memory is bounded by the shard, not the file",
    25: "Duplicate ids are resolved; reruns are identical",
    26: "A poisoned artifact executes nothing",
    27: "A foreign checkpoint enters once, isolated",
    28: "The best model wins a promotion race",
    29: "A crash inside a promotion is harmless",
    30: "A tampered artifact is caught",
    31: "A crashed run is noticed and resumed",
    32: "Overlapping schedules stay single",
    33: "A fresh install works",
    34: "Secrets leave no trace",
    35: "The audit of dependencies cannot pass by skipping",
}

_STORES = ("directory", "memory", "moto", "ceph", "s3")


@dataclasses.dataclass(slots=True)
class Tried:
    """What one test tried of its promises."""

    test: str
    rows: tuple[int, ...]
    outcome: str = "not run"
    """`passed`, `failed`, or `not run`."""
    reason: str = ""
    """Why it was not run, or the first line of its failure."""
    seconds: float = 0.0
    trials: list[tuple[int, str, str]] = dataclasses.field(default_factory=list)
    """How many of what, and on which store; the store may be empty."""


class Trials:
    """Counts what a test tries; given by the fixture `trials`."""

    def __init__(self, tried: list[tuple[int, str, str]], store: str) -> None:
        self._tried, self._store = tried, store

    def __call__(self, number: int, of: str, *, store: str | None = None) -> None:
        """Note that `number` things of this kind were tried, and ended as promised."""
        self._tried.append((number, of, self._store if store is None else store))


class Promises:
    """Collects what is tried, keeps it, and prints the table."""

    def __init__(self) -> None:
        self.tried: dict[str, Tried] = {}
        self.failed: set[str] = set()
        """Tests that failed; of one whose process ended no more is known."""

    def trials_of(self, item: pytest.Item) -> Trials:
        """Give the counter of a test."""
        return Trials(self._of(item).trials, _store_of(item.nodeid))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        """Note the outcome of a test that holds promises."""
        report: pytest.TestReport = yield  # type: ignore[assignment,misc]  # pluggy sends it
        if _rows(item):
            tried = self._of(item)
            tried.seconds += call.duration
            if report.failed:
                tried.outcome = "failed"
                tried.reason = (str(call.excinfo.value).splitlines() or [""])[0][:200] if call.excinfo else ""
            elif report.skipped:
                tried.reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            elif report.when == "call":
                tried.outcome = "passed"
                tried.trials = tried.trials or [(1, "case", _store_of(item.nodeid))]
            if report.when == "teardown":
                report.user_properties.append((_PROPERTY, dataclasses.asdict(tried)))
        return report  # type: ignore[return-value]  # as pluggy wants it

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take over what a test tried in a worker of pytest-xdist."""
        if report.failed:
            self.failed.add(report.nodeid)
        for name, tried in report.user_properties:
            if name == _PROPERTY:
                self.tried[report.nodeid] = _tried(tried)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Keep what was tried beside what earlier runs tried."""
        if hasattr(session.config, "workerinput") or not (
            self.tried or self.failed
        ):  # who directs the workers keeps it
            return
        KEPT.parent.mkdir(exist_ok=True)
        with KEPT.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # `make test-stack` runs two at once
            kept = {tried.test: tried for tried in read(KEPT)} | self.tried
            for test in (self.failed - self.tried.keys()) & kept.keys():
                kept[test] = dataclasses.replace(kept[test], outcome="failed", reason="its process ended", trials=[])
            KEPT.write_text(json.dumps([dataclasses.asdict(tried) for tried in kept.values()], indent=1), "utf-8")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print a line for each row that was touched."""
        if self.tried:
            terminalreporter.section("promises under faults")
            for row, (tried, result) in lines(list(self.tried.values())).items():
                if result != NOTHING:
                    terminalreporter.write_line(f"{row:>3}  {PROMISES[row]}: {tried}; {result}")

    def _of(self, item: pytest.Item) -> Tried:
        return self.tried.setdefault(item.nodeid, Tried(item.nodeid, _rows(item)))


_PROPERTY = "promise"
"""Of a test's last report: what it tried."""
NOTHING = "no test was run"
"""The result of a row without tests."""


def lines(tried: list[Tried]) -> dict[int, tuple[str, str]]:
    """Give, for every row, what was tried on which store, and how it went."""
    table = {}
    for row in PROMISES:
        tests = [one for one in tried if row in one.rows]
        counts: dict[tuple[str, str], int] = {}
        for one in tests:
            for number, of, store in one.trials if one.outcome == "passed" else ():
                counts[of, store] = counts.get((of, store), 0) + number
        said = [f"{number:,} {of}" + (f" ({store})" if store else "") for (of, store), number in sorted(counts.items())]
        table[row] = (", ".join(said) or "nothing", _result(tests))
    return table


def _result(tests: list[Tried]) -> str:
    passed = sum(one.outcome == "passed" for one in tests)
    failed = [one for one in tests if one.outcome == "failed"]
    skipped = sorted({one.reason for one in tests if one.outcome == "not run"})
    parts = [f"{passed} test{'s' * (passed > 1)} passed"] if passed else []
    parts += [f"{len(failed)} FAILED: {failed[0].test}"] if failed else []
    parts += [f"NOT RUN: {'; '.join(skipped)}"] if skipped else []
    return ", ".join(parts) or NOTHING


def read(path: Path) -> list[Tried]:
    """Give what earlier runs tried; nothing where there was none."""
    if not path.exists():
        return []
    return [_tried(one) for one in json.loads(path.read_text("utf-8"))]


def _tried(found: Mapping[str, Any]) -> Tried:
    return Tried(**{**found, "rows": tuple(found["rows"]), "trials": [tuple(count) for count in found["trials"]]})


def _rows(item: pytest.Item) -> tuple[int, ...]:
    rows = sorted({row for mark in item.iter_markers("promise") for row in mark.args})
    unknown = [row for row in rows if row not in PROMISES]
    if unknown:
        raise pytest.UsageError(f"{item.nodeid}: expected rows 1 to {max(PROMISES)}, got {unknown}")
    return tuple(rows)


def _store_of(name: str) -> str:
    """Give the store that a test's parameters name."""
    words = re.split(r"\W+", name.partition("[")[2])
    return next((store for store in _STORES if store in words), "")
