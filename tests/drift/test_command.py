"""`eqn release drift`: what people and machines are shown, and what hostile words can do to a terminal."""

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from eqn.cli import run
from eqn.drift.records import read_drift
from eqn.records import ReleaseRef, as_json
from eqn.settings import Settings
from eqn.store.interface import open_store
from tests.drift.conftest import COMMENTS, OTHERS

Publish = Callable[..., ReleaseRef]


def call(*arguments: object) -> tuple[int, str, str]:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = run([str(argument) for argument in arguments])
    return code, out.getvalue(), err.getvalue()


@pytest.fixture
def drifted(settings: Settings, publish_texts: Publish) -> Settings:
    """Two releases, the second one with other texts."""
    publish_texts(COMMENTS[:150])
    publish_texts([f"{text} [red]\N{RIGHT-TO-LEFT OVERRIDE}evil\x1b[2Jword" for text in OTHERS])
    return settings


def test_people_see_what_drifted_first(drifted: Settings) -> None:
    """With how much, where the limit is, and words as text that neither rich nor the terminal obeys."""
    code, out, _ = call("release", "drift", "letters")

    assert code == 0
    assert "letters release 2, 150 rows: " in out
    assert "measures beyond their limits." in out
    assert "beside release 1, 150 rows" in out
    assert "beside training data" in out
    assert "parcel" in out
    assert not {"\x1b", "\N{RIGHT-TO-LEFT OVERRIDE}"} & set(out)
    assert "more are smaller; --all shows them" in out
    assert "more are smaller" not in call("release", "drift", "letters", "--all")[1]


def test_machines_get_the_record(drifted: Settings) -> None:
    """One JSON value, with the breaches said in sentences, equal to what is kept."""
    code, out, _ = call("release", "drift", "letters", "2", "--json")

    said = json.loads(out)
    kept = read_drift(open_store(drifted.store), "letters", 2)
    assert code == 0
    assert kept is not None
    assert said == as_json(kept) | {"breaches": list(kept.breaches)}
    assert said["breaches"]


def test_mistakes_are_told(settings: Settings, publish_texts: Publish, tmp_path: Path) -> None:
    """No such dataset, no such release, itself, and a store that is elsewhere and empty."""
    publish_texts(COMMENTS[:5])

    assert call("release", "drift", "nothing")[0] == 2
    assert call("release", "drift", "letters", "9")[0] == 2
    assert call("release", "drift", "letters", "--against", "1")[0] == 2
    assert call("release", "drift", "letters", "--store", tmp_path / "empty")[0] == 2
    code, out, _ = call("release", "drift", "letters")
    assert (code, "nothing could be compared" in out, "too few rows" in out) == (0, True, True)
