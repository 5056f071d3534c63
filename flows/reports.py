"""Artifacts: what a person sees of a run on Prefect's pages. Words from data are escaped where they are shown."""

import base64
import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from eqn.records import Decision, Drift, ModelRef, ReleaseRef, Validation
from eqn.settings import load_settings

_MOST_IDS = 20
_MOST_LETTERS = 200
_LARGEST_FIGURE = 2**18
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~:@/])")
_LINE_ENDS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_TURNING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def show_validation(validation: Validation, *, key: str) -> None:
    """Publish the summary of a validation."""
    from eqn.pages.links import link_to_report

    lines = [
        f"# {safe(validation.subject)}: {'passed' if validation.passed else 'refused'}",
        f"{validation.rows:,} rows, {validation.expectations} expectations, digest `{validation.digest}`",
        *_linked("Data Docs", link_to_report(load_settings(), validation.data_docs), validation.data_docs),
    ]
    for finding in validation.findings:
        ids = ", ".join(safe(row) for row in finding.ids[:_MOST_IDS])
        more = ", ..." if len(finding.ids) > _MOST_IDS else ""  # how many there are in all, the sentence says
        listed = f" ({ids}{more})" if ids else ""
        lines.append(f"- **{safe(finding.severity)}**: {safe(finding.what, letters=1000)}{listed}")
    create_markdown_artifact("\n\n".join(lines), key=key, description="What the quality gate found")


def show_figures(rows: Sequence[Mapping[str, str]]) -> None:
    """Publish the table of models and baselines."""
    create_table_artifact([dict(row) for row in rows], key="model-figures", description="Figures on the test split")


def show_model(model: ModelRef) -> None:
    """Publish which model a training gave, with the figure of its emotions where the package holds one."""
    lines = [f"# {safe(str(model))}", f"Package {place(model.path)}, digest `{model.digest}`"]
    figure = Path(model.path, "emotions.png")
    if figure.is_file() and figure.stat().st_size <= _LARGEST_FIGURE:
        image = base64.b64encode(figure.read_bytes()).decode("ascii")
        lines.append(f"![F1 of each emotion](data:image/png;base64,{image})")
    create_markdown_artifact("\n\n".join(lines), key="trained-model", description="What the training gave")


def show_decision(decision: Decision) -> None:
    """Publish a promotion decision with its reasons."""
    verdict = "waits for a person" if decision.held else "was not promoted"
    verdict = "is champion now" if decision.promote else verdict
    lines = [f"# Version {decision.candidate} {verdict}", *(f"- {safe(reason)}" for reason in decision.reasons)]
    create_markdown_artifact("\n".join(lines), key="promotion-decision", description="Why the champion is what it is")


def show_comparison(rows: Sequence[Mapping[str, str]]) -> None:
    """Publish the candidate's figures beside the champion's."""
    if rows:
        create_table_artifact(
            [dict(row) for row in rows],
            key="candidate-and-champion",
            description="Figures on the dev split, as they were registered",
        )


def show_drift(drift: Drift) -> None:
    """Publish how far a release is from what it is compared with."""
    all_measures = sum(len(comparison.measures) for comparison in drift.comparisons)
    verdict = f"{len(drift.breaches)} of {all_measures} measures drifted" if drift.breaches else "no drift"
    lines = [f"# {safe(drift.dataset)} release {drift.release}: {verdict}", f"{drift.rows:,} rows"]
    lines += [f"- {safe(note)}" for note in drift.notes]
    for comparison in drift.comparisons:
        lines.append(f"## Beside {safe(comparison.against)}, {comparison.rows:,} rows")
        rows = [
            f"| {safe(measure.name)} | {safe(measure.measure)} | {measure.value:.3f} | {measure.threshold:.3f} "
            f"| {'**drift**' if measure.breached else ''} |"
            for measure in sorted(comparison.measures, key=lambda measure: not measure.breached)
        ]
        lines.append("\n".join(["| what | distance | value | limit | |", "|---|---|---|---|---|", *rows]))
        told = [measure for measure in comparison.measures if measure.breached and measure.detail]
        lines += [f"- **{safe(measure.name)}**: {safe(measure.detail, letters=1000)}" for measure in told]
    create_markdown_artifact("\n\n".join(lines), key=_key("drift", drift.dataset), description="Drift of the release")


def show_release(release: ReleaseRef, *, page: str = "") -> None:
    """Publish where a release, its page and its Data Docs are, as links where a page server is known."""
    from eqn.pages.links import link_to_page, link_to_release_docs

    settings = load_settings()
    done = "already published as" if release.already_published else "published as"
    folder, _, name = release.path.rstrip("/").rpartition("/")
    lines = [
        f"# {safe(release.dataset)} {done} release {release.number}",
        f"{release.rows:,} rows, {release.quarantined:,} quarantined",
        f"Data: below {place(folder)}, in",  # a line that is too long is cut off on the page
        place(name),
        *(_linked("Page", link_to_page(settings, release), page) if page else []),
        *_linked("Data Docs", link_to_release_docs(settings, release), ""),
    ]
    create_markdown_artifact(
        "\n\n".join(lines), key=_key("release", release.dataset), description="The annotated dataset"
    )


def safe(words: str, *, letters: int = _MOST_LETTERS) -> str:
    """Give `words` as one line of Markdown that shows them and does nothing else; long ones are cut."""
    line = _TURNING.sub("\N{REPLACEMENT CHARACTER}", _LINE_ENDS.sub(" ", words))
    cut = line if len(line) <= letters else f"{line[:letters]}..."
    return _MARKDOWN.sub(r"\\\1", html.escape(cut, quote=False))


def place(address: str) -> str:
    """Give a link for an address that a browser opens, else the address to copy."""
    if _opens(address):
        return f"<{address}>"
    return f"`{_LINE_ENDS.sub(' ', address).replace('`', '')}`"


def _opens(address: str) -> bool:
    """Tell whether a browser opens the address, and nothing in it ends a link in Markdown."""
    return bool(re.fullmatch(r"https?://[!-~]+", address)) and not set(address) & set("<>()\"'`\\")


def _linked(name: str, link: str, address: str) -> list[str]:
    """Give the lines that lead to a page: its link where there is one, and where it lies."""
    if not link:
        return [f"{name}: {place(address)}"] if address else []
    # By its name: an address that is longer than a line is cut off on the page.
    shown = f"[{name}](<{link}>)" if _opens(link) else f"{name}: {place(link)}"
    return [shown, *([f"It lies in {place(address)}"] if address else [])]


def _key(subject: str, name: str) -> str:
    return f"{subject}-" + re.sub("[^a-z0-9]", "-", name.lower())
