"""``precgate serve-simulated``: serves the simulated engine behind OpenAI's API.

Input: options. Output: one line with the address once it listens, then nothing until it is interrupted. When it cannot
listen, it prints one line and exits with code 2. Only this command imports the server and asyncio."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_precgate.cli.exits import EXIT_DONE
from pytest_precgate.engines.simulated.calibration import load_calibration
from pytest_precgate.engines.simulated.model import Limits, Speculation
from pytest_precgate.errors import InvalidValueError, PrecgateError

if TYPE_CHECKING:
    from pytest_precgate.engines.simulated.server import ServerOptions, SimulatedServer

_CACHE_TOKENS = 1_000_000
_WIDTH = 78
_COLUMN = 27
"""Where the texts of the kinds of misbehaviour begin."""


class _Help(argparse.Action):
    """``--help`` with the kinds of misbehaviour below the options."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002
        values: str | Sequence[object] | None,  # noqa: ARG002
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        from pytest_precgate.engines.simulated.manners import described  # noqa: PLC0415  # asyncio

        rows = [textwrap.fill(row, _WIDTH, subsequent_indent=" " * _COLUMN) for row in described().splitlines()]
        kinds = "\n".join(["kinds of misbehaviour, each with the default of its value:", *rows])
        parser.epilog = f"{parser.epilog}\n\n{kinds}"
        parser.print_help()
        parser.exit()


def add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the ``precgate`` parser."""
    parser = commands.add_parser(
        "serve-simulated",
        help="serve the simulated engine over HTTP in real time",
        description="Serve the simulated engine behind OpenAI's streaming API, until interrupted.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action=_Help, nargs=0, help="show this help and the kinds of misbehaviour")
    parser.add_argument("--calibration", metavar="NAME", default="kimi-k2.5-b200-fp4-tp4", help="name or .json file")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one; it is printed")
    parser.add_argument("--speed", type=float, default=1.0, help="2 makes every second of the model half a second")
    parser.add_argument("--max-batch", type=int, default=Limits.max_batch, help="requests running at once")
    parser.add_argument("--strict-fields", action="store_true", help="answer unknown request fields with 400")
    parser.add_argument("--prefix-cache", action="store_true", help="keep prompts; what is cached is not prefilled")
    parser.add_argument(
        "--prefix-cache-tokens", type=int, metavar="N", help=f"its size in tokens; default {_CACHE_TOKENS}"
    )
    parser.add_argument("--speculative-tokens", type=int, metavar="N", help="draft tokens of each step and request")
    parser.add_argument(
        "--acceptance-length", type=float, metavar="AL", help="tokens a step emits in the mean, 1 to N + 1"
    )
    parser.add_argument(
        "--padded-steps",
        type=float,
        metavar="SHARE",
        help="decode steps are padded to the next power of two, and take this share of the extra time; 0 to 1",
    )
    parser.add_argument(
        "--misbehave", metavar="KIND[=VALUE],...", default="", help="misbehave; the kinds are listed below"
    )
    parser.set_defaults(run=_serve)


def _serve(options: argparse.Namespace) -> int:
    import asyncio  # noqa: PLC0415  # no other command needs it

    from pytest_precgate.engines.simulated.server import SimulatedServer  # noqa: PLC0415

    calibration = load_calibration(options.calibration, Path.cwd())
    step_time = calibration.step_time
    if options.padded_steps is not None:
        with _naming("--padded-steps"):
            step_time = replace(step_time, padded_steps=options.padded_steps)
    with _naming("--max-batch"):
        limits = Limits(max_batch=options.max_batch)
    name = Path(options.calibration).stem if options.calibration.endswith(".json") else options.calibration
    with _naming("--prefix-cache-tokens"):
        server = SimulatedServer(step_time, limits, name, _server_options(options))

    async def serve() -> None:
        # Python 3.10 raises KeyboardInterrupt inside whichever task runs, and tells of it.
        this = asyncio.current_task()
        assert this is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, this.cancel)
        port = await _listen(server, options.host, options.port)
        host = f"[{options.host}]" if ":" in options.host else options.host
        print(f"SIMULATED {name} on http://{host}:{port}", flush=True)
        await server.serve_for_ever()

    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(serve())
    return EXIT_DONE


def _server_options(options: argparse.Namespace) -> ServerOptions:
    """Read the server's options from the command line; raises PrecgateError naming the option."""
    from pytest_precgate.engines.simulated.manners import read_kinds  # noqa: PLC0415  # asyncio
    from pytest_precgate.engines.simulated.server import ServerOptions  # noqa: PLC0415

    tokens, drafted, accepted = options.prefix_cache_tokens, options.speculative_tokens, options.acceptance_length
    if tokens is not None and not options.prefix_cache:
        raise PrecgateError("--prefix-cache-tokens: got no --prefix-cache, whose size it is; give both")
    if (drafted is None) != (accepted is None):
        raise PrecgateError("--speculative-tokens and --acceptance-length: got one of them, wanted both or neither")
    with _naming("--speculative-tokens, --acceptance-length"):
        speculation = None if drafted is None else Speculation(drafted, accepted)
    with _naming("--misbehave"):
        kinds = read_kinds(options.misbehave)
    if options.prefix_cache and tokens is None:
        tokens = _CACHE_TOKENS
    if not 0 < options.speed < float("inf"):
        raise PrecgateError(f"--speed: got {options.speed:g}, wanted a finite number above 0")
    return ServerOptions(options.speed, options.strict_fields, tokens, speculation, kinds)


@contextlib.contextmanager
def _naming(option: str) -> Iterator[None]:
    """Put the option in front of the error about its value."""
    try:
        yield
    except InvalidValueError as exc:
        raise PrecgateError(f"{option}: {exc}") from exc


async def _listen(server: SimulatedServer, host: str, port: int) -> int:
    """Start the server and return its port; raises PrecgateError when the address cannot be used."""
    where = f"{host or '(empty)'}, port {port}"
    if not host:
        raise PrecgateError(
            "--host: got an empty name, wanted one of this machine's addresses, as 127.0.0.1 or 0.0.0.0"
        )
    try:
        return await server.start(host, port)
    except (OverflowError, ValueError) as exc:  # an invalid port or host name; UnicodeError is a ValueError
        raise PrecgateError(f"cannot listen on {where}: {exc}; wanted a host and a port from 0 to 65535") from exc
    except OSError as exc:
        # asyncio replaces the cause by its own sentence; a name that cannot be resolved has a negative number.
        why = os.strerror(exc.errno) if exc.errno and exc.errno > 0 else exc.strerror or exc
        raise PrecgateError(
            f"cannot listen on {where}: {why}; give another --port (0 takes a free one), or a --host of this machine"
        ) from exc
