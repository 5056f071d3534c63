"""The model: a BERT encoder with 28 outputs, its package on disk, and the scoring of texts."""
