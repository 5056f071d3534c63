"""Annotation: texts, batches of rows and whole files to 28 intensities."""
