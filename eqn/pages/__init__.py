"""Pages for people who read results: derived from a release after its commit, rebuilt at any time."""
