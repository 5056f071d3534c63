"""`make sbom`: what this environment is made of, as CycloneDX, in build/sbom.cdx.json.

python -m infra.sbom [FILE]
"""

import json
import subprocess
import sys
from pathlib import Path

from eqn.errors import ArtifactRefused, EqnError
from eqn.exits import ending
from infra.lock import deviations, read_lock

ROOT = Path(__file__).parents[1]
SBOM = ROOT / "build" / "sbom.cdx.json"


def main() -> int:
    """Write the list, and say how long it is."""
    target = Path(sys.argv[1]) if sys.argv[1:] else SBOM
    print(f"{write_sbom(target)} components in {target}")
    return 0


def write_sbom(target: Path) -> int:
    """Write the list of what is installed beside this Python to `target`; give the number of components.

    The same environment gives the same bytes: no clock and no random number is in it.

    Raises:
        ArtifactRefused: what EQN needs is not installed as constraints.txt pins it; every such package is named.

    """
    faults = deviations(read_lock())
    if faults:
        raise ArtifactRefused(
            "expected the locked environment; this one deviates.",
            faults=faults,
            todo="Make it anew: make clean install",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".tmp-{target.name}")
    # Validation takes minutes, most of them for addresses; a test does it.
    command = [
        *(sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", str(ROOT / "pyproject.toml")),
        *("--output-reproducible", "--no-validate", "--of", "JSON", "--output-file", str(temporary), sys.executable),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own command
        if done.returncode:
            raise EqnError("cyclonedx-py did not write the list.", faults=done.stderr.strip().splitlines()[-3:])
        components: list[object] = json.loads(temporary.read_text("utf-8"))["components"]
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return len(components)


if __name__ == "__main__":
    sys.exit(ending(main))
