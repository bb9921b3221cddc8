"""The exit codes of the ``precgate`` command."""

EXIT_DONE = 0
EXIT_PROBLEMS = 1
"""``baseline check`` found a problem, ``noise`` a gate that no launch can be read for, or
``doctor`` something that a configured suite lacks."""
EXIT_REFUSED = 2
"""The command could not do what was asked."""
EXIT_UNREAD = 141
"""The reader of the output went away (``precgate ... | head``); the shell's convention for SIGPIPE."""
EXIT_INTERRUPTED = 130
"""Ctrl-C ended ``noise``; the shell's convention."""
