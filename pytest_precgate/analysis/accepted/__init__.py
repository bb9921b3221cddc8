"""The accepted state of a suite: fingerprints, baselines, matching a run with its baseline, and baseline updates."""
