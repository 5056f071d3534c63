"""What is taken over from an earlier release, whoever made it, and how soon it is known that there is nothing to do."""

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings, strategies

from eqn.annotation.annotator import Annotator
from eqn.corpus.inputs import find_inputs
from eqn.emotions import EMOTIONS
from eqn.errors import ArtifactRefused, Conflict
from eqn.records import ModelRef, ReleaseRef
from eqn.release.annotate import Request, already_published, prepare, publish_prepared
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.release.manifest import Manifest, manifest_key
from eqn.release.reuse import EVERYTHING, NEW_FILES, NewModel
from eqn.store.directory import DirectoryStore

Annotate = Callable[..., tuple[ReleaseRef, int]]


@pytest.fixture
def request_of(annotator: Annotator, store: DirectoryStore, inbox: Path, tmp_path: Path) -> Callable[..., Request]:
    """Give a function that asks for a release of the inbox with the back end of the annotator, if no other is named."""

    def make(
        *inputs: Path,
        model: Annotator = annotator,
        back_end: str = annotator.name,
        new_model: NewModel = EVERYTHING,
        **changes: Any,
    ) -> Request:
        request = Request(
            dataset="letters",
            inputs=find_inputs([str(path) for path in inputs or (inbox,)]),
            model=ModelRef(str(model.package.path), model.package.digest, "eqn", 1),
            store=store,
            docs=tmp_path / "docs",
            choices=tmp_path / "back_ends",
            back_end=back_end,
            new_model=new_model,
        )
        return dataclasses.replace(request, **changes)

    return make


@pytest.fixture
def annotate(request_of: Callable[..., Request]) -> Annotate:
    """Give a function that annotates the inbox, and says how many rows a model read for it."""

    def run(*inputs: Path, **changes: Any) -> tuple[ReleaseRef, int]:
        read = 0

        def count(rows: int, tokens: int) -> None:
            nonlocal read
            read += rows if tokens else 0

        return publish_prepared(prepare(request_of(*inputs, **changes)), None, report=count), read

    return run


def makers(manifest: Manifest) -> dict[str, str]:
    """Give the digest of the model that made the parts of each input."""
    return {entry.name: (entry.model or manifest.model)["digest"] for entry in manifest.inputs}


def rows_of(release: ReleaseRef) -> dict[tuple[str, str], dict[str, Any]]:
    rows = pq.read_table(f"{release.path}/data").to_pylist()
    return {(row["id"], row["text"]): row for row in rows}


def test_a_new_champion_annotates_new_files_only_where_that_is_the_policy(
    annotate: Annotate, annotator: Annotator, other_annotator: Annotator, inbox: Path, store: DirectoryStore
) -> None:
    """Old rows keep the old model's digits, and manifest, card and croissant say whose they are."""
    first, _ = annotate()
    (inbox / "d.txt").write_text("one\ntwo\n")
    second, read = annotate(model=other_annotator, new_model=NEW_FILES)

    assert (second.number, second.rows, read) == (2, 25, 2)
    old, new = rows_of(first), rows_of(second)
    assert {key: [row[name] for name in EMOTIONS] for key, row in old.items()} == {
        key: [new[key][name] for name in EMOTIONS] for key in old
    }
    manifest = read_manifest(store, "letters")
    verify(store, manifest)
    old_digest, new_digest = annotator.package.digest, other_annotator.package.digest
    assert manifest.model["digest"] == new_digest
    assert makers(manifest) == dict.fromkeys(("a.csv", "b.jsonl", "c.parquet"), old_digest) | {"d.txt": new_digest}
    assert manifest.inputs[0].model == {"name": "eqn", "version": 1, "digest": old_digest}
    assert manifest.inputs[0].options == annotator.options
    card = Path(second.path, "README.md").read_text()
    assert ["| 23 | 92.00% |" in line for line in card.splitlines() if old_digest in line] == [True]
    assert ["| 2 | 8.00% |" in line for line in card.splitlines() if line.startswith(f"| `{new_digest}`")] == [True]
    assert (
        f"23 of the texts keep the annotation of an earlier model, digest {old_digest}"
        in json.loads(Path(second.path, "croissant.json").read_text())["description"]
    )


def test_a_new_champion_annotates_everything_by_default(
    annotate: Annotate, other_annotator: Annotator, store: DirectoryStore
) -> None:
    """Then the manifest names one model, and has the form that older readers take."""
    annotate()
    second, read = annotate(model=other_annotator)

    assert (second.number, read) == (2, 23)
    facts = json.loads(store.get(manifest_key("letters", 2)))
    assert facts["format"] == 1
    assert not any({"model", "options"} & entry.keys() for entry in facts["inputs"])


def test_a_manifest_that_names_other_models_asks_older_readers_to_upgrade(
    annotate: Annotate, other_annotator: Annotator, inbox: Path, store: DirectoryStore
) -> None:
    """They would take one model for the maker of everything."""
    annotate()
    (inbox / "d.txt").write_text("one\n")
    annotate(model=other_annotator, new_model=NEW_FILES)

    content = store.get(manifest_key("letters", 2))
    assert json.loads(content)["format"] == 2
    assert Manifest.from_bytes(content, where="here").to_bytes() == content


def test_a_new_champion_and_no_new_file_is_nothing_to_do(
    annotate: Annotate, request_of: Callable[..., Request], other_annotator: Annotator, store: DirectoryStore
) -> None:
    """Neither the look at names and digests nor the whole plan finds work."""
    annotate()
    again, read = annotate(model=other_annotator, new_model=NEW_FILES)

    assert (again.number, again.already_published, read) == (1, True, 0)
    seen = already_published(request_of(model=other_annotator, new_model=NEW_FILES, back_end="auto"))
    assert seen == again
    assert release_numbers(store, "letters") == [1]


def test_what_was_carried_over_is_carried_on_with_its_maker(
    annotate: Annotate, annotator: Annotator, other_annotator: Annotator, inbox: Path, store: DirectoryStore
) -> None:
    """Release 3 takes from 2 what 2 took from 1; the first model, champion again, finds its own parts as its own."""
    first, _ = annotate()
    (inbox / "d.txt").write_text("one\n")
    annotate(model=other_annotator, new_model=NEW_FILES)
    (inbox / "e.txt").write_text("two\n")
    _, third = annotate(model=other_annotator, new_model=NEW_FILES)
    old, new = annotator.package.digest, other_annotator.package.digest
    assert third == 1
    assert makers(read_manifest(store, "letters")) == {
        **dict.fromkeys(("a.csv", "b.jsonl", "c.parquet"), old),
        **dict.fromkeys(("d.txt", "e.txt"), new),
    }

    (inbox / "f.txt").write_text("three\n")
    fourth, read = annotate()

    assert read == 3  # d.txt, e.txt and f.txt: what the other model made will not do for "everything"
    manifest = read_manifest(store, "letters")
    assert set(makers(manifest).values()) == {old}
    assert all(entry.model is None for entry in manifest.inputs)
    assert {key: rows_of(fourth)[key] for key in rows_of(first)} == rows_of(first)


def test_the_same_mixture_is_the_same_job_with_the_same_bytes(
    annotate: Annotate, annotator: Annotator, other_annotator: Annotator, inbox: Path, tmp_path: Path
) -> None:
    """Which model for which input is part of the job: another way to the same makers gives the same release."""
    (inbox / "d.txt").write_text("one\n")
    manifests = []
    for name, order in {"a": (annotator, other_annotator), "b": (other_annotator, annotator)}.items():
        store = DirectoryStore(tmp_path / name)
        before, after = order
        annotate(*(inbox / file for file in ("a.csv", "b.jsonl", "c.parquet")), model=before, store=store)
        annotate(model=after, new_model=NEW_FILES, store=store)
        manifests.append(read_manifest(store, "letters"))
    again = DirectoryStore(tmp_path / "again")
    annotate(*(inbox / file for file in ("a.csv", "b.jsonl", "c.parquet")), store=again)
    annotate(model=other_annotator, new_model=NEW_FILES, store=again)
    anew = DirectoryStore(tmp_path / "anew")
    annotate(model=other_annotator, store=anew)

    one, two = manifests
    assert one.job != two.job
    assert one.job != read_manifest(anew, "letters").job
    assert (read_manifest(again, "letters").job, read_manifest(again, "letters").content_digest) == (
        one.job,
        one.content_digest,
    )


def test_a_file_that_must_change_its_form_is_annotated_by_the_model_at_work(
    annotate: Annotate, other_annotator: Annotator, inbox: Path, store: DirectoryStore
) -> None:
    """Words that became text beside numbers cannot turn back: with other columns the old parts will not do."""
    (inbox / "d.csv").write_text("id,text,stars\n1,hello,many\n")
    annotate(inbox / "c.parquet", inbox / "d.csv")
    (inbox / "e.txt").write_text("two\n")
    _, read = annotate(inbox / "c.parquet", inbox / "e.txt", model=other_annotator, new_model=NEW_FILES)

    assert read == 6
    manifest = read_manifest(store, "letters")
    assert set(makers(manifest).values()) == {other_annotator.package.digest}
    verify(store, manifest)


@pytest.mark.parametrize("change", [{"uncertainty": True}, {"text_column": "author"}, {"id_column": "author"}])
def test_other_columns_are_other_work_under_every_policy(
    annotate: Annotate, inbox: Path, store: DirectoryStore, request: pytest.FixtureRequest, change: dict[str, Any]
) -> None:
    """No part without a column is carried into a release with it."""
    if "uncertainty" in change:
        model = request.getfixturevalue("sure")
        annotate(inbox / "c.parquet", model=model)
        _, read = annotate(inbox / "c.parquet", model=model, new_model=NEW_FILES, **change)
        assert read == 5
    else:
        (inbox / "x.csv").write_text("id,text,author\n1,one,ann\n2,two,ben\n")
        annotate(inbox / "x.csv")
        release, _ = annotate(inbox / "x.csv", new_model=NEW_FILES, **change)
        assert (release.number, release.already_published) == (2, False)
    assert all(entry.model is None for entry in read_manifest(store, "letters").inputs)


def test_any_back_end_will_do_for_auto(
    annotate: Annotate,
    request_of: Callable[..., Request],
    inbox: Path,
    store: DirectoryStore,
) -> None:
    """A worker that would choose another one finds nothing to do, and adds a new file in the release's own kind."""
    annotate(back_end="fp32")
    assert already_published(request_of(back_end="auto")) is not None
    (inbox / "d.txt").write_text("one\n")

    ready = prepare(request_of(back_end="auto"))
    assert (ready.annotator.name, ready.reason, ready.choice) == ("fp32", "that of release 1", None)
    publish_prepared(ready, None)

    manifest = read_manifest(store, "letters")
    assert manifest.options["precision"] == "float32"
    assert all(entry.model is None for entry in manifest.inputs)


def test_a_worker_that_lacks_the_back_end_of_a_release_annotates_new_files_only(
    annotate: Annotate, request_of: Callable[..., Request], inbox: Path, store: DirectoryStore
) -> None:
    """Unlike workers in one pool do not annotate everything in turns; what other arithmetic made is named."""
    annotate()
    _as_if_made_on_a_card(store)
    assert already_published(request_of(back_end="auto")) is not None
    (inbox / "d.txt").write_text("one\n")

    release, read = annotate(back_end="auto")

    assert (release.number, read) == (2, 1)
    entries = {entry.name: entry for entry in read_manifest(store, "letters").inputs}
    assert (entries["a.csv"].options or {})["back_end"] == "torch cuda"
    assert entries["d.txt"].options is None


def test_a_back_end_that_was_asked_for_is_used_for_everything(
    annotate: Annotate, request_of: Callable[..., Request], store: DirectoryStore
) -> None:
    """Whoever names one means it."""
    annotate()
    _as_if_made_on_a_card(store)
    assert already_published(request_of()) is None
    second, read = annotate()

    assert (second.number, read) == (2, 23)


def _as_if_made_on_a_card(store: DirectoryStore) -> None:
    """Rewrite release 1 as if a machine with a card had made it."""
    from eqn.release.manifest import files_key
    from eqn.release.reuse import Named, job_digest

    manifest = read_manifest(store, "letters")
    options = {**manifest.options, "back_end": "torch cuda"}
    job = job_digest(manifest.model["digest"], options, [Named(entry.name, entry.sha256) for entry in manifest.inputs])
    path = files_key("letters", job)
    (store.root / manifest.path).rename(store.root / path)
    store.put(manifest_key("letters", 1), dataclasses.replace(manifest, options=options, job=job, path=path).to_bytes())


def change_a_byte(inbox: Path, store: DirectoryStore) -> None:
    path = inbox / "b.jsonl"
    path.write_bytes(path.read_bytes().replace(b"comment 3", b"comment 4"))


def add_a_file(inbox: Path, store: DirectoryStore) -> None:
    (inbox / "d.txt").write_text("one\n")


def rename_a_file(inbox: Path, store: DirectoryStore) -> None:
    (inbox / "b.jsonl").rename(inbox / "bb.jsonl")


def swap_two_names(inbox: Path, store: DirectoryStore) -> None:
    (inbox / "a2.csv").write_text("text\nhello\n")
    shutil.copy(inbox / "a.csv", inbox / "kept")
    shutil.move(inbox / "a2.csv", inbox / "a.csv")
    shutil.move(inbox / "kept", inbox / "a2.csv")


def remove_a_file(inbox: Path, store: DirectoryStore) -> None:
    (inbox / "c.parquet").unlink()


def damage_the_manifest(inbox: Path, store: DirectoryStore) -> None:
    store.put(manifest_key("letters", 1), b"{")


def falsify_an_input(inbox: Path, store: DirectoryStore) -> None:
    """The manifest names the digest of a file that it does not hold."""
    change_a_byte(inbox, store)
    facts = json.loads(store.get(manifest_key("letters", 1)))
    import hashlib

    facts["inputs"][1]["sha256"] = hashlib.sha256((inbox / "b.jsonl").read_bytes()).hexdigest()
    store.put(manifest_key("letters", 1), json.dumps(facts).encode())


def lose_the_files(inbox: Path, store: DirectoryStore) -> None:
    shutil.rmtree(store.root / read_manifest(store, "letters").path)


def touch_a_file(inbox: Path, store: DirectoryStore) -> None:
    (inbox / "a.csv").touch()


def add_a_hidden_file(inbox: Path, store: DirectoryStore) -> None:
    (inbox / ".DS_Store").write_bytes(b"x")


CHANGES: dict[Callable[[Path, DirectoryStore], None], bool] = {
    change_a_byte: False,
    add_a_file: False,
    rename_a_file: False,
    swap_two_names: False,
    remove_a_file: False,
    damage_the_manifest: False,
    falsify_an_input: False,
    lose_the_files: False,
    touch_a_file: True,
    add_a_hidden_file: True,
}
"""What may happen to inbox and store, and whether the release is still what is asked for."""


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("new_model", [EVERYTHING, NEW_FILES])
def test_the_quick_look_says_what_the_whole_plan_says(
    annotate: Annotate,
    request_of: Callable[..., Request],
    inbox: Path,
    store: DirectoryStore,
    change: Callable[[Path, DirectoryStore], None],
    new_model: NewModel,
) -> None:
    """What is published is told from digests alone, and only where scanning and planning would tell it as well."""
    annotate()
    change(inbox, store)
    request = request_of(back_end="auto", new_model=new_model)
    seen = already_published(request)

    assert (seen is not None) == CHANGES[change]
    if change is not lose_the_files or new_model == EVERYTHING:
        try:
            published = prepare(request).plan.published
        except ArtifactRefused:
            published = None
        assert (seen.number if seen else None) == (published.release if published else None)


def test_the_quick_look_tells_other_models_and_columns_apart(
    annotate: Annotate, request_of: Callable[..., Request], other_annotator: Annotator
) -> None:
    """Another champion, another column, uncertainty: each is work; a number that was asked for is held against it."""
    annotate()
    others: list[dict[str, Any]] = [
        {"model": other_annotator},
        {"text_column": "author"},
        {"id_column": "author"},
        {"uncertainty": True},
        {"dataset": "others"},
    ]

    assert already_published(request_of(back_end="auto")) is not None
    for change in others:
        assert already_published(request_of(back_end="auto", **change)) is None, change
    with pytest.raises(Conflict, match="is release 1 already"):
        already_published(request_of(back_end="auto", expect=2))


@given(
    files=strategies.dictionaries(
        strategies.sampled_from(["a.csv", "b.txt", "c.txt", "d.csv"]), strategies.sampled_from(["x", "y"]), min_size=1
    ),
    then=strategies.dictionaries(
        strategies.sampled_from(["a.csv", "b.txt", "c.txt", "d.csv"]), strategies.sampled_from(["x", "y"]), min_size=1
    ),
    new_model=strategies.sampled_from([EVERYTHING, NEW_FILES]),
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_the_very_same_inbox_is_nothing_to_do(
    annotate: Annotate,
    request_of: Callable[..., Request],
    tmp_path_factory: pytest.TempPathFactory,
    files: dict[str, str],
    then: dict[str, str],
    new_model: NewModel,
) -> None:
    """Any two inboxes: the quick look finds the release exactly when names and contents are equal."""
    folders = [tmp_path_factory.mktemp("inbox") for _ in range(2)]
    for folder, contents in zip(folders, (files, then), strict=True):
        for name, content in contents.items():
            (folder / name).write_text(f"text\n{content}\n")
    store = DirectoryStore(tmp_path_factory.mktemp("store"))
    annotate(folders[0], store=store)
    request = request_of(folders[1], store=store, back_end="auto", new_model=new_model)

    seen = already_published(request)
    planned = prepare(request).plan.published

    assert (seen is not None) == (files == then) == (planned is not None)


def test_nothing_to_do_loads_no_model_and_reads_no_row(
    annotate: Annotate, package: Path, inbox: Path, store: DirectoryStore, tmp_path: Path
) -> None:
    """A night without a new file needs neither torch nor a table library, nor a package that can still be loaded."""
    annotate()
    code = """
import sys
from eqn.release.annotate import annotate_inbox
from eqn.settings import load_settings

def unwanted(*_):
    raise AssertionError("there is nothing to hear of")

release = annotate_inbox(
    load_settings(), sys.argv[1], dataset="letters", model=sys.argv[2], watch=unwanted, tell=unwanted
)
print(release.number, release.already_published, sorted({"torch", "pyarrow", "pandas", "mlflow"} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(inbox), str(package)],
        env={"PATH": "", "EQN_HOME": str(tmp_path / "home"), "EQN_STORE": str(store.root)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("1 True []\n", "")


def test_a_file_that_cannot_be_read_is_told_by_the_plan(
    annotate: Annotate, request_of: Callable[..., Request], inbox: Path
) -> None:
    """The quick look leaves it to whoever has the words for it."""
    annotate()
    request = request_of(back_end="auto")
    (inbox / "a.csv").unlink()

    assert already_published(request) is None
