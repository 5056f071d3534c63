"""What the commands share: their common options, the two outputs, and how a model, a corpus or a store is named."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from eqn.corpus.goemotions import Corpus
    from eqn.model.package import Package
    from eqn.settings import Settings
    from eqn.store.interface import ObjectStore

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value for machines.")]
DataDirectory = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Directory with train.tsv, dev.tsv, test.tsv. Default: $EQN_GOEMOTIONS, else the embedded sample.",
        show_default=False,
    ),
]
TextColumn = Annotated[str, typer.Option(help="Column that holds the text.")]
IdColumn = Annotated[str, typer.Option(help="Column that holds the id, if there is one.")]
Dataset = Annotated[str, typer.Argument(help="Name of the dataset.", show_default=False)]
Number = Annotated[
    int | None, typer.Argument(min=1, help="Number of the release. Default: the latest.", show_default=False)
]
Store = Annotated[
    str | None,
    typer.Option("--store", help="Where releases are. Default: $EQN_STORE, else the state folder.", show_default=False),
]

out = Console(emoji=False)
"""Results: standard output. Text that holds `:smile:` is printed as it is."""
people = Console(stderr=True, emoji=False)
"""Progress: standard error."""


def say(line: str, *, end: str = "\n") -> None:
    """Print a line as it is: no markup, no wrapping, so that paths can be copied."""
    out.print(line, markup=False, highlight=False, soft_wrap=True, end=end)


def print_json(value: Any) -> None:
    """Print one JSON value; a figure that is no finite number becomes null, which JSON has."""
    print(json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False))  # noqa: T201  the command's result


def corpus_in(directory: Path | None) -> "Corpus":
    """Load the corpus in `directory`, else the one that the settings name, else the embedded sample."""
    from eqn.corpus.choice import choose_corpus

    if directory is None:
        from eqn.settings import load_settings

        directory = load_settings().goemotions
    return choose_corpus(directory)


def backbones_folder() -> Path:
    """Give the folder of fetched backbones, on a machine without the pipeline's packages too."""
    try:
        from eqn.settings import load_settings
    except ModuleNotFoundError:
        return Path.home() / ".cache" / "eqn" / "backbones"
    return load_settings().backbones


def package_of(model: str) -> "Package":
    """Read the package that a person named: a directory, or something in the registry."""
    from eqn.model.package import read_package

    if Path(model, "eqn.json").is_file():  # needs neither settings nor MLflow
        return read_package(Path(model))
    try:
        from eqn.registry.resolution import resolve
        from eqn.settings import load_settings
    except ModuleNotFoundError:
        if model != "champion":
            raise
        from eqn.model.boxed import NAME, boxed_package

        folder = backbones_folder()
        tell_of_the_box(NAME)
        return boxed_package(models=folder.with_name("models"), backbones=folder)
    found = resolve(model, load_settings())
    tell_of_the_box(found.name)
    return read_package(Path(found.path))


def tell_of_the_box(name: str) -> None:
    """Say it where the model called `name` is the one in the box."""
    from eqn.model.boxed import NAME

    if name == NAME:
        people.print(
            "Nobody is champion yet: the model in the box annotates. `eqn train` and `eqn promote` make your own.",
            highlight=False,
            soft_wrap=True,
        )


def store_at(address: str | None) -> "ObjectStore":
    """Open the store at `address`, else the one that the settings name."""
    from eqn.store.interface import open_store

    return open_store(settings_at(None).store if address is None else address)


def settings_at(address: str | None) -> "Settings":
    """Give the settings, with the store at `address` where one is named."""
    from eqn.settings import load_settings

    settings = load_settings()
    return settings if address is None else settings.model_copy(update={"store": address})


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value
