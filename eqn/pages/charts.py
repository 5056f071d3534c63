"""Geometry of the page's drawings: numbers for SVG, no markup."""

import math
from collections.abc import Sequence

WIDTH, HEIGHT = 200, 64
"""Size of a histogram in the units of its drawing."""

STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5)
"""From these shares on a cell of the heat map is one step darker."""


def bar(share: float, of: float) -> float:
    """Give the length of a bar in per cent of its track: `share` beside `of`, the longest one."""
    return round(100 * share / of, 2) if of > 0 else 0.0


def histogram_path(counts: Sequence[int], most: int) -> str:
    """Give the outline of bars whose heights are the logarithms of 1 + count; `most` reaches the top."""
    width = WIDTH / len(counts)
    scale = HEIGHT / math.log1p(max(most, 1))
    bars = []
    for place, count in enumerate(counts):
        if count:
            height = max(math.log1p(count) * scale, 1.0)
            bars.append(f"M{place * width + 0.5:g} {HEIGHT}v{-height:.1f}h{width - 1:g}v{height:.1f}z")
    return "".join(bars)


def ticks(most: int) -> list[tuple[int, float]]:
    """Give the powers of ten up to `most`, from 10 on, with their heights from the top."""
    scale = HEIGHT / math.log1p(max(most, 1))
    powers = [10**power for power in range(1, 19) if 10**power <= most]
    return [(power, round(HEIGHT - math.log1p(power) * scale, 1)) for power in powers]


def step(share: float) -> int:
    """Give the step of the heat map's scale, 0 (below the first limit) to len(STEPS)."""
    return sum(share >= limit for limit in STEPS)
