"""Label issues as work for people: files that Label Studio and Argilla import.

Label Studio: a JSON list of tasks with the suggestion as a prediction, and the labelling configuration as XML. In the
task's data, `comment_id` is what `eqn data corrected` finds the row by when the annotated tasks come back.

Argilla: one JSON object on each line, in the form of `argilla.Record.from_dict`; its dataset has a text field `text`
and a multi-label question `emotions`:

    settings = argilla.Settings(
        fields=[argilla.TextField("text")],
        questions=[argilla.MultiLabelQuestion("emotions", labels=list(EMOTIONS))],
        metadata=[argilla.TermsMetadataProperty("given"), argilla.FloatMetadataProperty("quality")],
    )

Texts are strangers': the files are ASCII, with every other character and those that mean something in HTML written as
JSON's escapes, and the configuration says that a text is a text, even if it looks like an address to load.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

from eqn.emotions import EMOTIONS, MEANINGS
from eqn.errors import UsageError
from eqn.quality.label_issues import LabelIssue
from eqn.store.new_file import write_new

if TYPE_CHECKING:
    from eqn.corpus.goemotions import Split

AGENT = "eqn label-issues"
"""Who suggests, as both tools show it."""
QUESTION = "emotions"
LABEL_STUDIO, ARGILLA = "label-studio", "argilla"
_ENDINGS = {LABEL_STUDIO: ".json", ARGILLA: ".jsonl"}

_HTML = re.compile("[<>&]")


def export_issues(tool: str, path: Path, issues: Sequence[LabelIssue], split: "Split") -> tuple[Path, ...]:
    """Write `issues` of `split` for `tool`, and give the files: for Label Studio, the configuration is the second.

    Raises:
        UsageError: the tool is unknown, the name does not end as it must, or other files are there.
        StorageFull, StoreUnavailable: it could not be written.

    """
    check_export(tool, path)
    if tool == ARGILLA:
        write_new(path, "".join(_json(record) + "\n" for record in argilla_records(issues, split)).encode("ascii"))
        return (path,)
    configuration = path.with_suffix(".xml")
    write_new(path, (_json(label_studio_tasks(issues, split)) + "\n").encode("ascii"))
    write_new(configuration, label_studio_configuration().encode("ascii"))
    return path, configuration


def check_export(tool: str, path: Path) -> None:
    """Check a tool's name and the file's ending before there is anything to write; raises UsageError."""
    if tool not in _ENDINGS:
        raise UsageError(f"expected an export for {' or '.join(_ENDINGS)}; got {tool!r}.")
    if path.suffix != _ENDINGS[tool]:
        raise UsageError(f"expected a file name that ends in {_ENDINGS[tool]} for {tool}; got {path.name!r}.")


def label_studio_tasks(issues: Sequence[LabelIssue], split: "Split") -> list[dict[str, Any]]:
    """Give Label Studio's tasks, the most doubtful one first."""
    return [
        {
            "data": _shown(issue, split) | {"comment_id": split.ids[issue.row], "text": _text(split.texts[issue.row])},
            "predictions": [
                {
                    "model_version": AGENT,
                    "score": issue.quality,
                    "result": [
                        {
                            "from_name": QUESTION,
                            "to_name": "text",
                            "type": "choices",
                            "value": {"choices": list(issue.suggested)},
                        }
                    ],
                }
            ],
        }
        for issue in issues
    ]


def label_studio_configuration() -> str:
    """Give Label Studio's labelling configuration: the text, what was given, why it is doubted, and 28 choices."""
    choices = [f"    <Choice value={quoteattr(name)} hint={quoteattr(MEANINGS[name])}/>" for name in EMOTIONS]
    lines = [
        "<View>",
        '  <Text name="text" value="$text" valueType="text"/>',
        '  <Text name="given" value="Given: $given" valueType="text" selectionEnabled="false"/>',
        '  <Text name="why" value="Doubted: $why" valueType="text" selectionEnabled="false"/>',
        f'  <Choices name="{QUESTION}" toName="text" choice="multiple" required="true" showInline="true">',
        *choices,
        "  </Choices>",
        "</View>",
    ]
    return "\n".join(lines) + "\n"


def argilla_records(issues: Sequence[LabelIssue], split: "Split") -> list[dict[str, Any]]:
    """Give Argilla's records, the most doubtful one first; a record's id is the comment's."""
    return [
        {
            "id": split.ids[issue.row],
            "fields": {"text": _text(split.texts[issue.row])},
            "metadata": {"given": list(issue.given), "quality": issue.quality},
            "suggestions": {
                QUESTION: {"value": list(issue.suggested), "score": list(issue.scores), "agent": AGENT},
            },
        }
        for issue in issues
    ]


def _shown(issue: LabelIssue, split: "Split") -> dict[str, Any]:
    """Give what a person sees beside the text."""
    return {
        "split": split.name,
        "quality": issue.quality,
        "given": ", ".join(issue.given),
        "why": "; ".join(map(str, issue.changes)),
    }


def _text(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")  # PostgreSQL, below both tools, refuses NUL in JSON


def _json(value: Mapping[str, Any] | Sequence[Any]) -> str:
    # < > & stand only inside strings in JSON, so that they can be escaped afterwards.
    return _HTML.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, ensure_ascii=True, allow_nan=False))
