"""One changed byte, or one version's files under another's name: caught before a first text is scored."""

import contextlib
import dataclasses
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from eqn.annotation.annotator import Annotator
from eqn.emotions import EMOTIONS
from eqn.errors import ArtifactRefused
from eqn.model.backbone import load_backbone
from eqn.model.network import EmotionNetwork
from eqn.model.package import Description, write_package
from eqn.records import ModelRef
from eqn.registry import tracking
from eqn.registry.connection import connect
from eqn.registry.resolution import resolve
from eqn.registry.versions import DIGEST, register
from eqn.settings import Settings, load_settings
from tests.faults.promises import Trials

pytestmark = pytest.mark.promise(30)

PROJECT = Path(__file__).parents[2]
FILES = ("README.md", "config.json", "eqn.json", "model.safetensors", "tokenizer.json")
FLIPS = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Registry:
    """Two registered versions of real networks, and where MLflow keeps their packages."""

    settings: Settings
    versions: tuple[ModelRef, ModelRef]
    folders: tuple[Path, Path]

    def resolved(self, version: int) -> ModelRef:
        """Resolve a version from MLflow's files: nothing that was downloaded before is used."""
        shutil.rmtree(self.settings.models, ignore_errors=True)
        return resolve(str(version), self.settings)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Registry:
    home = tmp_path_factory.mktemp("tampering")
    (home / "mlflow").mkdir()
    shutil.copy(empty_database, home / "mlflow" / "mlflow.db")
    address = f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"
    settings = load_settings(PROJECT).model_copy(update={"home": home, "tracking_uri": address})
    torch.set_num_threads(1)
    versions, folders = [], []
    for seed in (0, 1):
        backbone = load_backbone("tiny", cache=home, seed=seed)
        network = EmotionNetwork(backbone.encoder, pooling="mean", dropout=0.1)
        description = Description(
            thresholds=dict.fromkeys(EMOTIONS, 0.5),
            max_tokens=64,
            pooling="mean",
            training_key=str(seed) * 64,
            recipe={"name": "toy"},
            backbone={"name": "tiny", "digest": backbone.digest},
            corpus={"name": "toy", "digest": "1" * 64, "rows": {"train": 60, "dev": 30, "test": 30}},
            metrics={"dev": {"macro_f1": 0.25}},
        )
        written = write_package(home / f"package-{seed}", network, backbone.tokenizer, description, card="# A card\n")
        known = set(settings.artifacts.glob("models/*/artifacts/artifacts/package"))
        with tracking.run(settings, "a run") as run:
            versions.append(register(written.path, run.id, settings, validation_passed=True))
        (folder,) = set(settings.artifacts.glob("models/*/artifacts/artifacts/package")) - known
        folders.append(folder)
    return Registry(settings, (versions[0], versions[1]), (folders[0], folders[1]))


@contextlib.contextmanager
def flipped(file: Path, place: int, bit: int) -> Iterator[None]:
    """Flip a bit of `file`, and make it whole again."""
    good = file.read_bytes()
    bad = bytearray(good)
    bad[place] ^= 1 << bit
    file.write_bytes(bad)
    try:
        yield
    finally:
        file.write_bytes(good)


def flips(folder: Path, seed: int) -> Iterator[tuple[Path, int, int]]:
    """Give random places, as many in each file: most of a package's bytes are weights."""
    draw = random.Random(seed)  # noqa: S311  no secret
    for number in range(FLIPS):
        file = folder / FILES[number % len(FILES)]
        yield file, draw.randrange(file.stat().st_size), draw.randrange(8)


def test_the_untouched_versions_are_used(registry: Registry) -> None:
    """What the tests below see refused is taken while it is whole, and the two versions answer differently."""
    scores = []
    for version in (1, 2):
        ref = registry.resolved(version)
        assert ref.digest == registry.versions[version - 1].digest
        scores.append(Annotator.load(ref.path).scores(["I can't stop smiling"]))
    assert (scores[0] != scores[1]).any()


def test_a_flipped_bit_in_what_mlflow_keeps_is_caught_on_resolving(registry: Registry, trials: Trials) -> None:
    """A hundred random places in weights, tokenizer, configuration, card and eqn.json: nothing reaches this disk."""
    for file, place, bit in flips(registry.folders[0], seed=1):
        with flipped(file, place, bit), pytest.raises(ArtifactRefused):
            registry.resolved(1)
        assert list(registry.settings.models.iterdir()) == [], (file.name, place, bit)
    assert registry.resolved(1).version == 1
    trials(FLIPS, "flipped bits where MLflow keeps it")


def test_a_flipped_bit_on_this_disk_is_caught_on_loading(registry: Registry, trials: Trials) -> None:
    """After resolving, and before the first batch; a changed eqn.json has another digest, and is fetched anew."""
    ref = registry.resolved(1)
    for file, place, bit in flips(Path(ref.path), seed=2):
        with flipped(file, place, bit):
            if file.name != "eqn.json":
                with pytest.raises(ArtifactRefused):
                    Annotator.load(ref.path)
                continue
            assert resolve("1", registry.settings) == ref
            assert Annotator.load(ref.path).package.digest == ref.digest
    trials(FLIPS, "flipped bits on this disk")


def test_swapped_versions_are_caught(registry: Registry) -> None:
    """Each package is whole in itself; that it is not the registered one is told with both digests."""
    first, second = registry.folders
    aside = first.with_name("aside")
    for source, target in ((first, aside), (second, first), (aside, second)):
        source.rename(target)
    try:
        for version in (1, 2):
            with pytest.raises(ArtifactRefused, match="not the ones that were registered") as refusal:
                registry.resolved(version)
            assert {ref.digest for ref in registry.versions} <= set(str(refusal.value).split())
            assert list(registry.settings.models.iterdir()) == []
    finally:
        for source, target in ((second, aside), (first, second), (aside, first)):
            source.rename(target)


def test_swapped_folders_on_this_disk_are_caught(registry: Registry) -> None:
    """A folder named by one digest that holds the other package is not believed: the right one is fetched."""
    registry.resolved(1)
    resolve("2", registry.settings)
    one, two = (registry.settings.models / ref.digest for ref in registry.versions)
    aside = one.with_name("aside")
    for source, target in ((one, aside), (two, one), (aside, two)):
        source.rename(target)
    for version, wanted in enumerate(registry.versions, start=1):
        ref = resolve(str(version), registry.settings)
        assert Annotator.load(ref.path).package.digest == wanted.digest


def test_a_package_rewritten_with_right_digests_is_caught(registry: Registry) -> None:
    """The enemy writes one package over another and keeps everything consistent: the registered digest stays."""
    first, second = registry.folders
    kept = shutil.copytree(first, first.with_name("kept"))
    for name in FILES:
        shutil.copy(second / name, first / name)
    try:
        with pytest.raises(ArtifactRefused, match="not the ones that were registered"):
            registry.resolved(1)
    finally:
        shutil.rmtree(first)
        Path(kept).rename(first)


def test_a_digest_tag_moved_to_another_version_gives_that_one_whole(registry: Registry) -> None:
    """Who may write tags may choose among registered packages, and no more: files and digest still agree, or not."""
    client = connect(registry.settings)
    name = registry.settings.registry.registered_model
    client.set_model_version_tag(name, "1", DIGEST, registry.versions[1].digest)
    try:
        with pytest.raises(ArtifactRefused, match="not the ones that were registered"):
            registry.resolved(1)
    finally:
        client.set_model_version_tag(name, "1", DIGEST, registry.versions[0].digest)
