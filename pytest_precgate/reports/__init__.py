"""Renders a run's findings as text. Pure: values in, text out; the caller writes it."""
