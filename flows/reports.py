"""Artifacts: what a person sees of a run on Prefect's pages. Words from data are escaped where they are shown."""

import html
from collections.abc import Mapping, Sequence

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from eqn.records import Decision, ReleaseRef, Validation

_MOST_IDS = 20


def show_validation(validation: Validation, *, key: str) -> None:
    """Publish the summary of a validation."""
    lines = [
        f"# {_safe(validation.subject)}: {'passed' if validation.passed else 'refused'}",
        f"{validation.rows:,} rows, {validation.expectations} expectations, digest `{validation.digest}`",
        f"Data Docs: `{validation.data_docs}`",
    ]
    for finding in validation.findings:
        ids = ", ".join(_safe(row) for row in finding.ids[:_MOST_IDS])
        more = f" and {len(finding.ids) - _MOST_IDS:,} more" if len(finding.ids) > _MOST_IDS else ""
        lines.append(f"- **{finding.severity}**: {_safe(finding.what)} ({ids}{more})")
    create_markdown_artifact("\n\n".join(lines), key=key, description="What the quality gate found")


def show_figures(rows: Sequence[Mapping[str, str]]) -> None:
    """Publish the table of models and baselines."""
    create_table_artifact([dict(row) for row in rows], key="model-figures", description="Figures on the test split")


def show_decision(decision: Decision) -> None:
    """Publish a promotion decision with its reasons."""
    verdict = "is champion now" if decision.promote else "was not promoted"
    lines = [f"# Version {decision.candidate} {verdict}", *(f"- {_safe(reason)}" for reason in decision.reasons)]
    create_markdown_artifact("\n".join(lines), key="promotion-decision", description="Why the champion is what it is")


def show_release(release: ReleaseRef) -> None:
    """Publish where a release is."""
    done = "already published as" if release.already_published else "published as"
    text = (
        f"# {_safe(release.dataset)} {done} release {release.number}\n\n"
        f"{release.rows:,} rows, {release.quarantined:,} quarantined\n\n`{release.path}`"
    )
    create_markdown_artifact(text, key=f"release-{_key(release.dataset)}", description="The annotated dataset")


def _safe(words: str) -> str:
    return html.escape(words).replace("|", "\\|")


def _key(name: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in name.lower())
