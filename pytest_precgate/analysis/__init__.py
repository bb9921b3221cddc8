"""The pure part: numbers in, numbers out. It uses no clock, no file, no process and no pytest."""
