"""Text in: GoEmotions-like splits, the embedded sample, and any csv, tsv, jsonl, parquet or txt of a user."""
