"""The settings of a running server: its address is refused before anything is asked, and never repeated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_precgate.documents import Node
from pytest_precgate.engines import EndpointEngine
from pytest_precgate.errors import SettingsError

HERE = Path(__file__).parent
CERTIFICATE = Path(__file__).parents[1] / "loadgen" / "localhost.pem"
TABLE = {"engine": "endpoint", "url": "https://h:8443", "model": "m", "gpus": 8, "concurrency": [8, 16]}
CHAT = {"api": "chat", "tokenizer": "tokenizer.json"}


def read(changes: Mapping[str, object], base: Path = HERE) -> EndpointEngine:
    return EndpointEngine.read(Node({**TABLE, **changes}, "pyproject.toml", "fp4", SettingsError), base)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://user:hunter2@h/", "holds a user name or a password"),
        ("http://user:hun/ter2@h/", "holds a user name or a password"),
        ("http://hunter2@h/", "holds a user name or a password"),
        ("hunter2:8000", "wanted http://host:port or https://host:port"),
        ("ftp://hunter2", "wanted http://host:port or https://host:port"),
        ("http://h:hunter2", "host or port cannot be read"),
        ("http://[hunter2/", "host or port cannot be read"),
        ("http://h/?key=hunter2", "holds a query or a fragment"),
        ("http://h/#hunter2", "holds a query or a fragment"),
        ("http://h/hunter2 x", "holds a blank"),
        ("http://h/hunter2\x1b", "holds a blank or another character"),
        ("http://h/hunter2/v1/completions", "ends in the path of an API"),
        ("http://h/hunter2/v1/chat/completions/", 'ends in the path of an API.*api = "completions" or "chat"'),
        (["http://user:hunter2@h/"], "wanted a text, like http://host:port"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_and_not_repeated(url: object, why: str) -> None:
    """By its key, when the settings are read, with any secret in it."""
    with pytest.raises(SettingsError, match=rf"^pyproject.toml: {why}.* @ fp4.url$") as refused:
        read({"url": url})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://h", "https://h:8443/", "http://[::1]:8000/v1", "http://10.0.0.1/serving/v1/"])
def test_a_url_may_have_a_path_below_which_the_api_is(url: str) -> None:
    """With /v1 or without, as the server's documentation shows it."""
    assert read({"url": url}).endpoint.url == url


def test_a_path_of_its_own_replaces_the_apis() -> None:
    """OpenVINO's model server answers below /v3."""
    assert read({"path": "/v3/completions"}).endpoint.path == "/v3/completions"
    assert read({"path": "/generate"}).endpoint.path == "/generate"
    assert read({"path": "/v3/chat/completions", **CHAT}).endpoint.path == "/v3/chat/completions"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"path": "v3/completions"}, 'wanted a path of the server that begins with "/"'),
        ({"path": "/v3/completions?x=1"}, 'wanted a path of the server that begins with "/"'),
        ({"path": "/v3/completions\r\nX: 1"}, 'wanted a path of the server that begins with "/"'),
        ({"path": "/v3/completions", "url": "http://h/v1"}, "url has a path, too"),
        ({"path": "/v3/chat/completions"}, "the two must be of one kind"),
        ({"path": "/v3/completions", **CHAT}, "the two must be of one kind"),
    ],
)
def test_a_path_that_cannot_be_posted_to_is_refused(changes: dict[str, object], why: str) -> None:
    """By its key, when the settings are read."""
    with pytest.raises(SettingsError, match=rf"{why}.* @ fp4.path$"):
        read(changes)


def test_a_private_ca_is_read_from_the_settings_directory() -> None:
    """Relative to it, as every path of the settings."""
    assert read({"ca_file": CERTIFICATE.name}, CERTIFICATE.parent).endpoint.ca_file == CERTIFICATE


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"ca_file": "nothing.pem"}, r"nothing\.pem: there is no such file; wanted a PEM file of certificates"),
        ({"ca_file": "empty.pem"}, r"empty\.pem: no certificate can be read from it"),
        ({"ca_file": "key.pem"}, r"key\.pem: no certificate can be read from it"),
        ({"ca_file": "."}, "no certificate can be read from it"),
        ({"ca_file": "key.pem", "url": "http://h"}, "is for https:// and url is http://"),
    ],
)
def test_a_ca_file_without_certificates_is_refused(tmp_path: Path, changes: dict[str, object], why: str) -> None:
    """Before any start: missing, empty, a key alone, a directory, or of no use."""
    (tmp_path / "empty.pem").touch()
    key, _, _ = CERTIFICATE.read_text(encoding="utf-8").partition("-----BEGIN CERTIFICATE")
    (tmp_path / "key.pem").write_text(key, encoding="utf-8")
    with pytest.raises(SettingsError, match=rf"{why}.* @ fp4.ca_file$"):
        read(changes, tmp_path)
