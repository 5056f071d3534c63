"""Promises about what is read off the 28 intensities, and how it is held against people's scores."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import logit, logsumexp
from scipy.stats import pearsonr, spearmanr

from eqn.corpus.goemotions import Corpus
from eqn.corpus.intensity_layouts import (
    DIMENSIONS,
    EMOINT,
    SCORED,
    SHARES,
    Intensities,
    Layout,
    ScoredRow,
    ScoredTable,
    gather,
)
from eqn.emotions import EKMAN, EMOTIONS, INDEX, SENTIMENT
from eqn.errors import DataRefused, UsageError
from eqn.evaluation.intensity import agreements, logits, measure_intensity, readouts, zero_shot_readouts
from eqn.evaluation.probe import fit_probe, fitting_for
from eqn.model.backbone import load_backbone
from eqn.model.network import EmotionNetwork, best_device, fast_precision
from eqn.model.package import Description, Package, load_network, write_package
from eqn.model.scoring import Scorer

Array = NDArray[np.float64]


def some_logits(rows: int = 40, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(-3, 2, (rows, 28))


def scored(layout: Layout, rows: list[dict[str, object]], name: str = "file") -> Intensities:
    """Give scores as if they had been read from a file whose rows have these cells."""
    table = [
        ScoredRow(number, "", str(cells.get("text", f"text {number}")), cells) for number, cells in enumerate(rows, 1)
    ]
    return gather([ScoredTable(name, layout, list(rows[0]), table)])


def test_logits_are_finite_everywhere() -> None:
    """They rise with the intensity, and 0 and 1, which a clipped model gives, have the bounds'."""
    p = np.array([0, 1e-9, 1e-6, 0.01, 0.5, 0.99, 1 - 1e-6, 1], dtype=np.float64)
    z = logits(p)
    np.testing.assert_allclose(z[2:-1], logit(p[2:-1]), atol=1e-9)
    assert z[0] == z[1] == z[2] == pytest.approx(-z[-1])
    assert (np.diff(z[2:-1]) > 0).all()
    assert np.isfinite(logits(np.array([[0, 1]], dtype=np.float32))).all()


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_an_emotion_is_read_as_it_is_said(emotion: str) -> None:
    """The label of its name; for Ekman's names their group as well, whose sum lies above its maximum."""
    z = some_logits()
    read = readouts(emotion, z)
    np.testing.assert_array_equal(read["label"], z[:, INDEX[emotion]])
    assert read.keys() == ({"label", "group", "max"} if emotion in EKMAN else {"label"})
    assert readouts(emotion, z, grouped=False).keys() == {"label"}
    if emotion in EKMAN:
        members = z[:, [INDEX[name] for name in EKMAN[emotion]]]
        np.testing.assert_allclose(read["group"], logsumexp(members, axis=1))
        np.testing.assert_array_equal(read["max"], members.max(axis=1))
        assert (read["group"] >= read["max"]).all()
        assert (read["max"] >= read["label"]).all()


def test_valence_weighs_positive_against_negative() -> None:
    """In both readouts; arousal is not read at all."""
    z = some_logits()
    sides = [z[:, [INDEX[name] for name in SENTIMENT[side]]] for side in ("positive", "negative")]
    read = readouts("valence", z)
    np.testing.assert_allclose(read["mass"], logsumexp(sides[0], axis=1) - logsumexp(sides[1], axis=1))
    np.testing.assert_allclose(read["mean"], sides[0].mean(axis=1) - sides[1].mean(axis=1))
    assert readouts("arousal", z) == {}


@pytest.mark.parametrize("raised", EMOTIONS)
def test_every_readout_is_monotone_in_every_emotion(raised: str) -> None:
    """More of a member never lowers its group, more of a negative emotion lowers valence, others change nothing."""
    z = some_logits()
    more = z.copy()
    more[:, INDEX[raised]] += 0.5
    for target in EKMAN:
        before, after = readouts(target, z), readouts(target, more)
        member, same = raised in EKMAN[target], raised == target
        assert ((after["label"] > before["label"]) == same).all()
        assert ((after["group"] > before["group"]) == member).all()
        assert (after["max"] >= before["max"]).all()
        assert (after["max"] == before["max"]).all() or member
    sign = 1 if raised in SENTIMENT["positive"] else -1 if raised in SENTIMENT["negative"] else 0
    for name, before in readouts("valence", z).items():
        assert (np.sign(readouts("valence", more)[name] - before) == sign).all()


def test_huge_logits_do_not_overflow() -> None:
    """A sum of exponentials of 1,000 is still a number."""
    assert np.isfinite(readouts("joy", np.full((2, 28), 1000.0))["group"]).all()
    assert np.isfinite(readouts("valence", np.full((2, 28), -1000.0))["mass"]).all()


def emoint(rows: int = 60) -> tuple[Intensities, Array]:
    """Give scores of anger and of sadness, each of texts of its own, and logits that go with them."""
    draw = np.random.default_rng(7)
    cells = [{"emotion": ("anger", "sadness")[row % 2], "score": round(float(draw.random()), 2)} for row in range(rows)]
    data = scored(EMOINT, cells)
    z = some_logits(rows)
    z += 4 * np.array([[cell["score"]] for cell in cells], dtype=float)
    return data, z


def test_figures_are_those_of_each_emotion_on_its_own_rows() -> None:
    """SciPy's coefficients on the rows of the emotion, and their means over the emotions."""
    data, z = emoint()
    found = agreements(data, zero_shot_readouts(data, z))
    figures = {(one.target, one.readout): one for one in found.all_rows}
    assert figures.keys() == {(t, r) for t in ("anger", "sadness", "mean") for r in ("label", "group", "max")}
    for readout in ("label", "group", "max"):
        for name, measure in (("pearson", pearsonr), ("spearman", spearmanr)):
            values = []
            for target in ("anger", "sadness"):
                gold = data.gold[target]
                expected = measure(gold.scores, readouts(target, z[gold.rows])[readout])[0]
                assert getattr(figures[target, readout], name).value == pytest.approx(expected)
                values.append(expected)
            mean = getattr(figures["mean", readout], name)
            assert mean.value == pytest.approx(np.mean(values))
            assert mean.interval.low < mean.value < mean.interval.high
    assert {one.target: one.rows for one in found.all_rows} == {"anger": 30, "sadness": 30, "mean": 60}


def test_the_upper_half_is_emoints_second_figure() -> None:
    """Only rows whose score is at least 0.5; a file on another scale has no such figure."""
    data, z = emoint()
    found = agreements(data, zero_shot_readouts(data, z)).upper_half
    label = next(one for one in found if (one.target, one.readout) == ("anger", "label"))
    gold = data.gold["anger"]
    high = gold.scores >= 0.5
    assert label.rows == high.sum() < 30
    assert label.pearson.value == pytest.approx(pearsonr(gold.scores[high], z[gold.rows, INDEX["anger"]][high])[0])
    assert {one.target for one in found} == {"anger", "sadness", "mean"}
    other = scored(SCORED, [{"emotion": "anger", "score": score} for score in (1, 50, 70)])
    assert agreements(other, zero_shot_readouts(other, z[:3])).upper_half == ()


def test_emotions_that_were_scored_on_the_same_rows_are_drawn_together() -> None:
    """The mean of 28 equal columns has their common interval, and counts each row once."""
    share = np.random.default_rng(3).random(50)
    data = scored(SHARES, [dict.fromkeys(EMOTIONS, value) | {"raters": 2} for value in share.tolist()])
    z = np.repeat(share[:, None] + some_logits(50, seed=4)[:, :1] / 4, 28, axis=1)
    *each, mean = agreements(data, zero_shot_readouts(data, z)).all_rows
    assert {one.readout for one in each} == {"label"}
    assert len(each) == 28
    assert (mean.target, mean.rows) == ("mean", 50)
    for name in ("low", "high"):
        common = getattr(each[0].pearson.interval, name)
        assert [getattr(one.pearson.interval, name) for one in each] == pytest.approx([common] * 28)
        assert getattr(mean.pearson.interval, name) == pytest.approx(common)


def test_the_same_scores_give_the_same_figures() -> None:
    """To the last digit, intervals too."""
    first, again = (agreements(data, zero_shot_readouts(data, z)) for data, z in (emoint(), emoint()))
    assert first == again


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, readable_corpus: Corpus) -> Package:
    """An untrained package: its numbers mean nothing and differ from text to text."""
    folder = tmp_path_factory.mktemp("packages")
    backbone = load_backbone("tiny", cache=folder, seed=0)
    torch.manual_seed(0)
    network = EmotionNetwork(backbone.encoder, pooling="mean", dropout=0.0)
    network.start_from(torch.linspace(0.2, 0.8, 28))
    description = Description(
        thresholds=dict.fromkeys(EMOTIONS, 0.5),
        max_tokens=24,
        pooling="mean",
        training_key="f" * 64,
        recipe={"name": "toy"},
        backbone={"name": "tiny", "digest": backbone.digest},
        corpus={"name": "readable", "digest": readable_corpus.ref.digest, "rows": dict(readable_corpus.ref.rows)},
        metrics={},
    )
    return write_package(Path(folder) / "model", network, backbone.tokenizer, description, card="")


def rated(texts: Any, *, seed: int, name: str = "file") -> Intensities:
    """Give made-up valence and arousal of some texts."""
    draw = np.random.default_rng(seed)
    return scored(
        DIMENSIONS, [{"text": text, "valence": draw.random(), "arousal": draw.random()} for text in texts], name
    )


def package_logits(package: Package, texts: Any) -> Array:
    network, tokenizer = load_network(package)
    device = best_device()
    scorer = Scorer(network.to(device), tokenizer, max_tokens=24, precision=fast_precision(device))
    return logits(scorer.scores(scorer.encode(texts)))


def test_a_package_is_measured_on_its_own_scores(package: Package, readable_corpus: Corpus) -> None:
    """Without a probe there is none, and arousal, which cannot be read, has no figure."""
    data = rated(readable_corpus.test.texts, seed=0)
    done: list[int] = []
    figures = measure_intensity(package, data, report=lambda texts, _: done.append(texts))
    z = package_logits(package, data.texts)
    expected = pearsonr(data.gold["valence"].scores, readouts("valence", z)["mass"])[0]
    assert figures.probed is None
    assert figures.zero_shot.all_rows[0].pearson.value == pytest.approx(expected)
    assert {one.target for one in figures.zero_shot.all_rows} == {"valence"}
    assert sum(done) == len(data.texts)


def test_a_probe_never_sees_a_text_that_is_measured(package: Package, readable_corpus: Corpus) -> None:
    """Texts of both files are left out of the fitting and counted; the zero-shot figures know nothing of the probe."""
    data = rated(readable_corpus.test.texts, seed=0)
    clean = rated(readable_corpus.dev.texts, seed=1, name="train.csv")
    mixed = rated([*readable_corpus.dev.texts, *readable_corpus.test.texts[:9]], seed=1, name="train.csv")
    alone = measure_intensity(package, data)
    figures, same = (measure_intensity(package, data, fitting_for(data, train)) for train in (mixed, clean))
    assert figures.zero_shot == same.zero_shot == alone.zero_shot
    assert figures.probed is not None
    assert same.probed is not None
    assert (figures.probed.left_out, same.probed.left_out) == (9, 0)
    assert figures.probed.agreements == same.probed.agreements
    assert figures.probed.rows == {"valence": 56, "arousal": 56}
    assert figures.probed.fitted_on == ("train.csv",)
    probe = fit_probe(package_logits(package, clean.texts), clean.gold["arousal"].scores)
    predicted = probe.predict(package_logits(package, data.texts))
    arousal = figures.probed.agreements.all_rows[1]
    assert (arousal.target, arousal.readout) == ("arousal", "probe")
    # Padding moves a bfloat16 score by its rounding.
    assert arousal.pearson.value == pytest.approx(pearsonr(data.gold["arousal"].scores, predicted)[0], abs=0.05)


def test_a_probe_without_rows_of_its_own_is_refused(readable_corpus: Corpus) -> None:
    """On the measured texts themselves, or with scores of something else."""
    data = rated(readable_corpus.test.texts, seed=0)
    with pytest.raises(DataRefused, match="valence: 0 rows whose text is not measured as well"):
        fitting_for(data, rated(readable_corpus.test.texts, seed=5))
    anger = scored(SCORED, [{"emotion": "anger", "score": row} for row in range(5)])
    with pytest.raises(DataRefused, match="measured are valence, arousal; file has anger"):
        fitting_for(data, anger)


def test_a_probe_is_fitted_for_the_targets_that_both_files_have() -> None:
    """Each on its own rows, which point at the texts that are left."""
    data = scored(SCORED, [{"emotion": name, "score": row} for row in range(4) for name in ("joy", "fear")])
    rows = [{"text": f"new {row}", "emotion": ("joy", "love")[row % 2], "score": row} for row in range(12)]
    rows[4]["text"] = "text 1"
    fitting = fitting_for(data, scored(SCORED, rows))
    assert fitting.texts == ("new 0", "new 2", "new 6", "new 8", "new 10")
    assert fitting.gold.keys() == {"joy"}
    assert fitting.gold["joy"].rows.tolist() == [0, 1, 2, 3, 4]
    assert fitting.gold["joy"].scores.tolist() == [0, 2, 6, 8, 10]
    assert fitting.left_out == 1


def test_arousal_alone_needs_a_probe(package: Package) -> None:
    """Nothing is read off the 28 for it."""
    data = scored(DIMENSIONS, [{"arousal": row} for row in range(5)])
    with pytest.raises(UsageError, match="arousal cannot be read off the 28"):
        measure_intensity(package, data)
