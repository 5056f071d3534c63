"""How figures read."""

import doctest

import pytest

from eqn.pages import findings, wording
from eqn.pages.wording import percent, points


@pytest.mark.parametrize("module", [wording, findings])
def test_the_examples_in_the_docstrings_hold(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]

    assert (found.failed, found.attempted > 0) == (0, True)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, "0"), (0.00004, "<0.1"), (0.001, "0.1"), (0.0994, "9.9"), (0.0999, "10"), (1.0, "100")],
)
def test_shares_keep_the_digits_they_deserve(share: float, expected: str) -> None:
    assert percent(share) == f"{expected}\u00a0%"


def test_what_is_almost_all_is_not_said_to_be_all() -> None:
    """One text of a million that differs keeps 100 % from being true."""
    assert percent(0.999999) == ">99\u00a0%"
    assert points(-0.05) == "−5.0"  # noqa: RUF001  a minus sign
