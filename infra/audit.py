"""`make audit`: known advisories on everything that constraints.txt pins, asked of OSV by pip-audit.

The audit cannot pass by skipping. It fails where the feed cannot be reached, where an answer to any pin is missing, and
where the feed does not know what everybody knows: a release of torch with published advisories is asked for as well.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from eqn.errors import ArtifactRefused, StoreUnavailable
from eqn.exits import ending
from infra.lock import LOCK, read_lock

FEED = "https://api.osv.dev/v1/query"
KNOWN_BAD = ("torch", "2.5.1")
"""CVE-2025-32434: weights_only=True did not keep torch.load from running code."""
_SECONDS_TO_ANSWER = 30
_SECONDS = 1800
_OVERLOOKED = "WARNING:pip_audit._service"
"""How pip-audit says that it could make nothing of an advisory and left it out."""

Advisories = dict[str, list[str]]
"""Sentences on each package with advisories."""


def main(arguments: list[str] | None = None) -> int:
    """Audit the lock, and say how many packages were found to be without a known advisory."""
    parser = argparse.ArgumentParser(prog="python -m infra.audit", description=__doc__)
    parser.add_argument("--lock", type=Path, default=LOCK, help="the file of pins; default: constraints.txt")
    parser.add_argument("--feed", default=FEED, help="a service that answers as OSV does; default: %(default)s")
    asked = parser.parse_args(arguments)
    pins = read_lock(asked.lock)
    found = audit(pins, asked.feed)
    if found:
        raise ArtifactRefused(
            f"{len(found)} of {len(pins)} locked packages have known advisories.",
            faults=[sentence for sentences in found.values() for sentence in sentences],
            todo=f"Pin versions in {asked.lock} that are not affected.",
        )
    print(f"{len(pins)} of {len(pins)} locked packages were audited: no known advisory. "
          f"{'=='.join(KNOWN_BAD)} was found, as it must be.")  # fmt: skip
    return 0


def audit(pins: Mapping[str, str], feed: str) -> Advisories:
    """Give the advisories on `pins`, once the feed has shown that it knows any.

    Raises:
        StoreUnavailable: the feed did not answer on every pin, or does not know a package's well-known advisories.

    """
    name, version = KNOWN_BAD
    if name not in _asked({name: version}, feed):
        raise StoreUnavailable(
            f"expected {feed} to know advisories on {name} {version}; it knows none.",
            todo="Name a complete feed with --feed: from this one nothing can be learnt.",
            lasting=True,
        )
    return _asked(pins, feed)


def _asked(pins: Mapping[str, str], feed: str) -> Advisories:
    with tempfile.TemporaryDirectory() as folder:
        requirements, report = Path(folder, "requirements.txt"), Path(folder, "report.json")
        requirements.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()), "utf-8")
        command = [
            *(sys.executable, "-m", "pip_audit", "--strict", "--no-deps", "--disable-pip", "--progress-spinner", "off"),
            *("--vulnerability-service", "osv", "--osv-url", feed, "--timeout", str(_SECONDS_TO_ANSWER)),
            *("--cache-dir", str(Path(folder, "cache"))),  # what an earlier audit was told does not count
            *("--requirement", str(requirements), "--format", "json", "--output", str(report)),
        ]
        own = {name: value for name, value in os.environ.items() if not name.startswith("PIP_AUDIT_")}
        try:
            done = subprocess.run(  # noqa: S603  our own command
                command, env=own, capture_output=True, text=True, check=False, timeout=_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise StoreUnavailable(
                f"expected {feed} to answer on {len(pins)} packages within {_SECONDS // 60} minutes; it did not.",
                todo="Run the same command again later. Nothing was found out.",
            ) from None
        answers = _read(report)
    audited = {
        canonicalize_name(answer["name"]): answer for answer in answers if answer.get("version") and "vulns" in answer
    }
    missing = [f"{name}=={pins[name]}" for name in pins if audited.get(name, {}).get("version") != pins[name]]
    advisories = {name: _sentences(answer) for name, answer in audited.items() if answer["vulns"]}
    overlooked = [line for line in done.stderr.splitlines() if line.startswith(_OVERLOOKED)]
    if missing or overlooked or (done.returncode != 0) != bool(advisories):
        raise StoreUnavailable(
            f"expected {feed} to answer on {len(pins)} packages, in a form that is known; it did not.",
            faults=[
                *(overlooked or done.stderr.strip().splitlines()[-1:])[:5],
                *missing[:5],
                *(["..."] if missing[5:] else []),
            ],
            todo="Run the same command again where the feed can be reached. Nothing was found out.",
        )
    return advisories


def _read(report: Path) -> list[dict[str, Any]]:
    """Give what pip-audit wrote; nothing where it ended before."""
    if not report.exists():
        return []
    answers: list[dict[str, Any]] = json.loads(report.read_text("utf-8"))["dependencies"]
    return answers


def _sentences(answer: Mapping[str, Any]) -> list[str]:
    package = f"{answer['name']} {answer['version']}"
    return [
        f"{package}: {advisory['id']}, mended in {', '.join(advisory['fix_versions']) or 'no version'}"
        for advisory in answer["vulns"]
    ]


if __name__ == "__main__":
    sys.exit(ending(main))
