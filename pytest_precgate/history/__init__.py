"""The history of judged runs: one line per run and suite, for trends over accepted states. Text (pure), then disk."""
