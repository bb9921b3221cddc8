"""Make a virtual environment with pip in it, also where the system's Python came without ensurepip (Debian's does).

In that case pip's own wheel is fetched from the package index, its hash checked, and run to install itself."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import venv
from pathlib import Path

PIP_ON_PYPI = "https://pypi.org/pypi/pip/json"


def main(directory: Path) -> None:
    if sys.version_info < (3, 10):  # noqa: UP036  # runs under any interpreter
        sys.exit(f"pytest-precgate needs Python 3.10 or later, this is {sys.version.split()[0]}; set PYTHON=...")
    try:
        import ensurepip  # noqa: F401, PLC0415
    except ImportError:
        venv.create(directory, with_pip=False, symlinks=os.name != "nt", clear=True)
        install_pip(directory / "bin" / "python")
    else:
        venv.create(directory, with_pip=True, symlinks=os.name != "nt", clear=True)


def install_pip(python: Path) -> None:
    with urllib.request.urlopen(PIP_ON_PYPI, timeout=60) as response:
        files = json.load(response)["urls"]
    wheel = next(file for file in files if file["packagetype"] == "bdist_wheel")
    # Absolute on pypi.org; a mirror may give it relative to its own answer.
    with urllib.request.urlopen(urllib.parse.urljoin(PIP_ON_PYPI, wheel["url"]), timeout=60) as response:
        content = response.read()
    if hashlib.sha256(content).hexdigest() != wheel["digests"]["sha256"]:
        sys.exit(f"{wheel['filename']} does not have the hash the package index gives for it")
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / wheel["filename"]
        path.write_bytes(content)
        # A wheel is a zip file, and Python runs the package inside it.
        subprocess.run([str(python), str(path / "pip"), "install", "--quiet", str(path)], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
