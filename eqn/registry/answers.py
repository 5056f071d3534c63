"""What a person said to a promotion: kept as a tag of the candidate, and respected by every later call.

A yes is said to a pair, the candidate and the champion that it was compared with, and counts for that pair only. A no
is said to the candidate: nobody is asked about it again. Whoever answers anew replaces the earlier answer.
"""

import dataclasses
import json
from datetime import UTC, datetime

from eqn.records import Answer, as_json
from eqn.registry.connection import connect, translated
from eqn.registry.versions import ANSWER, VersionRow
from eqn.settings import Settings

_MOST_CHARACTERS = 2000
"""Of a name or a reason; what is longer is cut."""


def read_answer(row: VersionRow) -> Answer | None:
    """Give the last answer about a version; None when there is none, or somebody typed into the tag."""
    try:
        facts = json.loads(row.answer)
        return Answer(
            promote=facts["promote"] is True,
            who=str(facts["who"]),
            why=str(facts["why"]),
            candidate=row.version,
            champion=facts["champion"],
            when=str(facts["when"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def agrees(answer: Answer | None, champion: VersionRow | None) -> bool:
    """Tell whether `answer` is a yes to replacing `champion`."""
    return answer is not None and answer.promote and answer.champion == (champion.version if champion else None)


def is_written(answer: Answer, row: VersionRow) -> bool:
    """Tell whether the same person's same answer stands at the version already."""
    written = read_answer(row)
    return written is not None and dataclasses.replace(written, when="") == dataclasses.replace(_tidy(answer), when="")


def write_answer(answer: Answer, settings: Settings) -> None:
    """Write an answer down at its candidate, with the time of now."""
    dated = dataclasses.replace(_tidy(answer), when=datetime.now(UTC).isoformat(timespec="seconds"))
    text = json.dumps(as_json(dated), ensure_ascii=False)
    client = connect(settings)
    with translated(settings.tracking_uri):
        client.set_model_version_tag(settings.registry.registered_model, str(answer.candidate), ANSWER, text)


def told(answer: Answer) -> str:
    """Give an answer as a sentence."""
    tidy = _tidy(answer)
    verb = "agreed to promoting" if tidy.promote else "declined"
    when = f" on {tidy.when.partition('T')[0]}" if tidy.when else ""
    return f"{tidy.who} {verb} version {tidy.candidate}{when}{f': {tidy.why}' if tidy.why else '.'}"


def _tidy(answer: Answer) -> Answer:
    who, why = (" ".join(words.split())[:_MOST_CHARACTERS] for words in (answer.who, answer.why))
    return dataclasses.replace(answer, who=who or "Somebody", why=why)
