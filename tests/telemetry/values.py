"""What Prometheus would read: the exporter's text as a mapping."""

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from eqn.settings import Settings
from eqn.telemetry.collector import registry_of
from eqn.telemetry.ledger import Ledger


def values(settings: Settings) -> dict[str, float]:
    """Give every sample as `name{label="value",...}`, labels sorted."""
    text = generate_latest(registry_of(Ledger(settings.metrics))).decode()
    return {
        _named(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _named(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inside}}}" if inside else name
