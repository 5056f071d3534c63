"""The quality gate: run a suite with Great Expectations, leave the report, and stop a run that must not go on.

    validation = validate_corpus(corpus, docs=settings.data_docs / corpus.ref.digest)
    require(validation)                 # DataRefused when a critical expectation failed

Importing this loads neither Great Expectations nor pandas: `load_validation` and `require` do without them.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eqn.errors import DataRefused
from eqn.quality.data_docs import INDEX, load_validation, replacing, save_validation, tidy
from eqn.quality.findings import findings
from eqn.quality.suites import CRITICAL, SHOWN_COLUMNS, corpus_suite, inbox_suite
from eqn.quality.tables import InboxRow, corpus_table, inbox_table
from eqn.records import Finding, Validation

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.data_context import EphemeralDataContext
    from pandas import DataFrame

    from eqn.corpus.goemotions import Corpus

__all__ = ["InboxRow", "load_validation", "require", "validate_corpus", "validate_inbox"]


def validate_corpus(corpus: "Corpus", *, docs: Path) -> Validation:
    """Hold a labelled corpus against the contract; the report takes the place of the folder `docs`."""
    table, suite = corpus_table(corpus), corpus_suite(corpus.ref.name)
    return _validate(table, suite, name=corpus.ref.name, digest=corpus.ref.digest, docs=docs)


def validate_inbox(rows: Iterable[InboxRow], *, name: str, digest: str, docs: Path) -> Validation:
    """Hold the rows of an inbox against the contract; the report takes the place of the folder `docs`."""
    return _validate(inbox_table(rows), inbox_suite(), name=name, digest=digest, docs=docs)


def require(validation: Validation) -> None:
    """Let a validation pass in which no critical expectation failed.

    Raises:
        DataRefused: one did; the message names every finding with all its failing rows.

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


def _validate(table: "DataFrame", suite: "ExpectationSuite", *, name: str, digest: str, docs: Path) -> Validation:
    docs = docs.absolute()
    with replacing(docs) as site:
        context = _context(site)
        results = _run(context, table, suite, name=name, digest=digest)
        validation = Validation(
            subject=name,
            digest=digest,
            rows=len(table),
            expectations=len(results),
            findings=findings(results),
            data_docs=str(docs / INDEX),
        )
        context.build_data_docs()
        tidy(site)
        save_validation(site, validation)
    return validation


def _run(
    context: "EphemeralDataContext", table: "DataFrame", suite: "ExpectationSuite", *, name: str, digest: str
) -> list[Any]:
    import great_expectations as gx

    # The asset's name becomes a file name and stands unescaped in the pages.
    asset = context.data_sources.add_pandas("eqn").add_dataframe_asset(re.sub(r"[^\w.-]+", "_", name)[:80] or "_")
    definition = gx.ValidationDefinition(
        name=suite.name, data=asset.add_batch_definition_whole_dataframe("all"), suite=context.suites.add(suite)
    )
    checkpoint = gx.Checkpoint(
        name=suite.name,
        validation_definitions=[context.validation_definitions.add(definition)],
        # SUMMARY would name twenty failing rows. The query would name them all once more, in a page.
        result_format={
            "result_format": "COMPLETE",
            "unexpected_index_column_names": list(SHOWN_COLUMNS),
            "return_unexpected_index_query": False,
        },
    )
    # Great Expectations reads the name of a run as a date where it can; one of digits alone overflows the year.
    run = gx.RunIdentifier(run_name="digest-" + re.sub(r"\W", "_", digest)[:16])
    (outcome,) = (
        context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": table}, run_id=run).run_results.values()
    )
    return list(outcome.results)


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
