"""Servers that a run starts or attaches to: GPUs, processes, readiness."""
