"""One process and all of its children: started, watched, stopped."""
