"""Importing a checkpoint of the original EQN: a foreign file in, a model package out, with what can be said of it.

The checkpoint says nothing of its training: its package calls the corpus unknown. Its 28 outputs have no names either;
they are taken in the order of the columns in the original's own files, which is the canonical one.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eqn.corpus.goemotions import Corpus
from eqn.emotions import EMOTIONS
from eqn.evaluation.card import comparison_rows
from eqn.evaluation.final import split_to_report
from eqn.evaluation.metrics import evaluate_scores
from eqn.evaluation.tuning import tune
from eqn.model.foreign import ORIGINAL_BACKBONE, network_of, read_checkpoint
from eqn.model.package import Description, Package, require_free, write_package

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from eqn.model.network import EmotionNetwork

THRESHOLD = 0.5
"""Of every emotion, where no data was given to choose thresholds by; the original published none."""

_MAX_TOKENS = 128
"""As many as the original reads."""

_IMPORT = 2
"""Raised when the code here changes what an import gives."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """What is to be imported."""

    file: Path
    out: Path
    """Directory of the package; must be free."""
    backbones: Path
    """Where fetched backbones are kept."""
    backbone: str = ORIGINAL_BACKBONE
    """The BERT it was trained from: its tokenizer and its configuration are used, its weights are not."""
    sha256: str = ""
    """The file's, where it is known."""
    corpus: Corpus | None = None
    """Chooses the thresholds on dev, and measures on dev and test."""


@dataclasses.dataclass(frozen=True, slots=True)
class Imported:
    """What an import gave."""

    package: Package
    unconfined: tuple[str, ...]
    """What the process that opened the file could not be kept from; see `eqn.model.foreign`."""


def import_checkpoint(order: Import, report: Callable[[int, int], None] | None = None) -> Imported:
    """Import a checkpoint and write its package to `order.out`; `report(texts, tokens)` hears of each scored batch.

    Raises:
        UsageError: `order.out` is taken, or there is no such file or backbone.
        ArtifactRefused: the file is not a plain checkpoint of the original EQN, or not the one expected; nothing in it
            was run.
        StoreUnavailable: the backbone's files cannot be fetched.

    """
    from eqn.model.backbone import backbone_frame
    from eqn.model.soundness import require_answers

    require_free(order.out)
    order.out.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = read_checkpoint(order.file, room=order.out.parent, sha256=order.sha256)
    known, tokenizer = backbone_frame(order.backbone, cache=order.backbones)
    network = network_of(checkpoint, {"vocab_size": tokenizer.get_vocab_size()} | known)
    max_tokens = min(_MAX_TOKENS, network.encoder.config.max_position_embeddings // 8 * 8)
    require_answers(network, tokenizer, max_tokens)
    frame = hashlib.sha256(json.dumps([known, tokenizer.to_str()], sort_keys=True).encode()).hexdigest()
    measured = _measured(network, tokenizer, max_tokens, order.corpus, report) if order.corpus else _unmeasured()
    recipe = {
        "name": "imported",
        "pooling": network.pooling,
        "output": network.output,
        "file": order.file.name,
        "file_sha256": checkpoint.sha256,
        "thresholds": f"chosen on dev of {order.corpus.ref.name}" if order.corpus else f"{THRESHOLD}, not chosen",
    }
    key = [_IMPORT, checkpoint.sha256, frame, max_tokens]
    description = Description(
        thresholds=measured.thresholds,
        max_tokens=max_tokens,
        pooling=network.pooling,
        output=network.output,
        training_key=hashlib.sha256(json.dumps(key).encode()).hexdigest(),
        recipe=recipe,
        backbone={"name": order.backbone, "digest": frame},
        corpus={"name": "unknown", "digest": "", "rows": {"train": 0, "dev": 0, "test": 0}},
        metrics=measured.metrics,
        conformal=measured.conformal,
        int8=measured.int8,
    )
    network.cpu()
    package = write_package(order.out, network, tokenizer, description, card=_card(description, order.corpus))
    return Imported(package, checkpoint.unconfined)


@dataclasses.dataclass(frozen=True, slots=True)
class _Measured:
    thresholds: Mapping[str, float]
    metrics: Mapping[str, Mapping[str, float]]
    conformal: Mapping[str, Any]
    int8: Mapping[str, Any]


def _unmeasured() -> _Measured:
    return _Measured(dict.fromkeys(EMOTIONS, THRESHOLD), {}, {}, {})


def _measured(
    network: "EmotionNetwork",
    tokenizer: "Tokenizer",
    max_tokens: int,
    corpus: Corpus,
    report: Callable[[int, int], None] | None,
) -> _Measured:
    from eqn.evaluation.int8 import OBSERVED, int8_facts
    from eqn.model.inference import fast_scorer

    scorer = fast_scorer(network, tokenizer, max_tokens=max_tokens)
    splits = [split_to_report(corpus, name) for name in ("dev", "test")]
    scores = {split.name: scorer.scores(scorer.encode(split.texts), report=report) for split in splits}
    tuned = tune(corpus.dev.ids, corpus.dev.targets(), scores["dev"], log_odds=False)
    thresholds = tuned.thresholds
    prior = corpus.train.targets().mean(axis=0)
    metrics = {
        split.name: evaluate_scores(split.targets(), scores[split.name], thresholds=thresholds, prior=prior).summary()
        for split in splits
    }
    observed = corpus.train.texts[:OBSERVED]
    return _Measured(
        dict(zip(EMOTIONS, thresholds.tolist(), strict=True)),
        metrics,
        tuned.conformal_facts(),
        int8_facts(network, tokenizer, observed, corpus.dev, thresholds=thresholds, max_tokens=max_tokens),
    )


def _card(description: Description, corpus: Corpus | None) -> str:
    recipe, backbone = description.recipe, description.backbone
    return f"""---
language: en
pipeline_tag: text-classification
tags: [emotion, goemotions, intensity]
---

# EQN, imported from `{recipe["file"]}`

Gives a text 28 emotion intensities in [0, 1]. Weights of the original Expansion Quantization Network, taken as they are
from the file with the sha256

    {recipe["file_sha256"]}

The intensity of an emotion is its output of one linear layer on BERT's pooler, clipped to [0, 1]. Tokenizer and
configuration are those of `{backbone["name"]}`; a text is read up to {description.max_tokens} tokens.

The file does not say on what it was trained, nor under what licence it may be used. Its outputs carry no names; they
are read in GoEmotions' order, {EMOTIONS[0]}, {EMOTIONS[1]} ... {EMOTIONS[-2]}, {EMOTIONS[-1]}.

## Figures

{_figures(description, corpus) if corpus else _NO_FIGURES}

## What not to use it for

- **English only**, if it was trained as the original was: on Reddit's comments of GoEmotions.
- **Not a judgement of people.** An intensity describes how a text reads, not what its author feels.

## Use

```python
from eqn.annotation.annotator import Annotator

annotator = Annotator.load("path/to/this/directory")
print(annotator.annotate(["I can't stop smiling"]))
```
"""


_NO_FIGURES = f"""\
None: nothing was measured when it was imported. An intensity of {THRESHOLD} or more counts as a label, for every
emotion alike; no data was used to choose that. `eqn import-checkpoint --data` chooses thresholds and measures."""


def _figures(description: Description, corpus: Corpus) -> str:
    rows: list[dict[str, Any]] = comparison_rows(description.metrics)
    head = [name if name != "model" else "split" for name in rows[0]]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(value) for value in row.values()) + " |" for row in rows]
    table = "\n".join(lines)
    return f"""\
On `{corpus.ref.name}`. The thresholds from which an intensity counts as a label were chosen on its dev split. Whether
the checkpoint was trained on rows of these splits is not known. The splits' digest is

    {corpus.ref.digest}

{table}

| emotion | threshold |
|---|---|
{chr(10).join(f"| {name} | {description.thresholds[name]:.2f} |" for name in EMOTIONS)}"""
