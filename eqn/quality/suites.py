"""The data contract as two Great Expectations suites: one for a labelled corpus, one for an inbox of texts.

    bounds, reasons, known row counts (eqn.corpus.contract)  ->  expectations over the columns of eqn.quality.tables

Pure builders: nothing is read, run or written here. Every expectation carries the sentence that stands in the report
(`description`) and its severity: `critical` stops a run, `warning` is reported.

Descriptions, columns and conditions are made of constants only. Great Expectations writes descriptions into pages
unescaped and evaluates conditions that are strings; what comes from a user must never enter either.
"""

import hashlib
from typing import TYPE_CHECKING, Any

from eqn.corpus.contract import (
    BOUNDS,
    KNOWN_ROWS,
    MAX_QUARANTINE_SHARE,
    MAX_TEXT_CHARACTERS,
    SPLITS,
    VERSION,
    Reason,
)
from eqn.emotions import EMOTIONS

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite

CRITICAL = "critical"
WARNING = "warning"

SHOWN_COLUMNS: tuple[str, ...] = ("id", "place")
"""The columns that name a failing row, in results and in the report."""

BY_PLACE = {"names": "place"}
"""Mark of the expectations whose failing rows are named by where they stand: their ids may be missing or ambiguous."""

_RULES_VERSION = 1
"""Raise it with every change of an expectation, so that results under the old rules are not taken for new ones."""


def rules_digest() -> str:
    """Identify the rules that both suites express now. Needs no Great Expectations."""
    facts = (_RULES_VERSION, VERSION, BOUNDS, KNOWN_ROWS, MAX_TEXT_CHARACTERS, MAX_QUARANTINE_SHARE, EMOTIONS)
    return hashlib.sha256(repr((facts, [reason.value for reason in Reason])).encode()).hexdigest()


def corpus_suite(name: str) -> "ExpectationSuite":
    """Build the suite for the corpus called `name`; a corpus of a known name must have its known row counts."""
    import great_expectations as gx

    rules = [*_identity(), *_texts_and_labels(), *_shares(), *_row_counts(name)]
    return gx.ExpectationSuite(name="corpus", expectations=rules)


def inbox_suite() -> "ExpectationSuite":
    """Build the suite for the texts that are to be annotated."""
    import great_expectations as gx

    return gx.ExpectationSuite(name="inbox", expectations=[*_accepted_rows(), *_quarantine()])


def _identity() -> list[Any]:
    from great_expectations import expectations as gxe

    return [
        gxe.ExpectColumnValuesToNotBeNull(column="id", severity=CRITICAL, description="every row has an id"),
        gxe.ExpectColumnValuesToBeBetween(
            column="times_in_split", max_value=1, severity=CRITICAL, description="an id occurs once in its split"
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="splits_of_id", max_value=1, severity=CRITICAL, description="an id occurs in one split only"
        ),
        # GoEmotions itself has such texts: short comments that many people write.
        gxe.ExpectColumnValuesToBeBetween(
            column="splits_of_text", max_value=1, severity=WARNING, description="a text occurs in one split only"
        ),
    ]


def _texts_and_labels() -> list[Any]:
    from great_expectations import expectations as gxe

    return [
        *_text_lengths(BOUNDS.max_text_characters),
        gxe.ExpectColumnValuesToBeBetween(
            column="label_count",
            min_value=1,
            max_value=BOUNDS.most_labels_per_row,
            severity=CRITICAL,
            description=f"every row has 1 to {BOUNDS.most_labels_per_row} labels",
        ),
        *(
            gxe.ExpectColumnValuesToBeInSet(
                column=emotion,
                value_set=[0, 1],
                severity=CRITICAL,
                description=f"a row has {emotion} once or not at all",
            )
            for emotion in EMOTIONS
        ),
    ]


def _shares() -> list[Any]:
    from great_expectations import expectations as gxe
    from great_expectations.expectations.row_conditions import Column

    least, most = BOUNDS.least_label_share, BOUNDS.most_label_share
    return [
        gxe.ExpectColumnMeanToBeBetween(
            column=emotion,
            min_value=least,
            max_value=most,
            row_condition=Column("split") == "train",
            severity=CRITICAL,
            description=f"{emotion} stands in {least:.2%} to {most:.2%} of the training rows",
        )
        for emotion in EMOTIONS
    ]


def _row_counts(name: str) -> list[Any]:
    from great_expectations import expectations as gxe
    from great_expectations.expectations.row_conditions import Column

    known = KNOWN_ROWS.get(name, {})
    return [
        gxe.ExpectTableRowCountToEqual(
            value=known[split],
            row_condition=Column("split") == split,
            severity=CRITICAL,
            description=f"the {split} split of {name} has {known[split]:,} rows",
        )
        for split in SPLITS
        if split in known
    ]


def _text_lengths(most: int, **only: Any) -> list[Any]:
    from great_expectations import expectations as gxe

    return [
        gxe.ExpectColumnValuesToBeBetween(
            column="visible_characters", min_value=1, severity=CRITICAL, description="no text is blank", **only
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="characters",
            max_value=most,
            severity=CRITICAL,
            description=f"a text has at most {most:,} characters",
            **only,
        ),
    ]


def _accepted_rows() -> list[Any]:
    """Hold the reader to its word: what it accepted keeps the contract."""
    from great_expectations import expectations as gxe
    from great_expectations.expectations.row_conditions import Column

    accepted = Column("reason").is_null()
    return [
        gxe.ExpectTableRowCountToBeBetween(
            min_value=1, row_condition=accepted, severity=CRITICAL, description="at least one row is accepted"
        ),
        gxe.ExpectColumnValuesToNotBeNull(
            column="id",
            row_condition=accepted,
            severity=CRITICAL,
            description="every accepted row has an id",
            meta=BY_PLACE,
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="times_in_file",
            max_value=1,
            severity=CRITICAL,
            description="an id is accepted once in its file",
            meta=BY_PLACE,
        ),
        *_text_lengths(MAX_TEXT_CHARACTERS, row_condition=accepted, meta=BY_PLACE),
        gxe.ExpectColumnValuesToBeBetween(
            column="files_of_id", max_value=1, severity=WARNING, description="an id is accepted in one file only"
        ),
    ]


def _quarantine() -> list[Any]:
    from great_expectations import expectations as gxe

    return [
        gxe.ExpectColumnValuesToBeInSet(
            column="reason",
            value_set=[reason.value for reason in Reason],
            severity=CRITICAL,
            description="the reason for a quarantine is one of the contract's",
            meta=BY_PLACE,
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="quarantined_share",
            max_value=MAX_QUARANTINE_SHARE,
            severity=CRITICAL,
            description=f"at most {MAX_QUARANTINE_SHARE:.0%} of a file's rows are in quarantine",
            meta=BY_PLACE | {"share": "quarantined_share"},
        ),
        gxe.ExpectColumnValuesToBeNull(
            column="reason", severity=WARNING, description="no row is in quarantine", meta=BY_PLACE
        ),
    ]
