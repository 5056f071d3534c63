"""Measuring the drift of real releases: what is compared, what cannot be and why, and what is kept."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from eqn.annotation.annotator import Annotator
from eqn.drift.compare import PROPERTIES
from eqn.drift.measure import measure_drift
from eqn.drift.profiles import profile_key, release_profile
from eqn.drift.records import drift_key, read_drift
from eqn.drift.training import training_key
from eqn.emotions import EMOTIONS
from eqn.errors import ArtifactRefused, UsageError
from eqn.records import Drift, ReleaseRef
from eqn.release.catalog import read_manifest
from eqn.settings import DriftPolicy, Settings
from eqn.store.directory import DirectoryStore
from tests.drift.conftest import COMMENTS, OTHERS

Publish = Callable[..., ReleaseRef]


@pytest.fixture
def store(settings: Settings) -> DirectoryStore:
    return DirectoryStore(Path(settings.store))


def against(drift: Drift) -> list[str]:
    return [comparison.against for comparison in drift.comparisons]


def breached(drift: Drift, place: int = 0) -> set[str]:
    return {measure.name for measure in drift.comparisons[place].measures if measure.breached}


def with_policy(settings: Settings, **changes: object) -> Settings:
    registry = settings.registry.model_copy(update={"drift": DriftPolicy.model_validate(changes)})
    return settings.model_copy(update={"registry": registry})


def test_more_of_the_same_is_no_drift(settings: Settings, publish_texts: Publish, store: DirectoryStore) -> None:
    """Every property is compared with the release before and with the training data; it is kept as it was given."""
    publish_texts(COMMENTS[0:300:2])
    publish_texts(COMMENTS[1:300:2])

    drift = measure_drift(settings, "letters")

    assert (drift.dataset, drift.release, drift.rows, drift.notes) == ("letters", 2, 150, ())
    assert against(drift) == ["release 1", "training data"]
    assert [tuple(measure.name for measure in one.measures) for one in drift.comparisons] == [PROPERTIES] * 2
    assert drift.breaches == ()
    assert read_drift(store, "letters", 2) == drift


def test_other_texts_are_drift(settings: Settings, publish_texts: Publish) -> None:
    """From the release before and from the training data, with sentences that say so."""
    publish_texts(COMMENTS[:150])
    publish_texts(OTHERS)

    drift = measure_drift(settings, "letters")

    assert {"text length", "vocabulary", "embedding"} <= breached(drift) & breached(drift, 1)
    assert any(breach.startswith("embedding: separability") for breach in drift.breaches)
    vocabulary = next(measure for measure in drift.comparisons[0].measures if measure.name == "vocabulary")
    assert "parcel" in vocabulary.detail


def test_new_files_are_compared_by_themselves(settings: Settings, publish_texts: Publish) -> None:
    """Among many files that were there before, what is new would be lost."""
    publish_texts(COMMENTS[:700], COMMENTS[700:1100])
    publish_texts(COMMENTS[:700], COMMENTS[700:1100], OTHERS[:110])

    drift = measure_drift(settings, "letters")

    assert against(drift) == ["release 1", "release 1, by the new files alone", "training data"]
    assert "embedding" not in breached(drift)
    assert "embedding" in breached(drift, 1)


def test_the_first_release_has_nothing_to_be_compared_with_but_the_training_data(
    settings: Settings, publish_texts: Publish
) -> None:
    """That is said, and no fault."""
    publish_texts(COMMENTS[:150])

    drift = measure_drift(settings, "letters", 1)

    assert against(drift) == ["training data"]
    assert len(drift.notes) == 1
    assert "first" in drift.notes[0]


@pytest.mark.parametrize("rows", [0, 1, 99])
def test_few_rows_are_a_note_and_no_alarm(
    settings: Settings, publish_texts: Publish, store: DirectoryStore, rows: int
) -> None:
    """A release of three rows, or none, differs from everything."""
    publish_texts(COMMENTS[:150])
    publish_texts(OTHERS[:rows] or [" "])  # one row in quarantine, none out

    drift = measure_drift(settings, "letters")

    assert (drift.rows, drift.comparisons, drift.breaches) == (rows, (), ())
    assert "too few rows" in drift.notes[0]
    assert read_drift(store, "letters", 2) == drift


def test_a_small_reference_is_a_note_too(settings: Settings, publish_texts: Publish) -> None:
    """The training data is there all the same."""
    publish_texts(COMMENTS[:5])
    publish_texts(COMMENTS[:150])

    drift = measure_drift(settings, "letters")

    assert against(drift) == ["training data"]
    assert "Too few rows to compare with release 1" in drift.notes[0]


def test_the_policy_names_the_reference(settings: Settings, publish_texts: Publish) -> None:
    """The release before, the first, or one by its number, which may be the release itself or missing."""
    for start in (0, 150, 300):
        publish_texts(COMMENTS[start : start + 150])

    assert against(measure_drift(settings, "letters", 3))[0] == "release 2"
    assert against(measure_drift(with_policy(settings, reference="first"), "letters", 3))[0] == "release 1"
    assert against(measure_drift(with_policy(settings, reference=1), "letters", 3))[0] == "release 1"
    itself = measure_drift(with_policy(settings, reference=3), "letters", 3)
    missing = measure_drift(with_policy(settings, reference=9), "letters", 3)
    assert against(itself) == against(missing) == ["training data"]
    assert "itself" in itself.notes[0]
    assert "release 9" in missing.notes[0]


def test_another_reference_by_hand_is_a_look(settings: Settings, publish_texts: Publish, store: DirectoryStore) -> None:
    """What the policy's comparison said stays; what cannot be compared is refused."""
    for start in (0, 150, 300):
        publish_texts(COMMENTS[start : start + 150])
    kept = measure_drift(settings, "letters")

    looked = measure_drift(settings, "letters", against=1)

    assert against(looked)[0] == "release 1"
    assert read_drift(store, "letters", 3) == kept
    with pytest.raises(UsageError, match="another release than 3"):
        measure_drift(settings, "letters", against=3)
    with pytest.raises(UsageError, match="release 9"):
        measure_drift(settings, "letters", against=9)


def test_a_damaged_release_before_is_passed_over(
    settings: Settings, publish_texts: Publish, store: DirectoryStore
) -> None:
    """The one before it is the reference, and a note says why."""
    for start in (0, 150, 300):
        publish_texts(COMMENTS[start : start + 150])
    store.put("letters/releases/2.json", b"{}")

    drift = measure_drift(settings, "letters")

    assert against(drift)[0] == "release 1"
    assert "release 2 cannot be read" in drift.notes[0]


def test_damaged_parts_are_refused_or_noted(settings: Settings, publish_texts: Publish, store: DirectoryStore) -> None:
    """Those of the release itself are an error, those of the reference leave the training data."""
    for start in (0, 150):
        publish_texts(COMMENTS[start : start + 150])
    store.put(f"{read_manifest(store, 'letters', 1).path}/data/part-00000.parquet", b"damaged")

    drift = measure_drift(settings, "letters")

    assert against(drift) == ["training data"]
    assert "cannot be read" in drift.notes[0]
    with pytest.raises(ArtifactRefused, match="not as it was published"):
        measure_drift(settings, "letters", against=1)
    with pytest.raises(ArtifactRefused, match="not as it was published"):
        measure_drift(settings, "letters", 1)


def test_the_next_comparison_needs_the_old_release_no_more(
    settings: Settings, publish_texts: Publish, store: DirectoryStore
) -> None:
    """Its profile is kept; one that does not fit its manifest is made again."""
    publish_texts(COMMENTS[:150])
    manifest = read_manifest(store, "letters", 1)
    profile = release_profile(store, manifest)
    parts = f"{manifest.path}/data/part-00000.parquet"
    content = store.get(parts)
    store.delete(parts)

    assert release_profile(store, manifest) == profile

    store.put(parts, content)
    facts = json.loads(store.get(profile_key("letters", 1)))
    store.put(profile_key("letters", 1), json.dumps(facts | {"of": "another manifest", "rows": 7}).encode())
    assert release_profile(store, manifest) == profile


def test_without_the_model_the_rest_is_compared(
    settings: Settings, publish_texts: Publish, store: DirectoryStore, annotators: tuple[Annotator, Annotator]
) -> None:
    """A release by a model in some directory of somebody's machine."""
    store.delete(training_key(annotators[0].package.digest))
    publish_texts(COMMENTS[:150], at_hand=False)
    publish_texts(OTHERS, at_hand=False)

    drift = measure_drift(settings, "letters")

    assert against(drift) == ["release 1"]
    assert tuple(measure.name for measure in drift.comparisons[0].measures) == PROPERTIES[:-1]
    assert len(drift.notes) == 1
    assert "not at hand" in drift.notes[0]


def test_the_profile_of_the_training_data_is_made_once_for_all(
    settings: Settings, publish_texts: Publish, store: DirectoryStore, annotators: tuple[Annotator, Annotator]
) -> None:
    """By whoever has model and corpus at hand; others who share the store need neither."""
    publish_texts(COMMENTS[:150])
    key = training_key(annotators[0].package.digest)
    store.delete(key)
    first = measure_drift(settings, "letters")
    content = store.get(key)
    shutil.rmtree(settings.models / annotators[0].package.digest)

    again = measure_drift(settings, "letters")

    assert against(again) == against(first) == ["training data"]
    assert again.comparisons[0].measures == first.comparisons[0].measures[:-1]  # embeddings need the model
    assert store.get(key) == content


def test_a_model_of_unknown_training_data_is_a_note(
    settings: Settings, publish_texts: Publish, annotators: tuple[Annotator, Annotator], tmp_path: Path
) -> None:
    """The corpora at hand are other ones."""
    stranger = tmp_path / "stranger"
    shutil.copytree(annotators[0].package.path, stranger)
    facts = json.loads((stranger / "eqn.json").read_text("utf-8"))
    facts["corpus"]["digest"] = "0" * 64
    (stranger / "eqn.json").write_text(json.dumps(facts), "utf-8")
    publish_texts(COMMENTS[:150], annotator=Annotator.load(stranger))

    drift = measure_drift(settings, "letters")

    assert drift.comparisons == ()
    assert any("not at hand" in note and "EQN_GOEMOTIONS" in note for note in drift.notes)


def test_a_new_model_reads_the_old_texts_anew(
    settings: Settings, publish_texts: Publish, annotators: tuple[Annotator, Annotator]
) -> None:
    """A champion that answers otherwise is no drift of the texts."""
    publish_texts(COMMENTS[:150], annotator=annotators[0])
    publish_texts(COMMENTS[150:300], annotator=annotators[1])

    drift = measure_drift(settings, "letters")

    assert {measure.name for measure in drift.comparisons[0].measures} >= set(EMOTIONS)
    assert breached(drift) == set()
    assert "Another model annotated release 1" in drift.notes[0]


def test_a_release_by_two_models_is_read_by_one(
    settings: Settings, publish_texts: Publish, annotators: tuple[Annotator, Annotator]
) -> None:
    """Where a new champion annotated only the new files, the rest is read anew, a sample of it at least."""
    publish_texts(COMMENTS[:150], annotator=annotators[0])
    publish_texts(COMMENTS[:150], COMMENTS[150:300], annotator=annotators[1], by_another=annotators[0])

    drift = measure_drift(settings, "letters")

    assert all({measure.name for measure in one.measures} == set(PROPERTIES) for one in drift.comparisons)
    assert drift.breaches == ()
    assert [note.split(",")[0] for note in drift.notes] == [
        "Another model annotated release 2",
        "Another model annotated release 1",
    ]


def test_a_release_by_two_models_without_either_has_no_intensities_to_compare(
    settings: Settings, publish_texts: Publish, annotators: tuple[Annotator, Annotator]
) -> None:
    """Texts are compared all the same."""
    publish_texts(COMMENTS[:150], COMMENTS[300:450], by_another=annotators[1], at_hand=False)
    publish_texts(COMMENTS[:150], COMMENTS[150:300], by_another=annotators[1], at_hand=False)

    drift = measure_drift(settings, "letters")

    assert [measure.name for measure in drift.comparisons[0].measures] == ["text length", "vocabulary"]
    assert any("Intensities were not compared" in note for note in drift.notes)


def test_measuring_again_gives_the_same(settings: Settings, publish_texts: Publish, store: DirectoryStore) -> None:
    """From releases or from profiles, byte for byte."""
    publish_texts(COMMENTS[:150])
    publish_texts(OTHERS)
    measure_drift(settings, "letters")
    kept = {key: store.get(key) for key in store.list("letters/reports")}
    for key in kept:
        store.delete(key)

    measure_drift(settings, "letters")

    assert {key: store.get(key) for key in store.list("letters/reports")} == kept
    assert set(kept) == {drift_key("letters", 2), profile_key("letters", 1), profile_key("letters", 2)}


def test_what_cannot_be_read_was_not_measured(
    settings: Settings, publish_texts: Publish, store: DirectoryStore
) -> None:
    """Readers get None instead of an error, for a stranger's drift as well."""
    publish_texts(COMMENTS[:5])
    drift = measure_drift(settings, "letters")
    assert read_drift(store, "letters", 1) == drift
    assert read_drift(store, "letters", 2) is None

    content = store.get(drift_key("letters", 1))
    for damaged in (b"", b"[]", b"\xff", content[:-5], content.replace(b'"format": 1', b'"format": 2')):
        store.put(drift_key("letters", 1), damaged)
        assert read_drift(store, "letters", 1) is None
    store.put(drift_key("letters", 2), content)
    assert read_drift(store, "letters", 2) is None


def test_there_must_be_such_a_release(settings: Settings) -> None:
    """As everywhere."""
    with pytest.raises(UsageError, match="there is none"):
        measure_drift(settings, "letters")
