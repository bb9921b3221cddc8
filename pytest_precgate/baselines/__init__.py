"""Committed baselines: their text (schema) and their files (store)."""
