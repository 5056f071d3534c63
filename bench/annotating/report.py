"""What was measured, and what it says: medians, ratios, tables. Pure functions of the figures."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

OURS, COMPUTE, FLOATS = "end_to_end", "compute_only", "compute_only_floats"
"""EQN's own ways beside the peers: file to release, the same back end alone, and the floating-point one alone."""
RAY, BESIDE_RAY = "ray", "end_to_end_beside_ray"
"""File to release by Ray's actors, and by this process in turn with them."""
AGAINST = ("seed", "hf_pipeline", "ort_int8_unsorted", "ort_int8_sorted")
"""Peers that `ratios` compares with."""
TARGETS: Mapping[str, tuple[str, float]] = {
    "seed": (">=", 20),
    "hf_pipeline": (">=", 10),
    "ort_int8_unsorted": (">=", 2.5),
    "ort_int8_sorted": (">=", 1.15),
    "gemm_share": (">=", 0.80),
    "end_to_end_overhead": ("<=", 0.08),
    "memory_growth": ("<=", 1.15),
    "ray": (">=", 0.9),
}
"""What is aimed at, on 2 cores and the mix."""
LARGEST_PEAK = 1_500_000_000
"""Bytes that a job of a million rows may take."""
_WORDS = {
    "seed": "end to end against the seed's way",
    "hf_pipeline": "end to end against the Hugging Face pipeline",
    "ort_int8_unsorted": "end to end against ONNX Runtime int8",
    "ort_int8_sorted": "end to end against ONNX Runtime int8, sorted",
    "gemm_share": "share of the GEMM ceiling, compute only",
    "end_to_end_overhead": "end to end longer than compute only by",
    "memory_growth": "peak memory of the larger job against the smaller",
    "ray": "two Ray actors against one process with two threads",
}


@dataclasses.dataclass(slots=True)
class Workload:
    """The figures of one list of texts."""

    name: str
    lengths: Mapping[str, float]
    """Of `length_facts`."""
    tokens: float
    """Mean tokens of a text, as the model reads it."""
    waste: Mapping[str, float]
    """Share of the rows that are padding, by way."""
    rates: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    """Texts per second in each round, by way."""
    operations: list[float] = dataclasses.field(default_factory=list)
    """Operations per second of the floating-point back end in each round."""

    def add(self, way: str, rate: float) -> None:
        """Note a round."""
        self.rates.setdefault(way, []).append(rate)

    def medians(self) -> dict[str, float]:
        """Give the median rate of each way."""
        return {way: statistics.median(rates) for way, rates in self.rates.items()}


@dataclasses.dataclass(slots=True, kw_only=True)
class Report:
    """All figures of a run; the first workload is the one that the ratios are of."""

    machine: Mapping[str, Any]
    back_end: str
    floats: str
    """The floating-point back end that is held against the ceiling."""
    words: Mapping[str, str]
    """What each way is."""
    shares: Mapping[str, int]
    """One text of so many was given to a way in a round."""
    differences: Mapping[str, float]
    """Mean absolute difference of a way's intensities from float32."""
    workloads: Sequence[Workload]
    ceilings: list[float] = dataclasses.field(default_factory=list)
    """Operations per second of the one large product, in each round."""
    growth: Sequence[Mapping[str, float]] = ()
    """Of `bench.annotating.growth.grown`, the smaller job first."""

    @property
    def ceiling(self) -> float:
        """Give the median ceiling."""
        return statistics.median(self.ceilings)

    def ratios(self, workload: Workload | None = None) -> dict[str, float]:
        """Give the ratios of medians; `ray` only where it was measured."""
        found = workload or self.workloads[0]
        rates = found.medians()
        smaller, larger = self.growth
        ratios = {name: rates[OURS] / rates[name] for name in AGAINST}
        ratios["gemm_share"] = statistics.median(found.operations) / self.ceiling
        ratios["end_to_end_overhead"] = rates[COMPUTE] / rates[OURS] - 1
        ratios["memory_growth"] = larger["peak_bytes"] / smaller["peak_bytes"]
        return ratios | ({RAY: rates[RAY] / rates[BESIDE_RAY]} if RAY in rates else {})

    def as_json(self) -> dict[str, Any]:
        """Give everything as one JSON value; rates are texts per second, the ceiling and operations FLOP per second."""
        return {
            "ratios": self.ratios(),
            "rates": {found.name: found.medians() for found in self.workloads},
            "machine": {**self.machine, "gemm": {"type": self.floats, "rate": self.ceiling}},
            "back_end": self.back_end,
            "workloads": {
                found.name: {
                    "characters": dict(found.lengths),
                    "tokens": found.tokens,
                    "padding_waste": dict(found.waste),
                    "rounds": found.rates,
                    "operations": found.operations,
                    "ratios": self.ratios(found),
                }
                for found in self.workloads
            },
            "shares": dict(self.shares),
            "differences": dict(self.differences),
            "growth": [dict(job) for job in self.growth],
        }

    def tables(self) -> dict[str, list[dict[str, str]]]:
        """Give the tables for people, by title; the keys of a table's rows are its columns."""
        return {
            "Ratios": self._ratio_rows(),
            "Texts per second, medians": self._rate_rows(),
            "Texts": [self._text_row(found) for found in self.workloads],
            "Jobs of three-word texts, each in a fresh process": [_job_row(job) for job in self.growth],
        }

    def about(self) -> str:
        """Say in a sentence what was measured on."""
        machine = self.machine
        features = f" with {' and '.join(machine['features'])}" if machine["features"] else ""
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        return (
            f"{machine['cores']} cores of a processor{features} ({machine['processor']}), {machine['threads']} threads "
            f"for every way; {versions}. EQN's back end: {self.back_end}. GEMM ceiling measured in the same run: "
            f"{self.ceiling / 1e9:,.0f} GFLOP/s in {self.floats}."
        )

    def _ratio_rows(self) -> list[dict[str, str]]:
        main = self.ratios()
        others = {found.name: self.ratios(found) for found in self.workloads[1:]}
        rows = []
        for name, ratio in main.items():
            way, limit = TARGETS[name]
            meets = ratio >= limit if way == ">=" else ratio <= limit
            row = {"ratio": _WORDS[name], self.workloads[0].name: _told(name, ratio)}
            row |= {other: _told(name, found[name]) if name in found else "-" for other, found in others.items()}
            rows.append(row | {"target": f"{way} {_told(name, limit)}", "met": "yes" if meets else "no"})
        return rows

    def _rate_rows(self) -> list[dict[str, str]]:
        rows = []
        for way in self.workloads[0].rates:
            row = {"way": self.words[way]}
            for found in (found for found in self.workloads if way in found.rates):
                low, high = min(found.rates[way]), max(found.rates[way])
                row[found.name] = f"{found.medians()[way]:,.0f} ({low:,.0f} to {high:,.0f})"
                row[f"padding, {found.name}"] = f"{found.waste[way]:.1%}" if way in found.waste else "-"
            row["one text of"] = str(self.shares.get(way, 1))
            row["from fp32"] = f"{self.differences[way]:.5f}" if way in self.differences else "-"
            rows.append(row)
        return rows

    @staticmethod
    def _text_row(found: Workload) -> dict[str, str]:
        return {"texts": found.name, "number": f"{found.lengths['texts']:,}"} | {
            f"{name} characters": f"{found.lengths[name]:,.0f}" for name in ("mean", "median", "p95", "max")
        } | {"mean tokens": f"{found.tokens:.1f}"}  # fmt: skip


def markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """Give rows as a Markdown table.

    >>> print(markdown([{"way": "a", "rate": "1"}]))
    | way | rate |
    |---|---|
    | a | 1 |
    """
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    return "\n".join(lines + ["| " + " | ".join(row.values()) + " |" for row in rows])


def _told(name: str, ratio: float) -> str:
    if name in {"gemm_share", "end_to_end_overhead"}:
        return f"{ratio:.1%}"
    return f"{ratio:.2f}"


def _job_row(job: Mapping[str, float]) -> dict[str, str]:
    return {
        "rows": f"{job['rows']:,}",
        "seconds": f"{job['seconds']:.1f}",
        "rows/s": f"{job['rows'] / job['seconds']:,.0f}",
        "peak memory": f"{job['peak_bytes'] / 1e6:,.0f} MB",
    }
