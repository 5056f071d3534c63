"""Write what was tried into README.md: python -m tests.faults.table, for all rows; with numbers, for those alone."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from tests.faults.promises import KEPT, PROMISES, lines, read

PAGE = Path(__file__).with_name("README.md")
_HEAD = "<!-- table -->\n\n| row | promise | tried | result |\n|---|---|---|---|\n"
_TABLE = re.compile(re.escape(_HEAD) + r"(.*?)\n*(?=<!-- end -->)", re.DOTALL)


def main(
    rows: Annotated[list[int] | None, typer.Argument(min=1, max=max(PROMISES), help="Rows to write [all]")] = None,
) -> None:
    """Write what was tried (build/faults.json) into README.md."""
    tried = read(KEPT)
    if not tried:
        sys.exit(f"expected what was tried in {KEPT}; run `make test-faults` first.")
    table = lines(tried)
    PAGE.write_text(with_rows(PAGE.read_text("utf-8"), {row: table[row] for row in rows or PROMISES}), "utf-8")


def with_rows(page: str, rows: Mapping[int, tuple[str, str]]) -> str:
    """Give the page with these rows (what was tried, and how it went) in place of its own; the others stay."""
    found = _TABLE.search(page)
    if found is None:
        raise ValueError("expected the table's head between its two marks in README.md")
    written = {int(line.split("|")[1]): line for line in found[1].splitlines()}
    written |= {row: f"| {row} | {PROMISES[row]} | {what} | {result} |" for row, (what, result) in rows.items()}
    table = "".join(f"{written[row]}\n" for row in sorted(written))
    return page[: found.start()] + _HEAD + table + "\n" + page[found.end() :]


if __name__ == "__main__":
    typer.run(main)
