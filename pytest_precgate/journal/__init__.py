"""The journal: an append-only log per suite of what a run measured, for resuming and for judging again."""
