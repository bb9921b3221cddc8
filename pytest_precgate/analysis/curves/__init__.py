"""Sweeps become curves, curves are read and compared: numbers in, numbers out."""
