"""From a Great Expectations result to findings: one for each expectation that did not hold. Pure.

"an id occurs in one split only", 2 of 1,464 rows unexpected
    ->  Finding("critical", "an id occurs in one split only, but 2 of 1,464 rows break this", ("s0001", "s0985"))

Of very many failing rows only the first are named, and the finding says how many. Its count is always that of all.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from eqn.errors import EqnError
from eqn.quality.pieces import file_of
from eqn.quality.suites import CRITICAL
from eqn.quality.tables import as_shown
from eqn.records import Finding


def require_evaluated(results: Sequence[Any]) -> None:
    """Let results pass that say something about the data.

    Raises:
        EqnError: an expectation could not be evaluated.

    """
    failed = [result for result in results if not result.success]
    broken = [result.expectation_config.description for result in failed if _raised(result.exception_info)]
    if broken:
        raise EqnError("Great Expectations could not evaluate some of the expectations.", faults=broken)


def findings(results: Sequence[Any]) -> tuple[Finding, ...]:
    """Give the findings among the evaluated results of a suite's expectations, critical ones first."""
    found = [_finding(result) for result in results if not result.success]
    return tuple(sorted(found, key=lambda finding: finding.severity != CRITICAL))


def _finding(result: Any) -> Finding:
    expectation, outcome = result.expectation_config, result.result
    rows = outcome.get("unexpected_index_list") or []
    meta = expectation.meta or {}
    came = _shares(rows, meta["share"]) if "share" in meta else _came(outcome)
    if outcome.get("unexpected_count", 0) > len(rows):
        came += f"; {len(rows):,} of these rows are listed"
    return Finding(
        severity=expectation.severity.value,
        what=f"{expectation.description}, but {came}",
        ids=_ids(rows, names=meta.get("names", "id")),
    )


def _came(outcome: Mapping[str, Any]) -> str:
    if "unexpected_count" in outcome:
        return f"{outcome['unexpected_count']:,} of {outcome['element_count']:,} rows break this"
    observed = outcome["observed_value"]
    if observed is None:
        return "there are no rows"
    return f"it came to {observed:.3%}" if isinstance(observed, float) else f"there are {observed:,}"


def _shares(rows: Sequence[Mapping[str, Any]], column: str) -> str:
    """Say each file's share once, not each row's."""
    of_file = {file_of(row): row[column] for row in rows}
    return ", ".join(f"{share:.1%} are in {as_shown(file)}" for file, share in of_file.items())


def _ids(rows: Sequence[Mapping[str, Any]], *, names: str) -> tuple[str, ...]:
    """Name the failing rows, each name once, in the order of the table; a row without an id by its place."""
    cells = (row[names] if isinstance(row[names], str) else row["place"] for row in rows)
    return tuple(as_shown(cell) for cell in dict.fromkeys(cells))


def _raised(info: Mapping[str, Any]) -> bool:
    """Tell whether evaluating raised; the outcome stands directly in `info`, or below the metric that failed."""
    nested = [value for value in info.values() if isinstance(value, Mapping)]
    return any(outcome.get("raised_exception") for outcome in [info, *nested])
