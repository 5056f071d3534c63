"""Drift: how a release differs from the one before it, and from what its model was trained on."""
