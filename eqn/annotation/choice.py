"""Which back end is fastest here: measured once for each machine and model, and kept in the state folder."""

import dataclasses
import hashlib
import json
import os
import platform
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from eqn.model.back_end_names import NAMES

if TYPE_CHECKING:
    from eqn.model.back_ends import BackEnd
    from eqn.model.package import Package

_TEXTS = 96
"""Texts of a probe: enough for some blocks on each thread, and seconds for the slowest back end."""
_ROUNDS = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """The back end of a model on a machine."""

    name: str
    reason: str
    rates: Mapping[str, float]
    """Texts per second of each back end that was measured."""


def chosen_back_end(package: "Package", folder: Path, *, keep: bool = True) -> Choice:
    """Give the fastest back end for `package` on this machine; measured if no file in `folder` tells it.

    With `keep` what was measured is written there.

    Of two that are within 5 % of each other the more exact one is taken.
    """
    from eqn.model.back_ends import fault_of

    known = _read(_place(package, folder))
    if known is not None and not fault_of(known.name, package):
        return known
    choice = _measured(package)
    if keep:
        keep_choice(choice, package, folder)
    return choice


def keep_choice(choice: Choice, package: "Package", folder: Path) -> None:
    """Write a measured choice into `folder`, unless it stands there."""
    place = _place(package, folder)
    if _read(place) == choice:
        return
    folder.mkdir(parents=True, exist_ok=True)
    temporary = place.with_name(f".tmp-{secrets.token_hex(8)}")
    temporary.write_text(json.dumps(dataclasses.asdict(choice), indent=2) + "\n", "utf-8")
    temporary.replace(place)


def _place(package: "Package", folder: Path) -> Path:
    return folder / f"{package.digest[:16]}-{_machine()}.json"


def choose(rates: Mapping[str, float], faults: Mapping[str, str]) -> Choice:
    """Decide by the rates of those that can be used, in texts per second, and say why the others cannot.

    >>> choose({"fp32": 100.0, "bf16": 300.0}, {"int8": "no ranges"}).reason
    'bf16 did 300 texts/s here, fp32 100; int8: no ranges'
    """
    best = max(rates.values())
    name = next(name for name in reversed(NAMES) if rates.get(name, 0) >= 0.95 * best)
    others = [f"{other} {rates[other]:,.0f}" for other in NAMES if other in rates and other != name]
    measured = ", ".join([f"{name} did {rates[name]:,.0f} texts/s here", *others])
    return Choice(name, "; ".join([measured, *(f"{other}: {fault}" for other, fault in faults.items())]), dict(rates))


def _measured(package: "Package") -> Choice:
    from eqn.corpus.choice import choose_corpus
    from eqn.model.back_ends import BackEnd, fault_of

    texts = choose_corpus(None).test.texts[:_TEXTS]
    faults = {name: fault for name in NAMES if (fault := fault_of(name, package))}
    back_ends = {name: BackEnd(name, package) for name in NAMES if name not in faults}
    rates = dict.fromkeys(back_ends, 0.0)
    for turn in range(_ROUNDS + 1):  # by turns, so that a busy moment of the machine hits them all
        for name, back_end in back_ends.items():
            seconds = _seconds(back_end, texts)
            if turn:  # the first one prepares kernels
                rates[name] = max(rates[name], len(texts) / seconds)
    return choose(rates, faults)


def _seconds(back_end: "BackEnd", texts: tuple[str, ...]) -> float:
    started = time.perf_counter()
    for computing in back_end.start(back_end.encode(texts)):
        computing.future.result()
    return time.perf_counter() - started


def _machine() -> str:
    """Give a digest of what decides about speed: processor or card, number of threads, version of torch."""
    import torch

    card = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    facts = [platform.machine(), _processor(), os.cpu_count(), torch.get_num_threads(), torch.__version__, card]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return "".join(line for line in lines[:30] if line.startswith(("model name", "flags", "Features")))


def _read(place: Path) -> Choice | None:
    try:
        said = json.loads(place.read_text("utf-8"))
        found = Choice(said["name"], str(said["reason"]), dict(said["rates"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.name in NAMES else None
