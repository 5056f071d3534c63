"""Imports point one way, and importing the library is light. The layering is data; this file enforces it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS = [
    {"emotions", "errors", "records"},
    {"failpoints"},
    {"settings"},
    {"telemetry"},
    {"store"},
    {"corpus"},
    {"quality"},
    {"model"},
    {"evaluation"},
    {"training"},
    {"registry"},
    {"annotation"},
    {"release"},
    {"drift"},
    {"pages"},
    {"exits", "terminal"},
    {"commands"},
    {"cli"},
]
"""Lowest first. A module may import its own folder and lower layers."""

RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}

LOADED_AT_IMPORT = {
    "emotions": set(),
    "errors": set(),
    "failpoints": set(),
    "records": set(),
    "settings": {"pydantic", "pydantic_settings", "yaml"},
    "telemetry": set(),
    "store": set(),
    "corpus": {"numpy"},
    "quality": set(),
    "model": {"torch", "numpy"},
    "evaluation": {"numpy"},
    "training": {"torch", "numpy", "safetensors"},
    "registry": set(),
    "annotation": {"numpy"},
    "release": {"numpy"},
    "drift": {"numpy"},
    "pages": {"numpy"},
    "exits": set(),
    "terminal": {"rich"},
    "commands": {"typer", "rich"},
    "cli": {"typer"},
}
"""Third-party packages that a room may import at module level; everything else inside the function that needs it."""

EXECUTED_BY_MLFLOW = {"eqn/registry/pyfunc_model.py"}
"""A models-from-code script: MLflow runs it, EQN never imports it."""

DOOR = {"eqn/corpus/goemotions.py", "eqn/evaluation/final.py"}
"""The seal on the test labels, and the one place where it is broken."""

HEAVY = ("torch", "mlflow", "prefect", "great_expectations", "boto3", "ray", "pandas", "matplotlib")


def import_faults(root: Path) -> Iterator[str]:
    """Say which imports of the project in `root` break the layering."""
    for path in sorted((root / "eqn").rglob("*.py")):
        file = path.relative_to(root).as_posix()
        room = path.relative_to(root / "eqn").parts[0].removesuffix(".py")
        if not room.startswith("__") and file not in EXECUTED_BY_MLFLOW:
            tree = ast.parse(path.read_text("utf-8"))
            yield from (f"{file} imports {fault}" for fault in _library_faults(room, tree))
    for path in sorted((root / "flows").glob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        yield from (f"flows/{path.name} imports {fault}" for fault in _flow_faults(tree))


def _library_faults(room: str, tree: ast.Module) -> Iterator[str]:
    for name in _imported(ast.walk(tree)):
        top, _, rest = name.partition(".")
        target = rest.partition(".")[0]
        if top == "flows":
            yield f"{name}: the library knows no flows"
        elif top == "eqn" and target in RANK and RANK[target] >= RANK[room] and target != room:
            yield f"{name}: imports must point down"
    for name in _imported(_at_import(tree.body)):
        if name.partition(".")[0] not in sys.stdlib_module_names | {"eqn", "flows"} | LOADED_AT_IMPORT[room]:
            yield f"{name} at module level: import it inside the function that needs it"


def _flow_faults(tree: ast.Module) -> Iterator[str]:
    for name in _imported(_at_import(tree.body)):
        top, _, rest = name.partition(".")
        light = rest.partition(".")[0] in {"records", "errors", "exits", "settings"}
        if not (top in sys.stdlib_module_names | {"prefect", "flows"} or (top == "eqn" and light)):
            yield f"{name} at module level: import it inside the task that needs it"


def seal_faults(root: Path) -> Iterator[str]:
    """Say where the project in `root` opens sealed labels, or passes by the seal, outside the one door."""
    for path in sorted([*(root / "eqn").rglob("*.py"), *(root / "flows").rglob("*.py")]):
        file = path.relative_to(root).as_posix()
        if file not in DOOR:
            nodes = ast.walk(ast.parse(path.read_text("utf-8")))
            yield from (f"{file}, line {line}: {what}" for node in nodes for line, what in _seal_faults(node))


def _seal_faults(node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Attribute) and node.attr in {"opened", "sealed"}:
        yield node.lineno, f".{node.attr}"
    elif isinstance(node, ast.Attribute) and node.attr == "labels":
        if isinstance(node.value, ast.Attribute) and node.value.attr == "test":
            yield node.lineno, ".test.labels"
    elif isinstance(node, ast.keyword) and node.arg == "sealed":
        yield node.lineno, "sealed="
    elif isinstance(node, ast.Constant) and node.value in ("opened", "sealed"):
        yield node.lineno, repr(node.value)


def _at_import(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Give the statements that run when the module is imported: those for type checkers do not."""
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node


def _imported(nodes: Iterator[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "eqn":
            yield from (f"eqn.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def test_imports_point_down() -> None:
    """No module of the project imports from a layer above its own, and none loads heavy packages early."""
    assert list(import_faults(ROOT)) == []


@pytest.mark.parametrize(
    ("file", "line", "expected"),
    [
        ("eqn/corpus/reader.py", "from eqn.training.loop import fit", "imports must point down"),
        ("eqn/release/publish.py", "import flows.annotate", "the library knows no flows"),
        ("eqn/registry/versions.py", "import mlflow", "at module level"),
        ("flows/train.py", "from eqn.training.run import train", "at module level"),
        ("flows/train.py", "import torch", "at module level"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, file: str, line: str, expected: str) -> None:
    """The test above can fail: a forbidden import that is planted anywhere is named."""
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(line + "\n")

    faults = list(import_faults(tmp_path))

    assert len(faults) == 1
    assert file in faults[0]
    assert expected in faults[0]


def test_the_test_labels_are_opened_in_one_place() -> None:
    """Nothing is chosen by them: no other module opens them, asks for the seal, or reads them past it."""
    assert list(seal_faults(ROOT)) == []
    assert all((ROOT / file).is_file() for file in DOOR)
    for file in DOOR:  # it is what the rest is kept from
        nodes = list(ast.walk(ast.parse((ROOT / file).read_text("utf-8"))))
        assert any(fault for node in nodes for fault in _seal_faults(node))


@pytest.mark.parametrize("file", ["eqn/training/run.py", "eqn/corpus/choice.py", "flows/train.py"])
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("gold = corpus.test.opened().targets()", ".opened"),
        ("open_it = split.opened", ".opened"),
        ("if split.sealed: pass", ".sealed"),
        ("split = dataclasses.replace(split, sealed=False)", "sealed="),
        ("split = replace(split, **{'sealed': False})", "'sealed'"),
        ("rows = corpus.test.labels", ".test.labels"),
    ],
)
def test_a_planted_opening_is_found(tmp_path: Path, file: str, line: str, expected: str) -> None:
    """The test above can fail: whichever way the seal is broken, the file and the line are named."""
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(f"import dataclasses\n{line}\n")

    assert list(seal_faults(tmp_path)) == [f"{file}, line 2: {expected}"]


def test_every_room_has_its_place() -> None:
    """A new folder or module of the library must be given a layer."""
    rooms = {path.name.removesuffix(".py") for path in (ROOT / "eqn").iterdir() if not path.name.startswith("_")}

    assert rooms - {"py.typed"} == set(RANK) == set(LOADED_AT_IMPORT)


@pytest.mark.parametrize(
    "module", ["eqn", "eqn.cli", "eqn.quality.gate", "eqn.registry.promotion", "eqn.corpus.reader"]
)
def test_importing_loads_nothing_heavy(module: str) -> None:
    """A shell that only parses a command, and a notebook that only looks at names, wait for no framework."""
    script = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == "[]"


def test_training_and_annotating_need_no_pipeline() -> None:
    """A GPU machine has torch and transformers, but neither Prefect, MLflow, Great Expectations nor pydantic."""
    forbidden = {"prefect", "mlflow", "great_expectations", "boto3", "pydantic", "pandas", "sklearn", "matplotlib"}
    script = (
        "import sys, eqn.training.run, eqn.training.recipes, eqn.annotation.annotator, eqn.evaluation.evaluate\n"
        f"print(sorted(set(sys.modules) & {forbidden!r}))"
    )

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == "[]"
