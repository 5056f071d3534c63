"""Releases: annotated datasets that are published whole or not at all, and read with everyday tools."""
