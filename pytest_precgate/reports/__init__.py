"""A run's findings as text. Pure: values in, text out; whoever asked writes it somewhere."""
