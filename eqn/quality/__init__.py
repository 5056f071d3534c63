"""The data contract as Great Expectations suites, the gate that applies them, and the data-quality report it leaves."""
