"""What a run measured, kept as it happens: an append-only log per suite, for resuming and for judging again."""
