"""Promises about the record of evaluations on test. Real MLflow."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eqn.errors import StoreUnavailable
from eqn.records import ModelRef
from eqn.registry.connection import connect
from eqn.registry.final_reports import note_evaluation
from eqn.settings import Settings
from tests.registry.conftest import Trainer


def _run_of(model: ModelRef, settings: Settings) -> Any:
    client: Any = connect(settings)
    return client.get_run(client.get_model_version(model.name, str(model.version)).run_id)


def _noted(model: ModelRef, settings: Settings) -> dict[str, str]:
    tags = _run_of(model, settings).data.tags
    return {name: value for name, value in tags.items() if name.startswith("eqn.test_")}


def test_the_run_says_when_on_what_and_how_often(settings: Settings, trained: Trainer) -> None:
    """Of the model that was measured, and of no other; the last corpus is the one that is named."""
    model, other = trained(), trained()
    assert _noted(model, settings) == {}
    note_evaluation(model.digest, "a" * 64, settings)
    first = _noted(model, settings)
    note_evaluation(model.digest, "b" * 64, settings)
    second = _noted(model, settings)

    assert (first["eqn.test_corpus"], first["eqn.test_evaluations"]) == ("a" * 64, "1")
    assert (second["eqn.test_corpus"], second["eqn.test_evaluations"]) == ("b" * 64, "2")
    times = [datetime.fromisoformat(noted["eqn.test_evaluated_at"]) for noted in (first, second)]
    assert times == sorted(times)
    assert timedelta() <= datetime.now(UTC) - times[0] < timedelta(hours=1)
    assert _noted(other, settings) == {}


def test_every_registered_version_of_a_package_is_found(settings: Settings, trained: Trainer) -> None:
    """Under another registered name too: what counts is the package."""
    model = trained()
    elsewhere = settings.registry.model_copy(update={"registered_model": "elsewhere"})
    other = settings.model_copy(update={"registry": elsewhere})
    note_evaluation(model.digest, "a" * 64, other)

    assert _noted(model, settings)["eqn.test_evaluations"] == "1"


def test_a_package_that_is_not_registered_leaves_no_trace(settings: Settings, trained: Trainer) -> None:
    """No run, no tag."""
    model = trained()
    note_evaluation("0" * 64, "a" * 64, settings)

    client: Any = connect(settings)
    assert len(client.search_runs([client.get_experiment_by_name("eqn").experiment_id])) == 1
    assert _noted(model, settings) == {}


def test_where_nothing_was_ever_tracked_nothing_is_made(bare_settings: Settings) -> None:
    """No database appears for it."""
    note_evaluation("0" * 64, "a" * 64, bare_settings)

    assert not bare_settings.home.exists()


def test_a_count_that_somebody_changed_starts_anew(settings: Settings, trained: Trainer) -> None:
    """A word in the tag is no reason to keep silent about an evaluation."""
    model = trained()
    client: Any = connect(settings)
    client.set_tag(_run_of(model, settings).info.run_id, "eqn.test_evaluations", "many")
    note_evaluation(model.digest, "a" * 64, settings)

    assert _noted(model, settings)["eqn.test_evaluations"] == "1"


def test_a_deleted_run_is_told(settings: Settings, trained: Trainer) -> None:
    """It is there, and takes no tags."""
    model = trained()
    client: Any = connect(settings)
    run = _run_of(model, settings).info.run_id
    client.delete_run(run)

    with pytest.raises(StoreUnavailable, match=f"MLflow does not take it: .*{run}.*deleted"):
        note_evaluation(model.digest, "a" * 64, settings)
    assert _noted(model, settings) == {}


def test_a_server_that_does_not_answer_is_told(settings: Settings) -> None:
    """Nobody listens on port 9 of this machine."""
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        note_evaluation("0" * 64, "a" * 64, settings.model_copy(update={"tracking_uri": "http://127.0.0.1:9"}))
