"""Sweeps, frontiers, curves and comparisons of precisions: numbers in, numbers out."""
