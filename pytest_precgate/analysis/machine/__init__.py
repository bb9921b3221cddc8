"""The machine of a launch: its cores and nodes, its load, and what of it makes figures scatter. Pure."""
