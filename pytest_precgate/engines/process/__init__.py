"""A server process: started, awaited and ended so that nothing of it is left, whatever ends the test run. Linux."""
