"""What was tried for the recipes, measured on dev alone: the test labels stay sealed.

    python bench/quality.py train NAME ... --data goemotions --out experiments   train what is not there yet
    python bench/quality.py table experiments                                    the table of bench/quality.md
    python bench/quality.py track experiments                                    one MLflow run for each

Every experiment is `eqn train --dev-only` with a recipe and changes of it; `train` keeps the model, and appends a line
with its figures to experiments/results.jsonl, which can be carried to a machine that has MLflow.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from eqn.corpus.goemotions import load_corpus
from eqn.evaluation.evaluate import measure_package
from eqn.evaluation.metrics import macro_f1
from eqn.evaluation.thresholds import choose_thresholds
from eqn.terminal import training_progress
from eqn.training.recipes import recipe_with
from eqn.training.run import Order, train

_FROZEN = ["freeze_embeddings=true"]
_NAMES = [*_FROZEN, "prototypes=3", "head_rate=2"]
EXPERIMENTS: dict[str, tuple[str, Sequence[str]]] = {
    "plain": ("plain", []),
    "frozen embeddings": ("plain", _FROZEN),
    "names": ("plain", _NAMES),
    "names, averaged": ("plain", [*_NAMES, "averaging=0.995"]),
    "names, R-Drop": ("plain", [*_NAMES, "r_drop=1"]),
    "names, layer decay": ("plain", [*_NAMES, "layer_decay=0.85", "learning_rate=3e-4"]),
    "names, batches of 32": ("plain", [*_NAMES, "batch_size=32", "learning_rate=1.4e-4"]),
    "names, masking": ("plain", [*_NAMES, "masking=0.1", "epochs=3"]),
    "names, focal": ("plain", [*_NAMES, "loss=focal", "focus=1"]),
    "names, asymmetric": ("plain", [*_NAMES, "loss=asymmetric", "focus=1"]),
    "names, smoothing": ("plain", [*_NAMES, "label_smoothing=0.05"]),
    "names, groups": ("plain", [*_NAMES, "groups=0.3"]),
    "names, emoji": ("plain", [*_NAMES, "emoji=true"]),
    "names, CLS": ("plain", [*_NAMES, "pooling=cls"]),
    "eqn of 0.1": ("plain", ["folds=2"]),
    "eqn": ("eqn", []),
    "eqn, 2 epochs": ("eqn", ["epochs=2"]),
    "eqn, keep gold": ("eqn", ["blend=false"]),
    "eqn, R-Drop": ("eqn", ["r_drop=1", "epochs=2"]),
    "eqn, emoji": ("eqn", ["emoji=true"]),
    "eqn, 2 teachers": ("eqn", ["teachers=2"]),
    "eqn, 2 rounds": ("eqn", ["rounds=2"]),
    "3 teachers in sample": ("eqn", ["folds=1", "teachers=3"]),
}
"""Each experiment's recipe and what is changed in it."""

SPLITS = 20
"""Random halvings of dev over which the cross-validated macro-F1 is averaged."""


def cross_validated_f1(gold: Any, scores: Any) -> float:
    """Give macro-F1 with thresholds chosen on one half of dev and measured on the other, averaged over halvings."""
    generator, found = np.random.default_rng(0), []
    for _ in range(SPLITS):
        order = generator.permutation(len(gold))
        halves = order[: len(order) // 2], order[len(order) // 2 :]
        predicted = np.zeros(gold.shape, dtype=bool)
        for choose, measure in (halves, halves[::-1]):
            predicted[measure] = scores[measure] >= choose_thresholds(gold[choose], scores[choose])
        found.append(macro_f1(gold, predicted))
    return float(np.mean(found))


def run(name: str, *, seed: int, data: Path, out: Path) -> None:
    """Train one experiment and note its figures, unless that was done before."""
    recipe_name, changes = EXPERIMENTS[name]
    place = out / f"{name.replace(' ', '-')}-{seed}"
    results = out / "results.jsonl"
    if results.exists() and any(
        (said["name"], said["seed"]) == (name, seed)
        for said in map(json.loads, results.read_text("utf-8").splitlines())
    ):
        return
    out.mkdir(parents=True, exist_ok=True)
    corpus, started = load_corpus(data), time.monotonic()
    order = Order(
        corpus=corpus, recipe=recipe_with(recipe_name, changes), backbone="minilm", seed=seed, out=place,
        backbones=out / "backbones", final=False,
    )  # fmt: skip
    with training_progress(Console(stderr=True)) as listener:
        package = train(order, listener)
    seconds = time.monotonic() - started
    measured = measure_package(package, corpus, "dev")
    figures = measured.evaluation.summary()
    figures["cross_validated_f1"] = cross_validated_f1(measured.gold, measured.scores)
    said = {
        "name": name, "recipe": recipe_name, "changes": list(changes), "seed": seed, "seconds": round(seconds),
        "dev": figures,
        "digest": package.digest, "corpus": corpus.ref.digest,
    }  # fmt: skip
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(said) + "\n")


def table(out: Path) -> str:
    """Give the experiments as a Markdown table, best mean average precision first; runs of one are averaged."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for said in _results(out):
        by_name.setdefault(said["name"], []).append(said)
    rows = []
    for name, runs in by_name.items():
        mean = {key: np.mean([run["dev"][key] for run in runs]) for key in FIGURES}
        changes = " ".join(f"`{change}`" for change in runs[0]["changes"]) or "-"
        figures = " | ".join(f"{mean[key]:.{4 if key.startswith('ece') else 3}f}" for key in FIGURES)
        minutes = np.mean([run["seconds"] for run in runs]) / 60
        rows.append(
            (mean["map"], f"| {name} | {runs[0]['recipe']} | {changes} | {figures} | {len(runs)} | {minutes:.0f} |")
        )
    head = ["experiment", "recipe", "changed", *FIGURES.values(), "runs", "minutes"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + [row for _, row in sorted(rows, reverse=True)])


FIGURES = {
    "map": "mAP",
    "cross_validated_f1": "macro F1",
    "brier_skill": "Brier skill",
    "ece_10": "ECE of 10",
}
"""What is compared, by its name in a line of results and as the table's head."""


def track(out: Path) -> None:
    """Make an MLflow run of each experiment that has none."""
    from eqn.registry import tracking
    from eqn.settings import load_settings

    settings, done = load_settings(), out / "tracked"
    for said in _results(out):
        mark = done / f"{said['name']}, seed {said['seed']}"
        if mark.exists():
            continue
        facts = recipe_with(said["recipe"], said["changes"]).values() | {"seed": said["seed"]}
        with tracking.run(settings, said["name"], params=facts, tags={"eqn.experiment": "quality"}) as tracked:
            tracked.metrics({f"dev/{key}": value for key, value in said["dev"].items()}, step=0)
        done.mkdir(exist_ok=True)
        mark.touch()


def _results(out: Path) -> list[dict[str, Any]]:
    file = out / "results.jsonl"
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.is_file() else []


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="train experiments that have no result yet")
    training.add_argument("names", nargs="+", choices=EXPERIMENTS, metavar="NAME", help=", ".join(EXPERIMENTS))
    training.add_argument("--seed", type=int, default=0)
    training.add_argument("--data", type=Path, required=True, help="directory with GoEmotions")
    training.add_argument("--out", type=Path, default=Path("experiments"))
    for name, text in (("table", "print the table"), ("track", "make MLflow runs of the results")):
        commands.add_parser(name, help=text).add_argument("out", type=Path)
    said = parser.parse_args()
    if said.command == "train":
        for name in said.names:
            run(name, seed=said.seed, data=said.data, out=said.out)
    elif said.command == "table":
        print(table(said.out))
    else:
        track(said.out)


if __name__ == "__main__":
    main()
