"""What tests of several modules build: values as a run would have made them, with the one thing a test is about."""
