"""The choice of a back end: measured once, kept, and measured again where it no longer holds."""

import dataclasses
import doctest
import json
from pathlib import Path

import pytest
import torch

from eqn.annotation import choice
from eqn.annotation.choice import Choice, choose, chosen_back_end
from eqn.model.back_end_names import NAMES
from eqn.model.back_ends import fault_of
from eqn.model.package import Package, read_package


@pytest.fixture(scope="module")
def whole(package: Path) -> Package:
    return read_package(package)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record which packages are measured, and make it short: a text, a round."""
    monkeypatch.setattr(choice, "_TEXTS", 4)
    monkeypatch.setattr(choice, "_ROUNDS", 1)
    calls: list[str] = []
    measure = choice._measured

    def recorded(package: Package) -> Choice:
        calls.append(package.digest)
        return measure(package)

    monkeypatch.setattr(choice, "_measured", recorded)
    return calls


def kept(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def test_the_example_in_the_docstring_holds() -> None:
    """What the function shows is what it does."""
    assert doctest.testmod(choice).failed == 0


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({"int8": 300.0, "bf16": 200.0, "fp32": 100.0}, "int8"),
        ({"int8": 100.0, "bf16": 200.0, "fp32": 300.0}, "fp32"),
        ({"int8": 100.0, "bf16": 94.0, "fp32": 20.0}, "int8"),
        ({"int8": 100.0, "bf16": 96.0, "fp32": 20.0}, "bf16"),
        ({"int8": 100.0, "bf16": 97.0, "fp32": 96.0}, "fp32"),
        ({"bf16": 96.0, "fp32": 100.0}, "fp32"),
        ({"fp32": 1.0}, "fp32"),
    ],
)
def test_the_fastest_is_taken_and_within_5_percent_the_more_exact(rates: dict[str, float], expected: str) -> None:
    """Whatever the order in which they were measured."""
    for order in (rates, dict(reversed(rates.items()))):
        assert choose(order, {}).name == expected


def test_the_reason_names_all_rates_and_all_faults() -> None:
    """Whoever reads it knows what was compared, and what could not be."""
    found = choose({"fp32": 1234.5, "bf16": 2000.0}, {"int8": "the package brings no ranges"})
    assert found.reason == "bf16 did 2,000 texts/s here, fp32 1,234; int8: the package brings no ranges"
    assert found.rates == {"fp32": 1234.5, "bf16": 2000.0}


def test_what_can_be_used_is_measured_once(whole: Package, measured: list[str], tmp_path: Path) -> None:
    """The second call reads what the first one kept, in a folder that was not there; nothing else is left in it."""
    folder = tmp_path / "state" / "back_ends"
    first = chosen_back_end(whole, folder)
    again = chosen_back_end(whole, folder)

    assert again == first
    assert measured == [whole.digest]
    assert set(first.rates) == {name for name in NAMES if not fault_of(name, whole)}
    assert min(first.rates.values()) > 0
    assert json.loads(kept(folder).read_text("utf-8"))["name"] == first.name


def test_a_kept_choice_is_used_as_it_is(whole: Package, measured: list[str], tmp_path: Path) -> None:
    """Also where somebody wrote another one into the file."""
    chosen_back_end(whole, tmp_path)
    said = {"name": "fp32", "reason": "I said so", "rates": {"fp32": 1.0}}
    kept(tmp_path).write_text(json.dumps(said), "utf-8")

    assert chosen_back_end(whole, tmp_path) == Choice("fp32", "I said so", {"fp32": 1.0})
    assert len(measured) == 1


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b'{"name": "fp32"}',
        b'{"name": "fp32", "reason": "", "rates": 5}',
        b'{"name": "turbo", "reason": "", "rates": {}}',
        b'{"name": ["fp32"], "reason": "", "rates": {}}',
    ],
)
def test_a_damaged_file_is_measured_again(whole: Package, measured: list[str], tmp_path: Path, damaged: bytes) -> None:
    """A state folder may hold anything; the choice is made anew and kept."""
    chosen_back_end(whole, tmp_path)
    kept(tmp_path).write_bytes(damaged)

    found = chosen_back_end(whole, tmp_path)

    assert len(measured) == 2
    assert found.name in NAMES
    assert chosen_back_end(whole, tmp_path) == found
    assert len(measured) == 2


def test_a_back_end_that_is_no_longer_possible_is_measured_again(
    whole: Package, measured: list[str], tmp_path: Path
) -> None:
    """The file says int8 of a package that brings no ranges."""
    without = dataclasses.replace(whole, int8={})
    chosen_back_end(without, tmp_path)
    kept(tmp_path).write_text(json.dumps({"name": "int8", "reason": "", "rates": {"int8": 9.0}}), "utf-8")

    assert chosen_back_end(without, tmp_path).name != "int8"
    assert len(measured) == 2


def test_another_model_and_another_number_of_threads_are_measured_apart(
    whole: Package, measured: list[str], tmp_path: Path
) -> None:
    """What was fastest for one says little of the other."""
    chosen_back_end(whole, tmp_path)
    chosen_back_end(dataclasses.replace(whole, digest="0" * 64), tmp_path)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before + 1)
        chosen_back_end(whole, tmp_path)
    finally:
        torch.set_num_threads(before)
    assert measured == [whole.digest, "0" * 64, whole.digest]
    assert len(list(tmp_path.iterdir())) == 3
