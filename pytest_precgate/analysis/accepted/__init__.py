"""The accepted state: fingerprint, baseline, what a run is held against, and how it is moved."""
