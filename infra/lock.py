"""The lock: what constraints.txt pins, and whether this environment is made of it."""

import re
from collections.abc import Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from eqn.errors import UsageError

LOCK = Path(__file__).parents[1] / "constraints.txt"
BROUGHT_BY_PYTHON = frozenset({"pip"})
"""What a new environment has and nothing needs: its version is Python's choice, not the lock's."""
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9][A-Za-z0-9._+!-]*)")


def read_lock(path: Path = LOCK) -> dict[str, str]:
    """Give the version of each pinned package, by its canonical name.

    Raises:
        UsageError: there is no such file, or a line is no exact pin; all such lines are named.

    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"expected the lock in {path}: {error.strerror}.") from error
    pins: dict[str, str] = {}
    faults = []
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith("#"):
            found = _PIN.fullmatch(line.strip())
            if not found or canonicalize_name(found[1]) in pins:
                faults.append(f"line {number}: {line.strip()[:80]}")
            else:
                pins[canonicalize_name(found[1])] = found[2]
    if faults or not pins:
        raise UsageError(
            f"expected {path} to pin each package once, as name==version.", faults=faults or ["it is empty"]
        )
    return pins


def installed() -> dict[str, Distribution]:
    """Give what is installed beside this Python, by canonical name."""
    return {canonicalize_name(found.metadata["Name"]): found for found in distributions()}


def needed(root: str = "eqn") -> dict[str, str | None]:
    """Give the version of every package that `root` needs, by its extras and theirs, directly or not.

    It is None where the package is not installed; an extra of `root` may be left out, and its packages with it.
    """
    known = installed()
    waiting = [(root, extra) for extra in (known[root].metadata.get_all("Provides-Extra") or ())]
    waiting.append((root, ""))
    seen = set(waiting)
    absent = set()
    while waiting:
        name, extra = waiting.pop()
        for line in known[name].requires or ():
            requirement = Requirement(line)
            wanted = canonicalize_name(requirement.name)
            if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
                continue
            if wanted in known:
                new = {(wanted, each) for each in (*requirement.extras, "")} - seen
                seen |= new
                waiting += sorted(new)
            elif (name, bool(extra)) != (root, True):
                absent.add(wanted)
    return dict.fromkeys(absent) | {name: known[name].version for name, _ in seen if name != root}


def deviations(pins: Mapping[str, str]) -> list[str]:
    """Say which of the packages that EQN needs are not here as they are pinned; a build's label counts for nothing."""
    faults = []
    for name, version in sorted(needed().items()):
        if name in BROUGHT_BY_PYTHON:
            continue
        if version is None:
            faults.append(f"{name} is needed, and not installed")
        elif name not in pins:
            faults.append(f"{name} {version} is installed, and not in the lock")
        elif version.partition("+")[0] != pins[name].partition("+")[0]:
            faults.append(f"{name} {version} is installed, {pins[name]} is in the lock")
    return faults
