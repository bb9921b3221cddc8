"""Running servers that cannot be loaded are found before anything is started, and no secret of an address is shown."""

from __future__ import annotations

import socket

import pytest

from tests.plugin.sites import SETTINGS, Site
from tests.repository import Repository

SECRET = "hunter2"
ENDPOINT = """
[tool.precgate.suites.kimi.int4]
engine = "endpoint"
url = "{url}"
model = "m"
gpus = 8
concurrency = [1, 8]
"""


def attached(url: str) -> str:
    """The site's suite, its second precision a running server."""
    return SETTINGS.partition("\n[tool.precgate.suites.kimi.int4]")[0] + ENDPOINT.format(url=url)


@pytest.mark.parametrize("flags", [(), ("-l", "--tb=long", "-vv", "--full-trace"), ("--precgate-plan",)])
@pytest.mark.parametrize(
    "url",
    [f"http://user:{SECRET}@127.0.0.1:8000", f"http://h:8000?key={SECRET}", f"{SECRET}:8000", f"http://h:{SECRET}"],
    ids=["a password", "a query", "no scheme", "no port"],
)
def test_a_secret_in_a_url_is_shown_nowhere(repository: Repository, url: str, flags: tuple[str, ...]) -> None:
    """A usage error by its key, before anything starts: not in the output, not in a report, not in a journal."""
    repository.write_settings(attached(url))
    reports = [repository.path / name for name in ("junit.xml", "report.json", "report.md")]
    wanted = (f"--junitxml={reports[0]}", f"--precgate-json={reports[1]}", f"--precgate-markdown={reports[2]}")
    result = repository.run(*wanted, *flags)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: precgate: * @ tool.precgate.suites.kimi.int4.url"])
    assert SECRET not in result.stdout.str() + result.stderr.str()
    written = [path for path in repository.path.rglob("*") if path.is_file() and path.name != "pyproject.toml"]
    assert not [path for path in written if SECRET.encode() in path.read_bytes()]


def test_an_endpoint_that_does_not_answer_is_found_before_an_engine_starts(site: Site) -> None:
    """By its URL, and not after the other precision was loaded and swept."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    site.repository.write_settings(attached(f"http://127.0.0.1:{port}/v1"))
    result = site.repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [f"E *ConnectFailedError: the endpoint does not answer: http://127.0.0.1:{port}: cannot connect: Connection *"]
    )
    assert site.starts(result) == {"fp4": 0, "int4": 0}


def test_a_certificate_file_that_is_none_is_a_usage_error(site: Site) -> None:
    """When the settings are read, by its key."""
    site.repository.write_settings(attached("https://127.0.0.1:1") + 'ca_file = "pyproject.toml"\n')
    result = site.repository.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: precgate: *pyproject.toml: no certificate can be read from it*.int4.ca_file"])
