"""tools/fetch_llama_server.py: where the package comes from, and what is left when it cannot be had."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tools import fetch_llama_server as fetch

DOCKER = """\
# a comment
Types: deb
URIs: http://deb.debian.org/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
MOVED = """\
Types: deb
URIs: http://deb.debian.org/debian
Suites: forky
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
KEY_INSIDE = """\
Types: deb deb-src
URIs: https://mirror.example/debian
Suites: stable
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEY865UxYJKwYBBAHaRw8BAQdAd7Z0srwuhlB6JKFkcf4HU4SSS/xcRfwEQWzr
 -----END PGP PUBLIC KEY BLOCK-----
"""


@pytest.mark.parametrize(
    ("sources", "wanted"),
    [
        (DOCKER, MOVED),
        (KEY_INSIDE, KEY_INSIDE.replace("deb deb-src", "deb").replace("stable", "forky").replace("By:\n", "By: \n")),
        ("deb http://deb.debian.org/debian bookworm main\n", "deb http://deb.debian.org/debian forky main\n"),
        (
            "# x\ndeb-src http://m/d bookworm main\ndeb [a=amd64 signed-by=/k.gpg] http://m/d bookworm contrib main\n",
            "deb [a=amd64 signed-by=/k.gpg] http://m/d forky main\n",
        ),
        ("deb http://security.debian.org/debian-security bookworm-security main\n", None),
        ("deb http://m/debian bookworm non-free\n", None),
        ("#deb http://m/debian bookworm main\n", None),
        (DOCKER.replace("Types: deb\n", "Types: deb\nEnabled: no\n"), None),
        (DOCKER.replace("Types: deb\n", "Types: deb-src\n"), None),
        ("Types: deb\nURIs: https://deb.nodesource.com/node_20.x\nSuites: nodistro\nComponents: main\n", None),
        ("", None),
    ],
)  # fmt: skip
def test_the_machine_s_own_archive_is_read_in_another_suite(sources: str, wanted: str | None) -> None:
    """Address, options and keys stay; updates, security, other components and other archives are left out."""
    assert fetch.moved(sources, "bookworm") == wanted


def debian(etc: Path, sources: str = DOCKER) -> Path:
    """An /etc of a Debian machine."""
    folder = etc / "apt" / "sources.list.d"
    folder.mkdir(parents=True)
    (folder / "debian.sources").write_text(sources, encoding="utf-8")
    (etc / "os-release").write_text('ID=debian\nVERSION_CODENAME="bookworm"\n', encoding="utf-8")
    return etc


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


@pytest.fixture
def bin_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing on it but tools that do nothing, and what the test puts there."""
    folder = tmp_path / "bin"
    for name in ("apt-get", "apt-cache", "dpkg"):
        program(folder, name, "exit 0")
    monkeypatch.setenv("PATH", str(folder))
    return folder


def refused(tmp_path: Path, etc: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run the tool, see that it refuses in one line and leaves nothing behind, and return the line."""
    before = sorted(tmp_path.iterdir())
    assert fetch.main(tmp_path / ".llama", etc) == fetch.UNAVAILABLE == 69
    assert sorted(tmp_path.iterdir()) == before
    said = capsys.readouterr()
    assert said.out == ""
    line = said.err.removesuffix("\n")
    assert "\n" not in line
    assert line.startswith("llama-server cannot be had here: ")
    return line


def test_without_debian_s_tools_it_says_so(bin_only: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another system, a Debian without its archive, without apt."""
    etc = tmp_path / "etc"
    etc.mkdir()
    assert "and the package is Debian's" in refused(tmp_path, etc, capsys)
    (etc / "os-release").write_text("ID=fedora\n", encoding="utf-8")
    assert refused(tmp_path, etc, capsys).endswith("this is fedora, and the package is Debian's")
    (etc / "os-release").write_text("ID=debian\n", encoding="utf-8")
    assert "no source of Debian's main archive in" in refused(tmp_path, etc, capsys)
    debian(etc)
    (bin_only / "dpkg").unlink()
    assert refused(tmp_path, etc, capsys).endswith("there is no dpkg")


@pytest.mark.parametrize(
    ("apt", "why"),
    [
        ("echo 'W: Failed to fetch http://m/InRelease  Could not resolve m' >&2", "Could not resolve m"),
        ("echo 'W: GPG error: http://m forky InRelease: NO_PUBKEY 1' >&2", "NO_PUBKEY 1"),
        ("echo 'E: The repository is not signed.' >&2; exit 100", "apt-get update: E: The repository is not signed."),
        ("exit 7", "apt-get update: status 7"),
    ],
)
def test_where_the_registries_lack_it_apt_s_own_words_are_the_reason(
    bin_only: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], apt: str, why: str
) -> None:
    """No network, a signature that cannot be verified: a mere warning to apt is a refusal here."""
    program(bin_only, "apt-get", apt)
    assert why in refused(tmp_path, debian(tmp_path / "etc"), capsys)


def test_a_release_without_the_package_says_so(
    bin_only: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """apt-cache knows no such package."""
    program(bin_only, "apt-cache", "echo 'E: No packages found' >&2; exit 100")
    assert "apt-cache depends: E: No packages found" in refused(tmp_path, debian(tmp_path / "etc"), capsys)


def test_apt_reads_nothing_but_the_moved_source(bin_only: Path, tmp_path: Path) -> None:
    """A folder of its own holds the one source, the lists and the cache; of libraries the whole closure is fetched."""
    depends = {
        "llama.cpp-tools": "  Depends: libllama0\\n |Depends: wget\\n  Depends: curl\\n",
        "libllama0": "  Depends: libc6\\n  Depends: <debconf-2.0>\\n  PreDepends: zlib1g\\n",
        "libc6": "  Depends: libllama0\\n",
    }
    answers = " ".join(f"*{name}*) printf '{lines}';;" for name, lines in depends.items())
    for name in ("apt-get", "apt-cache"):
        program(bin_only, name, f'echo {name} "$@" >> {tmp_path}/calls; case $* in {answers} esac')
    apt = fetch.Apt(tmp_path / "apt", MOVED)
    assert apt.packages() == []
    assert (tmp_path / "apt" / "parts" / "own.sources").read_text(encoding="utf-8") == MOVED
    calls = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
    assert calls[0].startswith("apt-get ")
    assert calls[0].endswith(" update")
    assert calls[-1].endswith(" download llama.cpp-tools libllama0 libc6 zlib1g")
    own = [f"Dir::Etc::sourceparts={tmp_path}/apt/parts", f"Dir::State::lists={tmp_path}/apt/lists"]
    assert all(f"--option={option} " in call for call in calls for option in ("Dir::Etc::sourcelist=/dev/null", *own))


SERVER = (
    """case $1 in --version) echo 'version: 0.7.0 (build 1)' >&2;; --help) echo '{options}';; *) echo "$0 $@";; esac"""
)


def test_a_server_on_the_path_is_used_where_it_knows_the_options(
    bin_only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An older one is not: the suite's command line would be refused by it."""
    monkeypatch.setattr(fetch, "MODELS", ())
    etc = tmp_path / "etc"
    etc.mkdir()
    program(bin_only, "llama-server", SERVER.format(options="--offline"))
    assert "the package is Debian's" in refused(tmp_path, etc, capsys)
    program(bin_only, "llama-server", SERVER.format(options=" ".join(fetch.NEEDED_OPTIONS)))
    monkeypatch.setenv("PATH", f"{bin_only}:/usr/bin:/bin")
    assert fetch.main(tmp_path / ".llama", etc) == 0
    assert "llama-server 0.7.0 (build 1)" in capsys.readouterr().out
    run = subprocess.run([tmp_path / ".llama" / "llama-server", "a b", "c"], capture_output=True, text=True, check=True)
    assert run.stdout == f"{bin_only}/llama-server a b c\n"


def test_what_is_there_stays_until_its_recipe_changes(
    bin_only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second run does nothing; a changed tool makes the folder again, in one step."""
    monkeypatch.setattr(fetch, "MODELS", ())
    program(bin_only, "llama-server", SERVER.format(options=" ".join(fetch.NEEDED_OPTIONS)))
    monkeypatch.setenv("PATH", f"{bin_only}:/usr/bin:/bin")
    folder = tmp_path / ".llama"
    assert fetch.main(folder, tmp_path) == 0
    (folder / "mark").touch()
    capsys.readouterr()
    assert fetch.main(folder, tmp_path) == 0
    assert capsys.readouterr().out == ""
    assert (folder / "mark").exists()
    (folder / "made-by").write_text("another recipe", encoding="utf-8")
    assert fetch.main(folder, tmp_path) == 0
    assert not (folder / "mark").exists()
    assert re.fullmatch("[0-9a-f]{64}", (folder / "made-by").read_text(encoding="utf-8"))
