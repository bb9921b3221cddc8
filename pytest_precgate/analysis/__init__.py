"""The pure middle: numbers in, numbers out. No clock, no file, no process, no pytest."""
