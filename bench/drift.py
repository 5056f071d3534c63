"""How often drift is told where there is none, and where there is: the study behind the limits in mlflow.yaml.

    pip install 'eqn[pipeline]'
    python bench/drift.py --data goemotions --other emobank.csv [--trials 200] [--keep FOLDER]

`--data` is a directory of GoEmotions' splits, `--other` a CSV file with a column `text` from elsewhere. Both are
annotated by the model (default: the champion, else the one in the box); with `--keep` what it found stays in a folder
for the next call. Each trial draws two samples, makes their profiles and compares them as `eqn release drift` does.
"""

import argparse
import csv
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from eqn.annotation.annotator import Annotator
from eqn.corpus.goemotions import load_corpus
from eqn.drift.compare import EMBEDDING, TEXT_LENGTH, VOCABULARY, Side, compare
from eqn.drift.profile import Profiler
from eqn.emotions import EMOTIONS
from eqn.records import DriftMeasure
from eqn.registry.resolution import resolve
from eqn.settings import DriftPolicy, load_settings
from eqn.terminal import table

SIZES = ((100, 100), (500, 500), (500, 5000), (2000, 2000), (2000, 5000), (10_000, 10_000))
EMBEDDED = 3000
"""Texts of each kind whose embeddings are computed: that takes longest."""
EMBEDDED_ROWS = (100, 500, 1000)
SHIFT_TRIALS = 20
OTHER, LONGER = "other texts", "two texts in one"


@dataclasses.dataclass(frozen=True, slots=True)
class Pool:
    """Annotated texts to draw from."""

    texts: Sequence[str]
    scores: NDArray[np.float32]
    """(texts, 28)."""
    states: NDArray[np.float32]
    """(at most EMBEDDED, width) embeddings of the first texts."""

    def __len__(self) -> int:
        return len(self.texts)

    def side(self, rows: NDArray[np.int64]) -> Side:
        """Give the profile of some texts."""
        profiler = Profiler()
        texts = [self.texts[row] for row in rows.tolist()]
        profiler.add([str(row) for row in range(len(texts))], texts, self.scores[rows], [[] for _ in texts])
        return Side(profiler.finish("model"))


def main() -> None:
    """Print the two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="directory of GoEmotions' splits")
    parser.add_argument("--other", type=Path, required=True, help="CSV file with a column `text`")
    parser.add_argument("--model", default="champion")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="folder for intensities and embeddings")
    asked = parser.parse_args()
    corpus = load_corpus(asked.data)
    comments = [*corpus.train.texts, *corpus.dev.texts, *corpus.test.texts]
    order = np.random.default_rng(0).permutation(len(comments)).tolist()
    kinds = {
        "comments": [comments[row] for row in order],
        OTHER: _texts_in(asked.other),
        LONGER: [f"{comments[one]} {comments[two]}" for one, two in zip(order[:6000], order[6000:12_000], strict=True)],
    }
    annotator = Annotator.load(resolve(asked.model, load_settings()).path)
    pools = {name: _pool(annotator, name, texts, asked.keep) for name, texts in kinds.items()}
    policy, console = DriftPolicy(), Console(width=110)
    generator = np.random.default_rng(1)
    console.print(table("alarms where there is no drift", false_alarms(pools["comments"], asked.trials, generator)))
    console.print(table("drift that is found", detections(pools, generator)))
    console.print(f"limits: {policy.limits}; stated share of false alarms: {policy.false_alarms:.1%}", highlight=False)


def false_alarms(pool: Pool, trials: int, generator: np.random.Generator) -> list[dict[str, str]]:
    """Compare random samples of one pool that share no row."""
    rows = []
    for first, second in SIZES:
        found = []
        for _ in range(trials if first < 10_000 else trials // 5):
            drawn = generator.permutation(len(pool))
            found.append(_measured(pool.side(drawn[:first]), pool.side(drawn[first : first + second])))
        rows.append({"rows": f"{first:,} and {second:,}", "trials": str(len(found))} | _said(found))
    for number in EMBEDDED_ROWS:
        found = []
        for _ in range(trials // 2):
            drawn = generator.permutation(len(pool.states))
            found.append(_embedded(pool.states[drawn[:number]], pool.states[drawn[number : 2 * number]], pool))
        rows.append({"rows": f"{number:,} embeddings each", "trials": str(len(found))} | _said(found))
    return rows


def detections(pools: dict[str, Pool], generator: np.random.Generator) -> list[dict[str, str]]:
    """Compare samples of comments with others whose drift is known."""
    comments = pools["comments"]
    strongest = comments.scores.argmax(axis=1)
    rows = []
    for name in (OTHER, LONGER):
        other = pools[name]
        for number in (100, 500, 2000):
            found = [
                _measured(other.side(_some(len(other), number, generator)), _reference(comments, generator))
                for _ in range(SHIFT_TRIALS)
            ]
            rows.append({"drift": name, "rows": f"{number:,}"} | _shares(found))
        found = [
            _embedded(
                other.states[_some(len(other.states), 500, generator)],
                comments.states[_some(len(comments.states), 500, generator)],
                comments,
            )
            for _ in range(SHIFT_TRIALS)
        ]
        rows.append({"drift": name, "rows": "500 embeddings each"} | _shares(found))
    for times in (2, 3, 5):
        for number in (500, 2000, 10_000):
            found = []
            for emotion in range(len(EMOTIONS) - 1):
                side = comments.side(_with_more(strongest, emotion, times, number, generator))
                measures = _measured(side, _reference(comments, generator))
                found.append([measures[emotion]])
            rows.append({"drift": f"{times} x one emotion", "rows": f"{number:,}"} | _shares(found))
    return rows


def _with_more(
    strongest: NDArray[np.int64], emotion: int, times: int, number: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Draw rows among which an emotion is the strongest `times` as often as in the pool."""
    carrying, others = np.flatnonzero(strongest == emotion), np.flatnonzero(strongest != emotion)
    wanted = min(round(times * len(carrying) / len(strongest) * number), number)
    return np.concatenate([generator.choice(carrying, wanted), others[_some(len(others), number - wanted, generator)]])


def _some(of: int, number: int, generator: np.random.Generator) -> NDArray[np.int64]:
    return generator.permutation(of)[:number]


def _reference(pool: Pool, generator: np.random.Generator) -> Side:
    return pool.side(_some(len(pool), 5000, generator))


def _measured(now: Side, before: Side) -> list[DriftMeasure]:
    return list(compare(now, before, DriftPolicy()))


def _embedded(new: NDArray[np.float32], old: NDArray[np.float32], pool: Pool) -> list[DriftMeasure]:
    """Measure embeddings alone: the rest of the two sides is the same."""
    profile = pool.side(np.arange(100)).profile
    return _measured(Side(profile, new), Side(profile, old))[-1:]


def _said(found: Sequence[Sequence[DriftMeasure]]) -> dict[str, str]:
    """Give the share of trials with an alarm, and the largest distances by chance beside the least limit."""
    alarms = np.mean([any(measure.breached for measure in measures) for measures in found])
    return {"alarms": f"{alarms:.1%}"} | _by_property(found, lambda values: f"{np.max(values):.3f}")


def _shares(found: Sequence[Sequence[DriftMeasure]]) -> dict[str, str]:
    """Give the share of trials with an alarm, and the median of the distances."""
    alarms = np.mean([any(measure.breached for measure in measures) for measures in found])
    return {"found": f"{alarms:.0%}"} | _by_property(found, lambda values: f"{np.median(values):.3f}")


def _by_property(found: Sequence[Sequence[DriftMeasure]], summary: Callable[[list[float]], str]) -> dict[str, str]:
    columns: dict[str, list[float]] = {"largest of emotions": [], TEXT_LENGTH: [], VOCABULARY: [], EMBEDDING: []}
    for measures in found:
        emotions = [measure.value for measure in measures if measure.name in EMOTIONS]
        columns["largest of emotions"] += [max(emotions)] if emotions else []
        for measure in measures:
            if measure.name in columns:
                columns[measure.name].append(measure.value)
    return {name: summary(values) if values else "" for name, values in columns.items()}


def _texts_in(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file) if row["text"].strip()]


def _pool(annotator: Annotator, name: str, texts: list[str], keep: Path | None) -> Pool:
    """Annotate and embed texts, or take what an earlier call kept."""
    kept = keep / f"{name.replace(' ', '-')}.npz" if keep else None
    if kept and kept.is_file():
        with np.load(kept) as file:
            return Pool(texts, file["scores"], file["states"])
    scores = np.concatenate([annotator.scores(texts[start : start + 8192]) for start in range(0, len(texts), 8192)])
    states = annotator.pooled(texts[:EMBEDDED])
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, scores=scores, states=states)
    return Pool(texts, scores, states)


if __name__ == "__main__":
    main()
