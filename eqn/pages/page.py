"""The release page as one HTML file that needs nothing else: styles and script stand in it, and nothing may be fetched.

What browsers may run is named by its digest in a Content-Security-Policy, so that even a text that got past the
escaping could run nothing.
"""

import base64
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from eqn.emotions import EMOTIONS, INDEX, MEANINGS, SENTIMENT, SENTIMENT_OF
from eqn.pages import charts, findings, wording
from eqn.pages.changes import changes
from eqn.pages.examples import strengths
from eqn.pages.facts import Facts
from eqn.pages.safe_text import excerpt, halves, shown, shown_value
from eqn.pages.tally import BINS, conditional, pairs
from eqn.release.manifest import CARD, CROISSANT, manifest_key
from eqn.store.interface import ObjectStore

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
LEAST_MEETINGS = 5
"""Texts in which two emotions must meet before their pair is told."""
PAIRS, CHANGES, MEASURES, FILES = 10, 8, 8, 25
"""Rows of the page's longer tables."""
TEXT_CHARACTERS, FIRST_CHARACTERS = 500, 280
"""What is shown of an example's text, and how much of that before it is unfolded."""


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Something else of the release that the page leads to."""

    name: str
    meaning: str
    address: str
    """Where it is, as the store gives it to readers."""
    link: str
    """Where it is from the page; empty where the page does not lie beside the release."""


def release_page(store: ObjectStore, facts: Facts, *, beside: bool = True) -> str:
    """Write the page; `beside` the release its links are relative, and elsewhere it gives addresses as text."""
    environment = template_environment()
    style, script = ((TEMPLATES / name).read_text("utf-8") for name in ("page.css", "page.js"))
    manifest, tally = facts.manifest, facts.tally
    order = findings.by_share(tally)
    found_pairs = pairs(tally, least_rows=LEAST_MEETINGS)
    found_changes = (
        changes(facts.before, tally.sums, fresh=facts.fresh) if facts.before.rows and tally.sums.rows else []
    )
    return environment.get_template("release.html.j2").render(
        style=trusted(style),
        script=trusted(script),
        style_digest=policy_digest(style),
        script_digest=policy_digest(script),
        facts=facts,
        manifest=manifest,
        tally=tally,
        sums=tally.sums,
        order=order,
        groups={group: [name for name in order if SENTIMENT_OF[name] == group] for group in SENTIMENT},
        met=[name for group in SENTIMENT for name in order if SENTIMENT_OF[name] == group and _labelled(facts, name)],
        unmet=[name for name in EMOTIONS if not _labelled(facts, name)],
        longest=max((tally.sums.share(name) for name in EMOTIONS), default=0.0),
        most=int(tally.histogram.max()),
        pairs=found_pairs[:PAIRS],
        together=findings.together(found_pairs),
        changes=found_changes,
        examples=_examples(facts, order),
        places=_places(store, facts, beside=beside),
        data_address=store.address(f"{manifest.path}/data"),
        inputs=sorted(manifest.inputs, key=lambda entry: -entry.rows)[:FILES],
        options=dict(sorted(manifest.options.items())),
    )


def template_environment() -> "Environment":
    """Give what renders the templates: whatever they print is escaped, and what nobody gave them is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown_value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "BINS": BINS,
        "CHANGES": CHANGES,
        "FIRST": FIRST_CHARACTERS,
        "INDEX": INDEX,
        "LEAST_MEETINGS": LEAST_MEETINGS,
        "MEANINGS": MEANINGS,
        "MEASURES": MEASURES,
        "SENTIMENT_OF": SENTIMENT_OF,
        "TEXT": TEXT_CHARACTERS,
        "charts": charts,
        "conditional": conditional,
        "findings": findings,
        "strengths": strengths,
    }
    for name in ("percent", "exact_percent", "points", "counted", "listed", "capitalised", "day", "minute", "size"):
        environment.filters[name] = getattr(wording, name)
    environment.filters |= {"times": findings.times, "excerpt": _excerpt, "halves": halves, "quoted": json.dumps}
    return environment


def _excerpt(text: str, characters: int) -> str:
    return excerpt(shown(text), characters)


def _labelled(facts: Facts, name: str) -> bool:
    return bool(facts.tally.sums.labelled[INDEX[name]])


def _examples(facts: Facts, order: list[str]) -> list[dict[str, Any]]:
    """Give for each emotion that has any its examples: strongest, only just labelled, only just missed."""
    groups = []
    for name in order:
        strongest = facts.examples.strongest[name].examples
        weakest = [one for one in facts.examples.just_labelled[name].examples if one not in strongest]
        missed = facts.examples.just_missed[name].examples
        if strongest or missed:
            groups.append({"emotion": name, "strongest": strongest, "weakest": weakest, "missed": missed})
    return groups


def _places(store: ObjectStore, facts: Facts, *, beside: bool) -> list[Place]:
    """Give what else there is of the release, by the page's own place reports/<n>/index.html."""
    manifest = facts.manifest
    keys = [
        ("Dataset card", "what the columns mean", f"{manifest.path}/{CARD}"),
        ("Card for machines", "the same as Croissant", f"{manifest.path}/{CROISSANT}"),
        ("Data Docs", "what the check of the input found", f"{manifest.path}/quality/index.html"),
        ("Manifest", "every file with its digest", manifest_key(manifest.dataset, manifest.release)),
    ]
    there = {f"{manifest.path}/{name}" for name in manifest.files} | {manifest_key(manifest.dataset, manifest.release)}
    return [
        Place(
            name,
            meaning,
            store.address(key),
            f"../../{quote(key.removeprefix(f'{manifest.dataset}/'))}" if beside else "",
        )
        for name, meaning, key in keys
        if key in there
    ]


def trusted(content: str) -> Any:
    """Give a file of ours as markup that is not escaped again."""
    from markupsafe import Markup

    return Markup(content)  # noqa: S704  it comes with this package


def policy_digest(content: str) -> str:
    """Give what a Content-Security-Policy calls the content of an element by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
