"""A serving engine in virtual time: step-time model, scheduler and calibration. Pure: no clock is read here."""

from __future__ import annotations

from pytest_precgate.engines.simulated.engine import SimulatedEngine

__all__ = ["SimulatedEngine"]
