"""The load client: runs one point of a closed loop against an OpenAI-compatible server.

Output: request records and measurements of the client itself; analysis decides whether they form a valid point."""

from pytest_precgate.loadgen.closed_loop import OnProgress, Stop
from pytest_precgate.loadgen.plan import Limits, LoadPlan, Progress
from pytest_precgate.loadgen.processes import run_point
from pytest_precgate.loadgen.prompts import Prompts
from pytest_precgate.loadgen.target import Api, Target, Telling

__all__ = ["Api", "Limits", "LoadPlan", "OnProgress", "Progress", "Prompts", "Stop", "Target", "Telling", "run_point"]
