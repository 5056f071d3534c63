"""Geometry of the drawings."""

import re

import pytest

from eqn.pages.charts import HEIGHT, STEPS, WIDTH, bar, histogram_path, step, ticks


def test_bars_are_as_high_as_the_logarithm_of_their_count() -> None:
    """The largest reaches the top, one text can be seen, none draws nothing."""
    path = histogram_path([999, 0, 1, 31], 999)
    heights = [float(height) for height in re.findall(r"v-([\d.]+)", path)]

    assert path.count("M") == 3
    assert heights[0] == HEIGHT
    assert heights[2] == pytest.approx(HEIGHT / 2, abs=0.2)
    assert heights[1] >= 1
    assert all(0 <= float(x) < WIDTH for x in re.findall(r"M([\d.]+)", path))


def test_ticks_are_powers_of_ten_within_the_drawing() -> None:
    found = ticks(5000)

    assert [power for power, _ in found] == [10, 100, 1000]
    assert all(0 <= height <= HEIGHT for _, height in found)
    assert ticks(0) == []


def test_nothing_to_draw_draws_nothing() -> None:
    assert histogram_path([0] * 20, 0) == ""
    assert bar(0, 0) == 0


def test_shades_follow_the_key() -> None:
    assert step(0.009) == 0
    assert [step(limit) for limit in STEPS] == list(range(1, len(STEPS) + 1))
    assert step(1) == len(STEPS)
