"""Prefect entry points: thin flows whose tasks call one function of `eqn` each."""
