"""Write what `make test-faults` tried into README.md: python -m tests.faults.table."""

import re
import sys
from pathlib import Path

from tests.faults.promises import KEPT, PROMISES, lines, read

PAGE = Path(__file__).with_name("README.md")
_TABLE = re.compile(r"(?<=<!-- table -->\n).*?(?=<!-- end -->)", re.DOTALL)


def main() -> None:
    tried = read(KEPT)
    if not tried:
        sys.exit(f"expected what was tried in {KEPT}; run `make test-faults` first.")
    rows = ["| row | promise | tried | result |", "|---|---|---|---|"]
    rows += [f"| {row} | {PROMISES[row]} | {what} | {result} |" for row, (what, result) in lines(tried).items()]
    page = PAGE.read_text("utf-8")
    PAGE.write_text(_TABLE.sub("\n" + "\n".join(rows).replace("\\", "\\\\") + "\n\n", page), "utf-8")


if __name__ == "__main__":
    main()
