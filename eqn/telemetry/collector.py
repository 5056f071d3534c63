"""From the ledger to Prometheus' own text."""

import logging
import sqlite3
from collections.abc import Iterable
from typing import TYPE_CHECKING

from eqn.telemetry.families import FAMILIES, Family
from eqn.telemetry.ledger import Ledger, Sample

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

_logger = logging.getLogger("eqn.metrics")


class LedgerCollector:
    """Gives every metric as the ledger holds it at that moment."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def describe(self) -> Iterable["Metric"]:
        """Give no names beforehand: they would be read from a ledger that need not be there yet."""
        return ()

    def collect(self) -> Iterable["Metric"]:
        """Give every metric; one of them tells that the others could not be read."""
        from prometheus_client.metrics_core import Metric

        try:
            samples, readable = self._ledger.read(), 1.0
        except (OSError, sqlite3.Error) as error:
            _logger.warning("the kept metrics cannot be read", exc_info=error)
            samples, readable = [], 0.0
        samples = [*samples, Sample("eqn_telemetry_readable", {}, readable)]
        for family in FAMILIES:
            metric = Metric(family.name, family.meaning, family.kind)
            for sample in samples:
                if sample.name in family.samples:
                    metric.add_sample(sample.name, _ordered(family, sample), sample.value)
            yield metric


def registry_of(ledger: Ledger) -> "CollectorRegistry":
    """Give a registry with the ledger's metrics, and nothing of this process."""
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry(auto_describe=False)
    registry.register(LedgerCollector(ledger))
    return registry


def _ordered(family: Family, sample: Sample) -> dict[str, str]:
    return {label: sample.labels[label] for label in family.labels}
