"""Imports point one way, and each kind of I/O has one module. Read from the source text, nothing is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pytest_precgate
from tests import layers

TEXTS = layers.modules(Path(pytest_precgate.__file__).parent)
RULES = (
    *(layers.arrows, layers.borrowed, layers.doors, layers.dynamic, layers.clocks, layers.purity, layers.catches),
    *(layers.shape, layers.engines),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_module_keeps_the_rule(rule: Callable[[str, str], Iterator[str]]) -> None:
    """Who imports whom, which outside world is whose, what is pure, what is caught, how long anything is."""
    assert [found for module, text in TEXTS.items() for found in rule(module, text)] == []


def test_no_module_imports_itself_by_any_way_round() -> None:
    """Imports under TYPE_CHECKING and inside functions count."""
    assert list(layers.circles(TEXTS)) == []


@pytest.mark.parametrize(
    ("rule", "module", "text", "found"),
    [
        (layers.arrows, "analysis.curves.x", "import pytest_precgate.run.launches", "must not import"),
        (layers.arrows, "analysis.curves.x", "from pytest_precgate.analysis.gating import gates", "must not import"),
        (layers.arrows, "loadgen.x", "from pytest_precgate import settings", "must not import"),
        (layers.arrows, "errors", "from pytest_precgate.text import printable", "must not import"),
        (layers.arrows, "analysis.x", "", "no row of ALLOWED"),
        (layers.arrows, "novel.x", "", "no row of ALLOWED"),
        (layers.arrows, "run.x", "from . import launches", "relative import"),
        (layers.arrows, "run.x", "def f():\n    import pytest_precgate.plugin", "run.x:2: must not import"),
        (
            layers.arrows,
            "analysis.curves.x",
            "import pytest_precgate\npytest_precgate.run.launches",
            "x:2: must not import",
        ),
        (layers.arrows, "analysis.curves.x", "import pytest_precgate as p\np.run.launches", "x:2: must not import"),
        (
            layers.arrows,
            "analysis.curves.x",
            "import pytest_precgate.errors\npytest_precgate.run.x()",
            "x:2: must not import",
        ),
        (layers.borrowed, "run.x", "from pytest_precgate.files import os", "takes os from files"),
        (layers.borrowed, "run.x", "from pytest_precgate.files import os as o", "takes os from files"),
        (layers.borrowed, "run.x", "from pytest_precgate.files import Path", "takes pathlib.Path from files"),
        (layers.borrowed, "run.x", "from pytest_precgate import files\nfiles.os.getpid()", "x:2: takes os from files"),
        (layers.dynamic, "analysis.x", "import importlib\nimportlib.import_module('os')", "must not use importlib"),
        (layers.dynamic, "run.x", "from importlib import import_module as f\nf('os')", "must not use importlib"),
        (layers.doors, "analysis.x", "from importlib import import_module", "must not import importlib"),
        (layers.dynamic, "run.x", "__import__('os')", "must not use __import__"),
        (layers.dynamic, "run.x", "exec('import os')", "must not use exec"),
        (layers.dynamic, "run.x", "run = exec", "must not use exec"),
        (layers.dynamic, "run.x", "eval('1')", "must not use eval"),
        (layers.doors, "analysis.x", "import socket", "must not import socket"),
        (layers.doors, "run.x", "import subprocess", "must not import subprocess"),
        (layers.doors, "servers.pool", "from signal import SIGTERM", "must not import signal"),
        (layers.doors, "run.x", "import pytest", "must not import pytest"),
        (layers.doors, "cli.x", "import requests", "requests is in no list"),
        (layers.doors, "cli.x", "import http.client", "must not import http.client"),
        (layers.clocks, "run.x", "from datetime import datetime\ndatetime.now()", "asks the clock"),
        (layers.clocks, "run.x", "import datetime\ndatetime.datetime.utcnow()", "asks the clock"),
        (layers.clocks, "run.x", "import os\nos.environ", "reads the environment"),
        (layers.clocks, "engines.simulated.x", "import random\nrandom.gauss(0, 1)", "is not seeded"),
        (layers.clocks, "run.x", "from datetime import datetime as d\nd.now()", "asks the clock"),
        (layers.clocks, "run.x", "import datetime as d\nd.date.today()", "asks the clock"),
        (layers.clocks, "servers.process.x", "import os as o\no.environ", "os.environ reads the environment"),
        (layers.clocks, "servers.process.x", "from os import getenv\ngetenv('x')", "os.getenv reads the environment"),
        (layers.clocks, "engines.simulated.x", "from random import gauss\ngauss(0, 1)", "random.gauss is not seeded"),
        (layers.clocks, "engines.simulated.x", "import random as r\nr.random()", "random.random is not seeded"),
        (layers.clocks, "engines.simulated.x", "import random\nrandom.Random()", "give it a seed"),
        (layers.clocks, "engines.simulated.x", "from random import Random as R\nR(None)", "give it a seed"),
        (layers.doors, "analysis.x", "import time as t", "must not import time"),
        (layers.purity, "analysis.x", "import os as o", "is pure"),
        (layers.purity, "reports.x", "from pytest_precgate import files", "is pure and must not import"),
        (layers.purity, "reports.x", "from pytest_precgate.files import replace", "is pure and must not import"),
        (layers.purity, "analysis.x", "import time", "is pure"),
        (layers.purity, "journal.state", "open('x')", "is pure"),
        (layers.purity, "reports.x", "print('x')", "is pure"),
        (layers.catches, "run.x", "try:\n    f()\nexcept Exception:\n    pass", "swallows"),
        (layers.catches, "run.x", "try:\n    f()\nexcept:\n    raise ValueError", "turns every exception"),
        (layers.catches, "run.x", "import contextlib as c\nwith c.suppress(Exception):\n    f()", "suppresses every"),
        (
            layers.catches,
            "run.x",
            "from contextlib import suppress as s\nwith s(OSError, Exception): f()",
            "suppresses",
        ),
        (layers.catches, "run.x", "E = Exception\ntry:\n    f()\nexcept E:\n    pass", "swallows"),
        (layers.catches, "run.x", "A = Exception\nB = (A, OSError)\ntry:\n    f()\nexcept B:\n    pass", "swallows"),
        (layers.shape, "run.x", "x = 1", "without a docstring"),
        (layers.shape, "run.x", '"""Text."""\n' + "x = 1\n" * 400, "401 lines"),
        (layers.shape, "run.x", '"""Text."""\ndef f():\n' + "    x = 1\n" * 50, "f has 51 statements"),
        (layers.engines, "settings.x", "isinstance(engine, Started)", "through its protocol"),
        (layers.engines, "run.x", "isinstance(e, (Started, Attached))", "is a Attached"),
        (layers.engines, "run.x", "isinstance(e, Started | Attached)", "is a Started"),
        (
            layers.engines,
            "run.x",
            "from pytest_precgate.engines.server import Started as S\nisinstance(e, S)",
            "Started",
        ),
        (layers.engines, "run.x", "match e:\n    case Started():\n        pass", "is a Started"),
        (layers.engines, "run.x", "type(e) is VllmEngine", "is a VllmEngine"),
        (layers.engines, "run.x", "e.kind == 'vllm'", "asks an engine for its kind"),
        (layers.engines, "settings.x", "'vllm' in (e.kind,) or e.kind in ('vllm',)", "asks an engine for its kind"),
        (layers.engines, "servers.x", "match e.kind:\n    case 'vllm':\n        pass", "asks an engine for its kind"),
        (layers.engines, "run.forecast", "isinstance(engine, RecordedEngine)", "through its protocol"),
    ],
)
def test_a_planted_violation_is_refused(
    rule: Callable[[str, str], Iterator[str]], module: str, text: str, found: str
) -> None:
    """Each rule sees what it is there for."""
    assert found in "\n".join(rule(module, text))


def test_a_planted_circle_is_refused() -> None:
    """Of two modules and of three, with an import inside a function."""
    two = {"run.a": "import pytest_precgate.run.b", "run.b": "def f():\n    from pytest_precgate.run import a"}
    assert list(layers.circles(two)) == ["run.a -> run.b -> run.a"]
    three = {"a": "import pytest_precgate.b", "b": "import pytest_precgate.c", "c": "import pytest_precgate.a"}
    assert list(layers.circles(three)) == ["a -> b -> c -> a"]
