"""Gates, their noise and limits, and the verdicts over launches."""
