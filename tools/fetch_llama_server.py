"""Bring llama-server and a random model in 4 and in 8 bits into a folder: a real engine for tests and the example.

    python tools/fetch_llama_server.py .llama

A llama-server on the PATH is used where it knows the options needed. Otherwise Debian's package is unpacked beside the
system, with its own C library, on any release of Debian: a private apt configuration, made from the machine's
own sources with the suite replaced, downloads it (apt verifies the signatures), and nothing is installed; no root is
needed. The folder appears when everything is in it and llama-server has run.

Exit status: 0 it is there; 69 it cannot be had here, with the reason in one line."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

PACKAGE, SUITE = "llama.cpp-tools", "forky"
# Its libraries down to the C library; not what else it depends on (curl, debconf), which a server does not need.
LIBRARY = re.compile(r"lib|zlib1g$")
NEEDED_OPTIONS = ("--no-kv-unified", "--cache-ram", "--no-cache-prompt", "--offline")
MODELS = ("q4_0", "q8_0")
UNAVAILABLE = 69
APT_TIMEOUT_S = 300.0
ARCHIVE_SUITES = {"oldoldstable", "oldstable", "stable", "testing", "unstable", "sid", SUITE}


class UnavailableError(Exception):
    """The machine or its registries do not have it."""


# --- what apt is to read ----------------------------------------------------------------------------------------------


def moved(sources: str, codename: str) -> str | None:
    """Return the first entry of a file of sources, in either format, that is Debian's main archive: as ``SUITE``."""
    names = {*ARCHIVE_SUITES, codename}
    for line in sources.splitlines():
        found = re.fullmatch(r"(deb\s+(?:\[[^]]*\]\s+)?\S+)\s+(\S+)\s+(.+)", line.strip())
        if found and found[2] in names and "main" in found[3].split():
            return f"{found[1]} {SUITE} main\n"
    for entry in re.split(r"\n\s*\n", re.sub(r"(?m)^#.*\n?", "", sources)):
        fields = dict(re.findall(r"(?m)^([\w-]+):[ \t]*(.*(?:\n[ \t].*)*)", entry))
        words = {key: set(value.split()) for key, value in fields.items()}
        is_main = names & words.get("Suites", set()) and "main" in words.get("Components", ())
        if is_main and "deb" in words.get("Types", ()) and fields.get("Enabled") != "no":
            fields |= {"Types": "deb", "Suites": SUITE, "Components": "main"}
            return "".join(f"{key}: {value}\n" for key, value in fields.items())
    return None


def sources_of(etc: Path) -> str:
    """Return one source in ``SUITE`` made from this machine's own; raise UnavailableError where it has none."""
    release = etc / "os-release"
    facts = dict(
        re.findall(r'(?m)^(\w+)="?([^"\n]*)', release.read_text(encoding="utf-8") if release.is_file() else "")
    )
    if facts.get("ID") != "debian":
        raise UnavailableError(f"this is {facts.get('ID', platform.system())}, and the package is Debian's")
    files = [etc / "apt" / "sources.list", *sorted((etc / "apt" / "sources.list.d").glob("*"))]
    for file in files:
        if file.suffix in (".list", ".sources") and file.is_file():
            source = moved(file.read_text(encoding="utf-8"), facts.get("VERSION_CODENAME", SUITE))
            if source is not None:
                return source
    raise UnavailableError(f"no source of Debian's main archive in {etc / 'apt'}")


# --- apt, apart from the machine's own --------------------------------------------------------------------------------


class Apt:
    """apt with a configuration, lists and a cache of its own under ``folder``; it takes nothing as installed."""

    def __init__(self, folder: Path, source: str) -> None:
        self.folder = folder
        for name in ("parts", "lists/partial", "cache/archives/partial", "packages"):
            (folder / name).mkdir(parents=True)
        name = "own.list" if source.startswith("deb ") else "own.sources"
        (folder / "parts" / name).write_text(source, encoding="utf-8")
        (folder / "status").touch()
        self.options = [
            f"--option={option}"
            for option in (
                "Dir::Etc::sourcelist=/dev/null",
                f"Dir::Etc::sourceparts={folder / 'parts'}",
                "Dir::Etc::preferences=/dev/null",
                "Dir::Etc::preferencesparts=/dev/null",
                f"Dir::State::lists={folder / 'lists'}",
                f"Dir::State::status={folder / 'status'}",
                f"Dir::Cache={folder / 'cache'}",
                "APT::Default-Release=",
                "APT::Sandbox::User=root",  # a folder of ours is closed to the user apt would change to
                "Acquire::Languages=none",
                "Acquire::Retries=2",
                "Acquire::http::Timeout=20",
            )
        ]

    def packages(self) -> list[Path]:
        """Download ``PACKAGE`` and its libraries and return the files."""
        self._run("apt-get", "update")
        names = self._with_libraries()
        self._run("apt-get", "download", *names)
        return sorted((self.folder / "packages").glob("*.deb"))

    def _with_libraries(self) -> list[str]:
        names, new = [], [PACKAGE]
        while new:
            names += new
            listed = self._run("apt-cache", "depends", "--important", *new)
            needed = re.findall(r"(?m)^\s+(?:Pre)?Depends: ([^\s<]+)$", listed)
            new = sorted({name for name in needed if LIBRARY.match(name)} - {*names})
        return names

    def _run(self, program: str, *arguments: str) -> str:
        try:
            run = subprocess.run(
                [program, *self.options, *arguments],
                cwd=self.folder / "packages",
                env={**os.environ, "LC_ALL": "C"},
                capture_output=True,
                text=True,
                check=False,
                timeout=APT_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as exc:
            raise UnavailableError(f"{program} {arguments[0]} took more than {APT_TIMEOUT_S:g} s") from exc
        said = run.stderr.splitlines()
        # A list that cannot be fetched is a mere warning to apt.
        failures = [line for line in said if re.match(r"E: |W: Failed|W: GPG", line)]
        if run.returncode or failures:
            why = failures[0] if failures else "".join(said[-1:])
            raise UnavailableError(f"{program} {arguments[0]}: {why or f'status {run.returncode}'}")
        return run.stdout


# --- the folder -------------------------------------------------------------------------------------------------------


def starter(program: str) -> str:
    """Return a script that becomes ``program``, whose words may use $here, the script's own folder."""
    return f'#!/bin/sh\nhere=$(cd "$(dirname "$0")" && pwd -P)\nexec {program} "$@"\n'


def unpacked(folder: Path, etc: Path) -> str:
    """Unpack the package into ``folder``/root and return how it is started."""
    source = sources_of(etc)
    for program in ("apt-get", "apt-cache", "dpkg"):
        if shutil.which(program) is None:
            raise UnavailableError(f"there is no {program}")
    root = folder / "root"
    with tempfile.TemporaryDirectory() as temporary:
        for package in Apt(Path(temporary), source).packages():
            subprocess.run(["dpkg", "-x", str(package), str(root)], check=True)
    loaders = sorted(root.glob("usr/lib/*/ld-linux*.so.*"))
    if not loaders:
        raise UnavailableError(f"the C library of {SUITE} holds no loader known here")
    libraries = loaders[0].parent
    # ggml looks for its CPU backends beside the program that runs, and that is the loader.
    for backend in libraries.glob("ggml/backends*/libggml-*.so"):
        (libraries / backend.name).symlink_to(backend.relative_to(libraries))
    inside = f"$here/{libraries.relative_to(folder)}"
    return f'"{inside}/{loaders[0].name}" --library-path "{inside}:{inside}/llama" "$here/root/usr/bin/llama-server"'


def on_path(environ: Mapping[str, str]) -> str | None:
    """Return how a llama-server on the PATH is started, if there is one that knows the options needed."""
    found = shutil.which("llama-server", path=environ.get("PATH"))
    if found is None:
        return None
    described = subprocess.run([found, "--help"], capture_output=True, text=True, check=False, timeout=60).stdout
    return shlex.quote(found) if all(option in described for option in NEEDED_OPTIONS) else None


def version_of(server: Path) -> str:
    """Run the server as far as its version; raise UnavailableError where it does not run."""
    run = subprocess.run([str(server), "--version"], capture_output=True, text=True, check=False, timeout=60)
    found = re.search(r"version: (.*)", run.stdout + run.stderr)
    if run.returncode or found is None:
        said = (run.stderr.strip() or run.stdout.strip()).splitlines()
        raise UnavailableError(f"llama-server does not run: {said[-1] if said else f'status {run.returncode}'}")
    return found[1]


def recipe() -> str:
    """Return a hash of what makes the folder: a folder of an older recipe is made again."""
    makers = [Path(__file__), Path(__file__).with_name("make_random_gguf.py")]
    return hashlib.sha256(b"".join(maker.read_bytes() for maker in makers)).hexdigest()


def fill(folder: Path, etc: Path) -> str:
    """Put the server and its models into ``folder`` and return the server's version."""
    server = folder / "llama-server"
    server.write_text(starter(on_path(os.environ) or unpacked(folder, etc)), encoding="utf-8")
    server.chmod(0o755)
    version = version_of(server)
    for model in MODELS:
        maker = Path(__file__).with_name("make_random_gguf.py")
        subprocess.run([sys.executable, str(maker), str(folder / f"random-{model}.gguf"), model], check=True)
    (folder / "made-by").write_text(recipe(), encoding="utf-8")
    return version


def main(directory: Path, etc: Path = Path("/etc")) -> int:
    made = directory / "made-by"
    if made.is_file() and made.read_text(encoding="utf-8") == recipe():
        return 0
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{directory.name}-", dir=directory.parent) as temporary:
        folder = Path(temporary) / directory.name
        folder.mkdir()
        try:
            version = fill(folder, etc)
        except UnavailableError as exc:
            print(f"llama-server cannot be had here: {exc}", file=sys.stderr)
            return UNAVAILABLE
        if directory.exists():
            shutil.rmtree(directory)
        folder.rename(directory)
    print(f"{directory}: llama-server {version}, random model in {' and '.join(MODELS)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
