"""Rater-level files for tests."""

import csv
from collections.abc import Sequence
from pathlib import Path

from eqn.emotions import EMOTIONS

_COLUMNS = ["text", "id", "rater_id", "example_very_unclear", *EMOTIONS]


def rating(identifier: str, rater: str, *emotions: str, unclear: bool = False) -> dict[str, str]:
    """One row: `rater` chose these emotions."""
    row = {"text": f"text of {identifier}", "id": identifier, "rater_id": rater, "example_very_unclear": str(unclear)}
    return row | dict.fromkeys(EMOTIONS, "0") | dict.fromkeys(emotions, "1")


def write_ratings(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path
