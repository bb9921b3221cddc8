"""One gate run: launches become sweeps, sweeps verdicts, verdicts a report and baselines."""
