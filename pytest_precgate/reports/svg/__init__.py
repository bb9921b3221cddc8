"""A run's picture as one SVG, made without a browser: curves, targets with verdicts, the changes of the gates."""
