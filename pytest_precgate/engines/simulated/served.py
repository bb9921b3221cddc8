"""The simulated engine as a server process, for tests that talk to an engine in a rehearsal.

Invariant: its sweep is computed in virtual time; this server is never measured."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pytest_precgate.analysis.accepted.fingerprint import Fact, Fingerprint
from pytest_precgate.engines.load import LoadSettings, SweepSettings
from pytest_precgate.engines.openai_server import answers_200
from pytest_precgate.engines.server import (
    Confirmed,
    HostContext,
    Network,
    ServerCommand,
    ServerSettings,
    ServerSlot,
    StartedServer,
)
from pytest_precgate.engines.simulated.calibration import Calibration
from pytest_precgate.engines.simulated.model import Limits

_CALIBRATION = "calibration.json"


@dataclass(frozen=True)
class ServedSimulation(StartedServer):
    """``precgate serve-simulated`` of one calibration; it needs no GPU."""

    kind: ClassVar[str] = "simulated"

    settings: ServerSettings
    calibration: Calibration
    limits: Limits

    @staticmethod
    def of(
        name: str, configuration: str, load: SweepSettings, calibration: Calibration, limits: Limits
    ) -> ServedSimulation:
        """Return the server of one simulated configuration; it is not loaded."""
        return ServedSimulation(
            ServerSettings(
                model=name,
                gpus=calibration.gpus,
                load=LoadSettings(load.concurrency),
                configuration=configuration,
                start_timeout_s=60.0,
                occupies_gpus=False,
            ),
            calibration,
            limits,
        )

    def identity(self) -> Mapping[str, Fact]:
        """Return the calibration, the only fact that distinguishes two simulated servers."""
        return {"calibration": self.settings.model}

    def facts(self) -> Mapping[str, Fact]:
        """Return nothing: it is not measured."""
        return {}

    def preflight(self, precision: str, hardware: str, host: HostContext) -> Fingerprint:  # noqa: ARG002  # the protocol's
        """Return nothing: an invalid calibration was refused with the settings."""
        return Fingerprint({})

    def command(self, slot: ServerSlot, host: HostContext) -> ServerCommand:  # noqa: ARG002  # the protocol's
        """Return the project's own command, with the calibration as a file: the settings' path may be relative."""
        path = slot.run_dir / _CALIBRATION
        argv = (
            *(sys.executable, "-m", "pytest_precgate.cli", "serve-simulated"),
            *("--calibration", str(path), "--host", slot.host, "--port", str(slot.port)),
            *("--max-batch", str(self.limits.max_batch)),
        )
        return ServerCommand(argv, files={path: json.dumps(self.calibration.document(), indent=2) + "\n"})

    def is_ready(self, slot: ServerSlot, network: Network) -> bool:
        """Ask ``/health``."""
        return answers_200(slot, network)

    def confirm(self, slot: ServerSlot, network: Network, log: str) -> Confirmed:  # noqa: ARG002  # the protocol's
        """Return the model's name, which is the calibration file's."""
        return Confirmed(model=_CALIBRATION.removesuffix(".json"), facts={"simulated": self.settings.model})

    def cause(self, log: str) -> str | None:  # noqa: ARG002  # the protocol's
        """Return nothing: its last line is the cause."""
        return None
