"""Promises about the stages of a training: what each network learns from, and what it is shown."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from eqn.corpus.goemotions import Corpus
from eqn.errors import UsageError
from eqn.model.backbone import load_backbone
from eqn.model.encoding import Encoded, encode
from eqn.model.package import load_network
from eqn.model.scoring import Scorer
from eqn.quality.out_of_fold import read_scores
from eqn.training import run
from eqn.training.expansion import smooth
from eqn.training.loop import Stage, fit
from eqn.training.progress import Event, Listener
from eqn.training.recipes import Recipe
from eqn.training.run import Order, train

CorpusWriter = Callable[..., Corpus]
OrderMaker = Callable[..., Order]
Stages = list[tuple[Stage, dict[str, torch.Tensor]]]


def test_one_stage_learns_the_labels_as_given(toy_order: OrderMaker, trained_stages: Stages) -> None:
    """Without folds there is one training, on all rows and their labels."""
    order = toy_order(recipe=Recipe(name="plain", max_tokens=32, least_steps=4, epochs=1))
    train(order)
    ((stage, _),) = trained_stages
    assert stage.name == "training"
    np.testing.assert_array_equal(stage.targets, order.corpus.train.targets())


def test_out_of_fold_scores_come_from_networks_that_never_saw_the_row(
    toy_order: OrderMaker, tmp_path: Path, trained_stages: Stages
) -> None:
    """The file holds what stage A said of every training row: the mean of the two teachers of the other fold."""
    file = tmp_path / "scores.parquet"
    order = toy_order(recipe=dataclasses.replace(toy_order().recipe, teachers=2, least_steps=12), out_of_fold=file)
    package = train(order)
    *stages, (last, _) = trained_stages
    everything = [tuple(row) for row in last.ids]
    expected = np.zeros((60, 28))
    for stage, weights in stages:
        unseen = np.setdiff1d(np.arange(60), [everything.index(tuple(ids)) for ids in stage.ids])
        expected[unseen] += _answers(order, stage, weights, last.ids)[unseen] / 2
    written = read_scores(file)
    # Other batches than in training move a bfloat16 score by its rounding.
    np.testing.assert_allclose(written.aligned(order.corpus), expected, atol=0.01)
    assert package.digest == train(dataclasses.replace(order, out=tmp_path / "without", out_of_fold=None)).digest


def test_out_of_fold_scores_that_cannot_be_had_are_refused_before_anything_is_trained(
    toy_order: OrderMaker, tmp_path: Path
) -> None:
    """With fewer than two folds no network has not seen a row; where the package stands there is none to ask."""
    file, heard = tmp_path / "scores.parquet", list[Event]()
    plain = Recipe(name="plain", max_tokens=32, least_steps=4, epochs=1)
    for folds in (0, 1):
        order = toy_order(recipe=dataclasses.replace(plain, folds=folds), out_of_fold=file)
        with pytest.raises(UsageError, match=f"need 2 folds or more, and folds is {folds}"):
            train(order, heard.append)
    order = toy_order(recipe=dataclasses.replace(plain, folds=2))
    train(order)
    with pytest.raises(UsageError, match="expected a new directory"):
        train(dataclasses.replace(order, out_of_fold=file), heard.append)
    assert not heard
    assert not file.exists()


def test_a_file_in_the_place_of_the_out_of_fold_scores_is_refused_before_anything_is_trained(
    toy_order: OrderMaker, tmp_path: Path
) -> None:
    """Somebody's notes, scores of another training, a folder: each stays as it is, and no folder for resuming appears.

    Where the package stands already, a file that holds no such scores is not passed over either.
    """
    file, notes, heard = tmp_path / "scores.parquet", tmp_path / "notes", list[Event]()
    recipe = Recipe(name="plain", max_tokens=32, least_steps=4, epochs=1, folds=2)
    notes.write_text("mine", "utf-8")
    first = toy_order(recipe=recipe, out=tmp_path / "first", out_of_fold=file)
    package, scores = train(first), file.read_bytes()

    other = toy_order(recipe=recipe, out=tmp_path / "other", seed=4)
    for taken in (file, notes, tmp_path):
        with pytest.raises(UsageError, match=f"expected no file {taken}; there is one"):
            train(dataclasses.replace(other, out_of_fold=taken), heard.append)
    with pytest.raises(UsageError, match=f"expected no file {notes}; there is one"):
        train(dataclasses.replace(first, out_of_fold=notes), heard.append)
    assert train(first, heard.append) == package

    assert not heard
    assert (file.read_bytes(), notes.read_text("utf-8")) == (scores, "mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "notes", "scores.parquet"]


@pytest.mark.parametrize("folds", [2, 3])
def test_every_rows_energy_comes_from_the_network_that_never_saw_it(
    toy_order: OrderMaker, trained_stages: Stages, folds: int
) -> None:
    """Each fold's network, asked again by hand: stage B's targets are those of the one network without that row."""
    order = toy_order(recipe=dataclasses.replace(toy_order().recipe, folds=folds))
    train(order)
    *stages, (last, _) = trained_stages
    gold, everything = order.corpus.train.targets(), [tuple(row) for row in last.ids]
    assert [stage.name for stage, _ in stages] == [f"stage A fold {n + 1} of {folds}" for n in range(folds)]
    assert len(set(everything)) == len(gold) == 60  # no two rows are alike, so that a row is known by its tokens

    unseen = np.array([[row not in {tuple(ids) for ids in stage.ids} for row in everything] for stage, _ in stages])
    assert unseen.sum(axis=0).tolist() == [1] * 60
    for stage, _ in stages:
        rows = [everything.index(tuple(ids)) for ids in stage.ids]
        np.testing.assert_array_equal(stage.targets, gold[rows])

    answers = np.stack([_answers(order, stage, weights, last.ids) for stage, weights in stages])
    energies = np.maximum(gold, answers)
    by_the_unseeing = np.take_along_axis(energies, unseen.argmax(axis=0)[None, :, None], axis=0)[0]
    by_another = np.take_along_axis(energies, unseen.argmin(axis=0)[None, :, None], axis=0)[0]
    # Other batches than in training move a bfloat16 score by its rounding.
    np.testing.assert_allclose(last.targets, by_the_unseeing, atol=0.01)
    assert np.abs(last.targets - by_another).max() > 0.05


def _answers(
    order: Order, stage: Stage, weights: dict[str, torch.Tensor], ids: Sequence[list[int]]
) -> NDArray[np.float32]:
    stage.network.load_state_dict(weights)
    tokenizer = load_backbone("tiny", cache=order.backbones, seed=0).tokenizer
    scorer = Scorer(stage.network, tokenizer, max_tokens=32, precision=stage.precision)
    return scorer.scores(Encoded(ids=list(ids), truncated=[False] * len(ids)))


def test_a_label_that_raters_left_out_gets_energy_again(
    write_corpus: CorpusWriter, toy_order: OrderMaker, trained_stages: Stages
) -> None:
    """Half of the rows with `zz` lost their second label: stage B's targets see it in them above chance."""
    draw = np.random.default_rng(0)
    rows, hidden, without = [], [], []
    for number in range(240):
        has_second, lost = bool(draw.random() < 0.4), bool(draw.random() < 0.5)
        words = ["ab" if number % 2 else "cd", *["zz zz" if has_second else "xy"], str(number)]
        rows.append(
            (" ".join(draw.permutation(words)), sorted({number % 2, *([9] if has_second and not lost else [])}))
        )
        (hidden if has_second and lost else without if not has_second else []).append(number)
    order = toy_order(
        corpus=write_corpus(rows), recipe=dataclasses.replace(toy_order().recipe, least_steps=60, learning_rate=2e-3)
    )
    train(order)
    last = trained_stages[-1][0]
    gold = order.corpus.train.targets()
    assert gold[hidden + without, 9].max() == 0
    assert len(hidden) > 30
    truth = [1] * len(hidden) + [0] * len(without)
    assert roc_auc_score(truth, last.targets[hidden + without, 9]) > 0.8
    assert last.targets[hidden, 9].mean() > 2 * last.targets[without, 9].mean()
    assert (last.targets[gold == 1] == 1).all()
    assert last.targets.min() >= 0
    assert last.targets.max() <= 1


def test_without_expansion_stage_b_learns_the_labels(toy_order: OrderMaker, trained_stages: Stages) -> None:
    """At 0, stage A is trained and its answers are ignored."""
    order = toy_order(recipe=dataclasses.replace(toy_order().recipe, expansion=0.0, least_steps=4))
    train(order)
    np.testing.assert_array_equal(trained_stages[-1][0].targets, order.corpus.train.targets())


def test_blended_targets_move_labelled_cells_as_well(toy_order: OrderMaker, trained_stages: Stages) -> None:
    """Half label, half prediction: a labelled cell lies between 0.5 and 1, any other below 0.5."""
    order = toy_order(recipe=dataclasses.replace(toy_order().recipe, expansion=0.5, blend=True))
    train(order)
    gold, targets = order.corpus.train.targets(), trained_stages[-1][0].targets
    assert targets[gold == 1].min() >= 0.5
    assert targets[gold == 1].max() < 1
    assert 0 < targets[gold == 0].max() < 0.5


def test_smoothed_targets_are_what_every_stage_learns(toy_order: OrderMaker, trained_stages: Stages) -> None:
    """A fifth of each target is its emotion's share; what stage A's predictions expand are the labels themselves."""
    recipe = dataclasses.replace(toy_order().recipe, expansion=0.0, label_smoothing=0.2, least_steps=4)
    order = toy_order(recipe=recipe)
    train(order)
    gold = order.corpus.train.targets()
    np.testing.assert_array_equal(trained_stages[-1][0].targets, smooth(gold, 0.2))
    for stage, _ in trained_stages[:2]:
        rows = [trained_stages[-1][0].ids.index(ids) for ids in stage.ids]
        np.testing.assert_array_equal(stage.targets, smooth(gold[rows], 0.2))


def test_several_teachers_and_rounds_make_the_targets(toy_order: OrderMaker, trained_stages: Stages) -> None:
    """Two teachers for each of two folds, twice: eight networks before stage B, called as people read them.

    Round 1 learns the labels, round 2 what the mean of round 1's teachers made of them, and so does stage B.
    """
    order = toy_order(recipe=dataclasses.replace(toy_order().recipe, teachers=2, rounds=2, least_steps=12))
    heard: list[Event] = []
    train(order, heard.append)
    *stages, (last, _) = trained_stages
    expected = [
        f"stage A fold {fold} of 2 teacher {teacher} of 2 round {number} of 2"
        for number in (1, 2)
        for teacher in (1, 2)
        for fold in (1, 2)
    ]
    assert [stage.name for stage, _ in stages] == expected
    assert list(dict.fromkeys(event.stage for event in heard)) == [*expected, "stage B"]

    gold, everything = order.corpus.train.targets(), [tuple(row) for row in last.ids]
    heads = [weights["head.weight"] for _, weights in stages]
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(heads, 2))
    targets = gold
    for first in (0, 4):
        answers = np.zeros_like(gold)
        for stage, weights in stages[first : first + 4]:
            seen = [everything.index(tuple(ids)) for ids in stage.ids]
            # Other batches than in training move a bfloat16 score by its rounding.
            np.testing.assert_allclose(stage.targets, targets[seen], atol=0.02)
            unseen = np.setdiff1d(np.arange(60), seen)
            assert len(unseen) == 30
            answers[unseen] += _answers(order, stage, weights, last.ids)[unseen] / 2
        targets = np.maximum(gold, answers)
    np.testing.assert_allclose(last.targets, targets, atol=0.02)


def test_stage_a_takes_the_epochs_that_are_its_own(toy_order: OrderMaker) -> None:
    """30 rows in batches of 16 make two steps, 60 make four: one epoch of stage A, three of stage B."""
    recipe = dataclasses.replace(toy_order().recipe, epochs=3, epochs_of_stage_a=1, least_steps=1)
    heard: list[Event] = []
    train(toy_order(recipe=recipe), heard.append)
    steps = {event.stage: event.steps for event in heard}
    assert steps == {"stage A fold 1 of 2": 2, "stage A fold 2 of 2": 2, "stage B": 12}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"folds": 1}, "stage A"),
        ({"folds": 1, "teachers": 2}, "stage A teacher 1 of 2"),
        ({"folds": 3}, "stage A fold 1 of 3"),
        ({"folds": 2, "rounds": 3}, "stage A fold 1 of 2 round 1 of 3"),
    ],
)
def test_a_stages_name_says_what_there_is_more_than_one_of(changes: dict[str, int], name: str) -> None:
    """And nothing else."""
    assert run._stage_name(Recipe(name="toy", **changes), fold=0, teacher=0, stage=0) == name


def _ids_seen_in_training(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Give a list of the rows of token ids that networks are trained on from here on, without padding."""
    seen: list[list[int]] = []

    def note(network: torch.nn.Module, arguments: tuple[torch.Tensor, torch.Tensor]) -> None:
        if network.training:
            ids, mask = arguments
            seen.extend(row[: int(there.sum())].tolist() for row, there in zip(ids, mask, strict=True))

    def watched(stage: Stage, listener: Listener) -> object:
        with stage.network.register_forward_pre_hook(note):
            return fit(stage, listener)

    monkeypatch.setattr(run, "fit", watched)
    return seen


def test_masking_hides_words_and_no_special_tokens(toy_order: OrderMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row is a text of the corpus, from [CLS] to [SEP], with a third of the tokens between them behind [MASK].

    Each time others; and what is scored is not masked.
    """
    order = toy_order(recipe=Recipe(name="toy", max_tokens=32, least_steps=20, epochs=1, batch_size=16, masking=0.33))
    rows = _ids_seen_in_training(monkeypatch)
    train(order)
    tokenizer = load_backbone("tiny", cache=order.backbones, seed=0).tokenizer
    mask, start, end = (tokenizer.token_to_id(token) for token in ("[MASK]", "[CLS]", "[SEP]"))
    texts = encode(tokenizer, order.corpus.train.texts, 32).ids
    assert mask not in {token for ids in texts for token in ids}
    assert len(rows) >= 20 * 12
    for row in rows:
        assert (row[0], row[-1]) == (start, end)
        shown = [(place, token) for place, token in enumerate(row) if token != mask]
        assert any(len(ids) == len(row) and all(ids[at] == token for at, token in shown) for ids in texts)
    hidden = np.mean([token == mask for row in rows for token in row[1:-1]])
    assert hidden == pytest.approx(0.33, abs=0.03)
    assert len(set(map(tuple, rows))) > 60


def test_without_masking_nothing_is_hidden(toy_order: OrderMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row is a text of the corpus as it stands."""
    rows = _ids_seen_in_training(monkeypatch)
    order = toy_order(recipe=Recipe(name="toy", max_tokens=32, least_steps=8, epochs=1, batch_size=16))
    train(order)
    tokenizer = load_backbone("tiny", cache=order.backbones, seed=0).tokenizer
    assert {tuple(row) for row in rows} == set(map(tuple, encode(tokenizer, order.corpus.train.texts, 32).ids))


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_word_embeddings_stay_the_backbones(toy_order: OrderMaker, tmp_path: Path, *, frozen: bool) -> None:
    """In both stages and to the bit, with decay and a mean of the weights; everything else is learnt."""
    recipe = dataclasses.replace(
        toy_order().recipe, freeze_embeddings=frozen, averaging=0.9, weight_decay=0.1, least_steps=8
    )
    order = toy_order(recipe=recipe)
    learnt = load_network(train(order))[0].encoder.state_dict()
    given = load_backbone("tiny", cache=tmp_path, seed=order.seed).encoder.state_dict()
    same = {name for name, tensor in learnt.items() if torch.equal(tensor, given[name])}
    assert same == ({"embeddings.word_embeddings.weight"} if frozen else set())


def test_a_head_that_starts_from_names_starts_so_in_every_stage(
    toy_order: OrderMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All heads start alike, with rows as long as the recipe says; without it they are drawn by their own seeds."""
    starts = _starts(monkeypatch)
    train(toy_order(recipe=dataclasses.replace(toy_order().recipe, prototypes=0.7, least_steps=4)))
    heads = [start["head.weight"].cpu() for start in starts]
    assert len(heads) == 3
    assert all(torch.equal(head, heads[0]) for head in heads)
    torch.testing.assert_close(heads[0].norm(dim=1), torch.full((28,), 0.7))


def _starts(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """Give a list of the weights with which each stage starts from here on."""
    starts: list[dict[str, torch.Tensor]] = []

    def watched(stage: Stage, listener: Listener) -> object:
        starts.append({name: tensor.clone() for name, tensor in stage.network.state_dict().items()})
        return fit(stage, listener)

    monkeypatch.setattr(run, "fit", watched)
    return starts


def test_every_stage_starts_from_the_backbone_anew(toy_order: OrderMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that a fold has learnt goes into the next one: the encoders start alike, the heads by their own seeds."""
    starts = _starts(monkeypatch)
    order = toy_order()
    train(order)
    pristine = load_backbone("tiny", cache=order.backbones, seed=order.seed).encoder.state_dict()
    assert len(starts) == 3
    for start in starts:
        assert all(torch.equal(start[f"encoder.{name}"].cpu(), tensor) for name, tensor in pristine.items())
    assert not torch.equal(starts[0]["head.weight"], starts[1]["head.weight"])
