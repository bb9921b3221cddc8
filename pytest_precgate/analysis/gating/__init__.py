"""A gate, its noise, its limits, and the verdict over launches."""
