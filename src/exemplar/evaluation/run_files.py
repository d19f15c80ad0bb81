"""Names of the files in the folder of an evaluation."""

SAMPLES = "samples.parquet"
"""A row a person and method (`records`)."""

SUMMARY = "summary.json"
"""Means by method (`tables.summary_of`)."""

CONFIG = "config.json"
"""Settings, and where they were run."""
