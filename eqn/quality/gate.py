"""The quality gate: run a suite with Great Expectations, leave the report, and stop a run that must not go on.

    validation = validate_corpus(corpus, docs=settings.data_docs / corpus.ref.digest)
    require(validation)                 # DataRefused when a critical expectation failed

Importing this loads neither Great Expectations nor pandas: `load_validation` and `require` do without them.
"""

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eqn.errors import DataRefused
from eqn.quality.data_docs import INDEX, load_validation, replacing, save_validation, tidy
from eqn.quality.findings import findings, require_evaluated
from eqn.quality.inbox_tables import InboxRow, inbox_tables
from eqn.quality.pieces import Pieces
from eqn.quality.suites import CRITICAL, SHOWN_COLUMNS, corpus_suite, inbox_suite
from eqn.quality.tables import corpus_table
from eqn.records import Finding, Validation

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.data_context import EphemeralDataContext
    from pandas import DataFrame

    from eqn.corpus.goemotions import Corpus

_FORMAT = {
    "result_format": "COMPLETE",  # SUMMARY would name twenty failing rows
    "unexpected_index_column_names": list(SHOWN_COLUMNS),
    "return_unexpected_index_query": False,  # it would name them all once more, in a page
}

__all__ = ["InboxRow", "load_validation", "require", "validate_corpus", "validate_inbox"]


def validate_corpus(corpus: "Corpus", *, docs: Path) -> Validation:
    """Hold a labelled corpus against the contract; the report takes the place of the folder `docs`."""
    _import_great_expectations()
    suite = corpus_suite(corpus.ref.name)
    return _validate(lambda _: [corpus_table(corpus)], suite, name=corpus.ref.name, digest=corpus.ref.digest, docs=docs)


def validate_inbox(rows: Iterable[InboxRow], *, name: str, digest: str, docs: Path) -> Validation:
    """Hold the rows of an inbox against the contract; the report takes the place of the folder `docs`.

    `rows` is read once and may be a generator; memory holds a piece of it, see `eqn.quality.inbox_tables`.
    """
    _import_great_expectations()
    return _validate(lambda scratch: inbox_tables(rows, scratch), inbox_suite(), name=name, digest=digest, docs=docs)


def require(validation: Validation) -> None:
    """Let a validation pass in which no critical expectation failed.

    Raises:
        DataRefused: one did; the message names every finding with the failing rows that it lists.

    """
    if validation.passed:
        return
    critical = sum(finding.severity == CRITICAL for finding in validation.findings)
    raise DataRefused(
        f"expected {validation.subject} to keep the data contract; "
        f"{critical} of {validation.expectations} expectations failed critically:",
        faults=[_fault(finding) for finding in validation.findings],
        todo=f"Correct the data and validate again. The report: {validation.data_docs}",
    )


def _fault(finding: Finding) -> str:
    listed = f" ({len(finding.ids):,}: {', '.join(finding.ids)})" if finding.ids else ""
    return f"{finding.severity}: {finding.what}{listed}"


def _import_great_expectations() -> None:
    """Import it as if pyspark were not installed.

    It imports pyspark for nothing, which takes seconds, warns, and ends a process that was started with `python -c`.
    """
    if "pyspark" not in sys.modules:
        sys.modules["pyspark"] = None  # type: ignore[assignment]  # how Python marks what cannot be imported
        try:
            import great_expectations  # noqa: F401  for those who import it next
        finally:
            del sys.modules["pyspark"]


def _validate(
    tables: Callable[[Path], Iterable["DataFrame"]], suite: "ExpectationSuite", *, name: str, digest: str, docs: Path
) -> Validation:
    """Hold the `tables`, which are made with the help of a folder for scratch files, against `suite`."""
    docs = docs.absolute()
    with replacing(docs) as site:
        context = _context(site)
        rows, outcome = _run(context, tables(site.parent), suite, name=name, digest=digest)
        validation = Validation(
            subject=name,
            digest=digest,
            rows=rows,
            expectations=len(outcome.results),
            findings=findings(outcome.results),
            data_docs=str(docs / INDEX),
        )
        context.build_data_docs()
        tidy(site)
        save_validation(site, validation)
    return validation


def _run(
    context: "EphemeralDataContext", tables: Iterable["DataFrame"], suite: "ExpectationSuite", *, name: str, digest: str
) -> tuple[int, Any]:
    """Give how many rows there were, and the outcome over all of them, which is in the context's store as well."""
    import great_expectations as gx

    # The asset's name becomes a file name and stands unescaped in the pages.
    asset = context.data_sources.add_pandas("eqn").add_dataframe_asset(re.sub(r"[^\w.-]+", "_", name)[:80] or "_")
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(
            name=suite.name, data=asset.add_batch_definition_whole_dataframe("all"), suite=context.suites.add(suite)
        )
    )
    # Great Expectations reads the name of a run as a date where it can; one of digits alone overflows the year.
    run = gx.RunIdentifier(run_name="digest-" + re.sub(r"\W", "_", digest)[:16])
    rows, pieces = 0, Pieces()
    for table in tables:
        rows += len(table)
        # Under one name for all pieces, so that the store keeps one outcome and the report has one page.
        outcome = definition.run(batch_parameters={"dataframe": table}, result_format=_FORMAT, run_id=run)
        require_evaluated(outcome.results)
        pieces.add(outcome)
        for column in list(table):
            del table[column]  # Great Expectations keeps the table itself, until Python happens to look for cycles
    if pieces.count > 1:
        (key,) = context.validation_results_store.list_keys()
        context.validation_results_store.set(key, pieces.outcome)
    return rows, pieces.outcome


def _context(site: Path) -> "EphemeralDataContext":
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    pages = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site)},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        data_docs_sites={"data_quality": pages},
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )
    return gx.get_context(mode="ephemeral", project_config=config)
