"""``precgate init``: the files of a first suite, written once everything about them was checked."""
