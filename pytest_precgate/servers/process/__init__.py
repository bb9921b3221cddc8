"""One process and all of its children: started, watched, gone at the end."""
