"""Promises about losses: what they are by formula, and that no output, however extreme, breaks them."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from eqn.emotions import EKMAN, INDEX, SENTIMENT
from eqn.training.objectives import asymmetric_loss, disagreement, focal_loss, group_loss, objective
from eqn.training.recipes import Recipe

Loss = Callable[[Tensor, Tensor], Tensor]


def _probability(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-outputs))


@st.composite
def _cells(draw: st.DrawFn, *, reach: float = 8.0, soft: bool = True) -> tuple[Tensor, Tensor]:
    """Outputs within `reach`, and targets of 0 and 1 or, where they may be soft, between them: (rows, 28) both."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.integers(1, 6)), 28
    targets = (random.random(shape) < 0.3).astype(np.float32)
    if soft and draw(st.booleans()):
        targets = random.random(shape).astype(np.float32)
    return torch.from_numpy(random.uniform(-reach, reach, shape).astype(np.float32)), torch.from_numpy(targets)


def _exact(*tensors: Tensor) -> list[NDArray[np.float64]]:
    return [tensor.double().numpy() for tensor in tensors]


@settings(deadline=None, max_examples=50)
@given(cells=_cells())
def test_without_focus_the_focal_loss_is_binary_cross_entropy(cells: tuple[Tensor, Tensor]) -> None:
    """For labels and for targets between them."""
    torch.testing.assert_close(focal_loss(*cells, focus=0.0), binary_cross_entropy_with_logits(*cells))


@settings(deadline=None, max_examples=50)
@given(cells=_cells())
def test_without_focus_and_margin_the_asymmetric_loss_is_binary_cross_entropy(cells: tuple[Tensor, Tensor]) -> None:
    """For labels and for targets between them."""
    ours = asymmetric_loss(*cells, focus=0.0, margin=0.0)
    torch.testing.assert_close(ours, binary_cross_entropy_with_logits(*cells), rtol=1e-4, atol=1e-5)


@settings(deadline=None, max_examples=50)
@given(cells=_cells(), focus=st.floats(0.1, 5))
def test_the_focal_loss_weighs_each_cell_by_how_far_off_it_is(cells: tuple[Tensor, Tensor], focus: float) -> None:
    """By the formula, in double precision: |target - p| ** focus times the cross-entropy."""
    outputs, targets = _exact(*cells)
    p = _probability(outputs)
    entropy = -(targets * np.log(p) + (1 - targets) * np.log(1 - p))
    expected = (np.abs(targets - p) ** focus * entropy).mean()
    assert float(focal_loss(*cells, focus=focus)) == pytest.approx(expected, rel=1e-3, abs=1e-7)


@settings(deadline=None, max_examples=50)
@given(cells=_cells(), focus=st.floats(0, 5), margin=st.floats(0, 0.3))
def test_the_asymmetric_loss_makes_light_of_absent_labels_alone(
    cells: tuple[Tensor, Tensor], focus: float, margin: float
) -> None:
    """By the published formula: present labels as in cross-entropy, absent ones by their lowered probability."""
    outputs, targets = _exact(*cells)
    p = _probability(outputs)
    lowered = np.maximum(p - margin, 0)
    expected = -(targets * np.log(p) + (1 - targets) * lowered**focus * np.log(1 - lowered)).mean()
    ours = float(asymmetric_loss(*cells, focus=focus, margin=margin))
    assert ours == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_an_absent_label_below_the_margin_costs_nothing() -> None:
    """A probability of 4 % with a margin of 5 %; 10 % costs by what is left of it, 5 %."""
    absent = torch.zeros(1, 28)
    for share, left in ((0.04, 0.0), (0.1, 0.05)):
        outputs = torch.full((1, 28), math.log(share / (1 - share)))
        expected = -(left**2) * math.log(1 - left)
        assert float(asymmetric_loss(outputs, absent, focus=2.0)) == pytest.approx(expected, rel=1e-4)


def _group_loss_by_hand(outputs: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    """Row by row and group by group: cross-entropy of 1 - the product of the members' 1 - p, by its logarithm."""
    losses = []
    for row in range(len(outputs)):
        for names in (*EKMAN.values(), *SENTIMENT.values()):
            members = [INDEX[name] for name in names]
            nothing = -sum(np.logaddexp(0, outputs[row, member]) for member in members)
            wanted = max(targets[row, member] for member in members)
            present = np.log(-np.expm1(nothing)) if wanted else 0.0
            losses.append(-(wanted * present + (1 - wanted) * nothing))
    return float(np.mean(losses))


@pytest.mark.parametrize("reach", [1, 8, 20, 40])
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_the_loss_of_groups_is_their_cross_entropy(reach: float, data: st.DataObject) -> None:
    """Ekman's seven and four sentiments, as worked out in double precision; also where an output is quite sure."""
    cells = data.draw(_cells(reach=reach))
    assert float(group_loss(*cells)) == pytest.approx(_group_loss_by_hand(*_exact(*cells)), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("output", "wanted"), [(-40.0, 1.0), (40.0, 0.0)])
def test_a_group_that_is_surely_wrong_is_still_moved(output: float, wanted: float) -> None:
    """All its members say the contrary of the target with certainty: the gradient turns every one of them around."""
    outputs = torch.full((2, 28), output, requires_grad=True)
    group_loss(outputs, torch.full((2, 28), wanted)).backward()  # type: ignore[no-untyped-call]  # torch
    assert outputs.grad is not None
    assert (outputs.grad.sign() == math.copysign(1, output)).all()


@pytest.mark.parametrize("reach", [17.0, 40.0, 120.0])
@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    "loss",
    [
        group_loss,
        lambda outputs, targets: disagreement(outputs, -outputs * targets),
        *(lambda o, t, focus=focus: focal_loss(o, t, focus=focus) for focus in (0.0, 0.5, 1.0, 2.0)),
        *(lambda o, t, focus=focus: asymmetric_loss(o, t, focus=focus) for focus in (0.0, 0.5, 1.0, 2.0)),
    ],
    ids=[
        "groups",
        "disagreement",
        *(f"{name} {focus}" for name in ("focal", "asymmetric") for focus in ("0", "0.5", "1", "2")),
    ],
)
def test_sure_outputs_break_no_loss(loss: Loss, target: float, reach: float) -> None:
    """Outputs whose sigmoid is 0 or 1 to the last bit: the loss and its gradient are numbers."""
    outputs = torch.linspace(-reach, reach, 4 * 28).reshape(4, 28).requires_grad_()
    found = loss(outputs, torch.full((4, 28), target))
    found.backward()  # type: ignore[no-untyped-call]  # torch
    assert outputs.grad is not None
    assert torch.isfinite(found)
    assert torch.isfinite(outputs.grad).all()


@settings(deadline=None, max_examples=50)
@given(pair=_cells(), other=_cells())
def test_disagreement_is_the_symmetric_divergence_of_two_answers(
    pair: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]
) -> None:
    """Half of KL(p, q) + KL(q, p), by the definition; at least 0, the same both ways, and 0 between equal outputs."""
    rows = min(len(pair[0]), len(other[0]))
    one, two = pair[0][:rows], other[0][:rows]
    p, q = (_probability(outputs) for outputs in _exact(one, two))

    def divergence(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
        return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))

    expected = ((divergence(p, q) + divergence(q, p)) / 2).mean()
    assert float(disagreement(one, two)) == pytest.approx(expected, rel=1e-4, abs=1e-7)
    assert float(disagreement(one, two)) == float(disagreement(two, one)) >= 0
    assert float(disagreement(one, one)) == 0


def test_the_recipe_names_the_loss() -> None:
    """Each word gives its loss with the recipe's focus, and the groups are added with their weight."""
    draw = torch.Generator().manual_seed(0)
    outputs, targets = torch.randn(5, 28, generator=draw), (torch.rand(5, 28, generator=draw) < 0.2).float()
    expected = {
        "bce": binary_cross_entropy_with_logits(outputs, targets),
        "mse": mse_loss(outputs, targets),
        "focal": focal_loss(outputs, targets, focus=3.0),
        "asymmetric": asymmetric_loss(outputs, targets, focus=3.0),
    }
    for name, loss in expected.items():
        recipe = Recipe(name="toy", loss=name, focus=3.0)  # type: ignore[arg-type]
        torch.testing.assert_close(objective(recipe)(outputs, targets), loss)
    both = objective(Recipe(name="toy", loss="focal", focus=3.0, groups=0.5))(outputs, targets)
    torch.testing.assert_close(both, expected["focal"] + 0.5 * group_loss(outputs, targets))
    assert len({round(float(loss), 6) for loss in (*expected.values(), both)}) == 5
