"""``python -m pytest_precgate.cli`` is the ``precgate`` command."""

import sys

from pytest_precgate.cli import main

if __name__ == "__main__":
    sys.exit(main())
