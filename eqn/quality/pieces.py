"""A suite over a table that comes in pieces: Great Expectations judges each piece, and the outcomes become one.

Counts add up and are exact; failing rows are listed up to a bound. The outcome of a single piece stays as it is, but
for that bound. This serves rules that each row keeps or breaks by itself, and bounds on the number of rows. What a rule
needs to know of other rows must stand in a column.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

LISTED = 10_000
"""An expectation lists so many of its failing rows, the first ones; where a file's share fails, also the first row of
every other such file."""

_SAMPLE = 20
"""Great Expectations' own bound on what it calls partial lists."""


class Pieces:
    """The outcome over all pieces so far."""

    def __init__(self) -> None:
        self.count = 0
        self.outcome: Any = None
        """`ExpectationSuiteValidationResult` of all rows; None before the first piece."""
        self._values: list[Counter[Any]] = []

    def add(self, outcome: Any) -> None:
        """Take in one more piece: an outcome of the same suite with COMPLETE results, none of which raised."""
        values = [Counter(result.result.get("unexpected_list") or ()) for result in outcome.results]
        if self.outcome is None:
            self.outcome, self._values = outcome, values
        else:
            for known, more in zip(self._values, values, strict=True):
                known.update(more)
            for whole, piece, known in zip(self.outcome.results, outcome.results, self._values, strict=True):
                _fold(whole, piece, known)
            _conclude(self.outcome)
        self.count += 1
        for result in self.outcome.results:
            _shorten(result)


def file_of(row: Mapping[str, Any]) -> str:
    """Give the file of a failing row of an inbox."""
    return str(row["place"].rpartition(" row ")[0])


def _fold(whole: Any, piece: Any, values: Counter[Any]) -> None:
    """Make the result `whole` that of its rows and those of `piece`; `values` counts the failing values of both."""
    rule, known, new = whole.expectation_config, whole.result, piece.result
    if "observed_value" in known:
        if rule.type != "expect_table_row_count_to_be_between":
            raise RuntimeError(f"{rule.type} cannot be told from the pieces of a table")
        known["observed_value"] += new["observed_value"]
        whole.success = _lies_between(known["observed_value"], rule.kwargs)
    else:
        whole.success = whole.success and piece.success
        known.update(_counts(known, new))
        known.update(_lists(known, new, values))


def _lies_between(count: int, bounds: Mapping[str, Any]) -> bool:
    least, most = bounds.get("min_value"), bounds.get("max_value")
    return (least is None or count >= least) and (most is None or count <= most)


def _counts(known: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Give the counts of both, with the shares that follow from them; a rule on nulls has no missing values."""
    counts = {name: known[name] + new[name] for name in ("element_count", "unexpected_count")}
    rows, unexpected, missing = *counts.values(), known.get("missing_count", 0) + new.get("missing_count", 0)
    of_present = _percent(unexpected, rows - missing)
    both = counts | {
        "missing_count": missing,
        "missing_percent": _percent(missing, rows),
        "unexpected_percent": of_present,
        "unexpected_percent_total": _percent(unexpected, rows),
        "unexpected_percent_nonmissing": of_present,
    }
    return {name: value for name, value in both.items() if name in known}


def _percent(part: int, whole: int) -> float | None:
    return part / whole * 100 if whole else None


def _lists(known: Mapping[str, Any], new: Mapping[str, Any], values: Counter[Any]) -> dict[str, Any]:
    """Give the lists of both, one after the other."""
    rows, cells = (known[name] + new[name] for name in ("unexpected_index_list", "unexpected_list"))
    common = sorted(values.most_common(_SAMPLE), key=lambda counted: (-counted[1], counted[0]))
    return {
        "unexpected_index_list": rows,
        "unexpected_list": cells,
        "partial_unexpected_index_list": rows[:_SAMPLE],
        "partial_unexpected_list": cells[:_SAMPLE],
        "partial_unexpected_counts": [{"value": value, "count": count} for value, count in common],
    }


def _conclude(outcome: Any) -> None:
    """Sum up the results anew."""
    rules, kept = len(outcome.results), sum(result.success for result in outcome.results)
    outcome.success = kept == rules
    outcome.statistics = {
        "evaluated_expectations": rules,
        "successful_expectations": kept,
        "unsuccessful_expectations": rules - kept,
        "success_percent": _percent(kept, rules),
    }
    outcome.meta["batch_markers"].pop("pandas_data_fingerprint", None)  # that of one piece


def _shorten(result: Any) -> None:
    """Drop the failing rows that are more than LISTED."""
    rows = result.result.get("unexpected_index_list") or []
    if len(rows) > LISTED:
        by_file = "share" in (result.expectation_config.meta or {})
        result.result["unexpected_index_list"] = rows[:LISTED] + (_others(rows) if by_file else [])
        result.result["unexpected_list"] = result.result["unexpected_list"][:LISTED]


def _others(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Give the first row of each file that is not among the first LISTED rows."""
    firsts = {file_of(row): row for row in reversed(rows)}
    listed = {file_of(row) for row in rows[:LISTED]}
    return [row for file, row in reversed(firsts.items()) if file not in listed]
