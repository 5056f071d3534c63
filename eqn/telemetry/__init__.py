"""How runs go: structured logs, and metrics for Prometheus. Neither ever makes a run fail, or holds a text."""
