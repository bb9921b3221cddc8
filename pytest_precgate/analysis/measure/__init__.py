"""Computes a point from the records of its requests, or the reason why there is no valid point."""
