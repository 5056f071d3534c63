"""Make the model in the box from a trained package: `python infra/make_box.py PACKAGE --data goemotions`.

The package's weights are brought down to a difference of low rank from MiniLM. Calibration, thresholds and conformal
limits are chosen anew on dev for what is left; the figures of both are printed, and the box' own stand in its card.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import torch

from eqn.commands.shared import backbones_folder
from eqn.corpus.fetch import LICENCE
from eqn.corpus.goemotions import load_corpus
from eqn.emotions import EMOTIONS
from eqn.evaluation.card import model_card
from eqn.evaluation.final import split_to_report
from eqn.evaluation.int8 import OBSERVED, int8_facts
from eqn.evaluation.metrics import evaluate_scores
from eqn.evaluation.tuning import tune
from eqn.model.backbone import load_backbone
from eqn.model.boxed import BOX, CARD, DELTA, DESCRIPTION
from eqn.model.delta import make_delta, merge_delta
from eqn.model.inference import fast_scorer
from eqn.model.network import EmotionNetwork
from eqn.model.package import Description, load_network, read_package
from eqn.model.weights import write_tensors
from eqn.training.recipes import EQN

LARGEST = 3_000_000
"""Bytes that the box may hold: it travels with every installation."""


def make_box(package_path: Path, data: Path, *, rank: int, box: Path = BOX) -> dict[str, float]:
    """Write the three files of the box, and give its figures on test.

    Raises:
        ValueError: the package's word embeddings were trained, or the box would be too large.

    """
    package, corpus = read_package(package_path), load_corpus(data)
    network, tokenizer = load_network(package)
    backbone = load_backbone("minilm", cache=backbones_folder(), seed=0)
    base = {f"encoder.{name}": tensor for name, tensor in backbone.encoder.state_dict().items()}
    delta = make_delta(base, network.state_dict(), rank=rank)

    small = EmotionNetwork(backbone.encoder, pooling=network.pooling, dropout=0.0, output=network.output)
    small.load_state_dict(merge_delta(base, delta))
    scorer = fast_scorer(small, tokenizer, max_tokens=package.max_tokens)
    dev = corpus.dev
    tuned = tune(dev.ids, dev.targets(), scorer.outputs(scorer.encode(dev.texts)), log_odds=True)
    assert tuned.recalibration is not None  # noqa: S101  log odds were said
    small.recalibrate(*map(torch.from_numpy, (tuned.recalibration.scale, tuned.recalibration.shift)))
    delta |= {name: tensor.cpu() for name, tensor in small.state_dict().items() if name.startswith("head.")}

    prior = corpus.train.targets().mean(axis=0)
    evaluations = {}
    for name in ("dev", "test"):
        split = split_to_report(corpus, name)
        scores = scorer.scores(scorer.encode(split.texts))
        evaluations[name] = evaluate_scores(split.targets(), scores, thresholds=tuned.thresholds, prior=prior)
    fields = {field.name: getattr(package, field.name) for field in dataclasses.fields(Description)}
    description = Description(
        **fields
        | {
            "recipe": {**package.recipe, "name": f"{package.recipe['name']}, rank {rank}"},
            "thresholds": dict(zip(EMOTIONS, tuned.thresholds.tolist(), strict=True)),
            "metrics": {name: evaluation.summary() for name, evaluation in evaluations.items()},
            "calibration": tuned.calibration_facts(),
            "conformal": tuned.conformal_facts(),
            "int8": int8_facts(
                small, tokenizer, corpus.train.texts[:OBSERVED], dev,
                thresholds=tuned.thresholds, max_tokens=package.max_tokens,
            ),
        }
    )  # fmt: skip
    box.mkdir(parents=True, exist_ok=True)
    write_tensors(box / DELTA, delta)
    (box / DESCRIPTION).write_text(json.dumps(dataclasses.asdict(description), indent=2) + "\n", "utf-8")
    card = model_card(description, "test", evaluations["test"], {}) + _origin(rank)
    (box / CARD).write_text(card, "utf-8")
    size = sum((box / name).stat().st_size for name in (DELTA, DESCRIPTION, CARD))
    if size > LARGEST:
        raise ValueError(f"expected a box of at most {LARGEST:,} bytes, got {size:,}: lower the rank")
    return dict(description.metrics["test"]) | {"bytes": size}


def _origin(rank: int) -> str:
    return f"""
## Where it comes from

This is the model in the box of EQN: what annotates before another one is champion. It is kept as a difference of rank
{rank} from all-MiniLM-L6-v2 (Apache-2.0), trained on GoEmotions ({LICENCE}), and is itself under Apache-2.0.

    eqn train --data DIR --recipe {EQN.name} --out model
    python infra/make_box.py model --data DIR --rank {rank}
"""


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="directory with GoEmotions")
    parser.add_argument("--rank", type=int, default=48)
    said = parser.parse_args()
    found = make_box(said.package, said.data, rank=said.rank)
    for split, figures in (("package, dev", read_package(said.package).metrics["dev"]), ("box, test", found)):
        print(
            split, {name: round(figures[name], 4) for name in ("macro_f1", "micro_f1", "map", "brier_skill", "ece_10")}
        )
    print(f"{found['bytes']:,} bytes")


if __name__ == "__main__":
    main()
