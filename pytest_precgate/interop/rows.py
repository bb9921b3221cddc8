"""A row: what a file states of one point, what the settings or options state beside it, and the point made of both.
Pure.

Invariant: nothing is guessed. A missing value is an error that names it, contradicting values are refused, and an
impossible point is refused with its likely cause."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Literal, NoReturn

from pytest_precgate.analysis.curves.details import PointDetails
from pytest_precgate.analysis.curves.sweep import SweepPoint
from pytest_precgate.analysis.quantity import count, one_line, positive
from pytest_precgate.documents import Node
from pytest_precgate.errors import InvalidValueError
from pytest_precgate.interop.fields import MOST
from pytest_precgate.interop.plausible import why_contradictory, why_impossible
from pytest_precgate.text import printable

Counts = Literal["gpu", "system", "output"]
"""The unit of a throughput: input and output tokens per GPU, those of all GPUs, or only output tokens of all GPUs."""

# How far the mean length of the requests may be from the nominal one, which is the longest: lengths uniform in [0, L]
# average L / 2, a chat template adds some tokens to each prompt.
_SHORTEST_MEAN = 0.4
_LONGEST_MEAN = 1.25
_TEMPLATE_TOKENS = 64


def _count(owner: str, name: str, value: object, unit: str) -> int:
    number = count(owner, name, value, unit)
    if number > MOST:
        raise InvalidValueError(f"{owner}.{name}: got more, wanted at most {MOST} ({unit})")
    return number


@dataclass(frozen=True)
class Stated:
    """Values stated beside a file: as options of the command, or in the settings beside ``path``.

    Raises InvalidValueError for a count below 1 or a name that is not one line of text."""

    gpus: int | None = None
    precision: str | None = None
    hardware: str | None = None
    isl: int | None = None
    osl: int | None = None
    configuration: str | None = None

    def __post_init__(self) -> None:
        for name, unit in (("gpus", "GPUs"), ("isl", "tokens"), ("osl", "tokens")):
            if getattr(self, name) is not None:
                _count("stated", name, getattr(self, name), unit)
        for name in ("precision", "hardware", "configuration"):
            if getattr(self, name) is not None:
                one_line("stated", name, getattr(self, name))

    def __str__(self) -> str:
        named = {name: getattr(self, name) for name in FACTS}
        return ", ".join(f"{name} {value}" for name, value in named.items() if value is not None)


COUNTS = ("gpus", "isl", "osl")
"""The facts that are whole numbers."""
FACTS = tuple(field.name for field in fields(Stated))
NOTHING = Stated()


@dataclass(frozen=True)
class RecordedRow:
    """One point as a file states it; None for a missing value.

    ``interactivity`` is 1 / median tpot in tok/s/user, ``throughput`` in tok/s of the unit ``counts``. ``isl`` and
    ``osl`` are nominal lengths; ``mean_isl`` and ``mean_osl`` the averages of the requests that were sent. ``model`` is
    the tool's name for it. ``details`` are further figures, in our units; ``output_throughput`` becomes one of them: it
    counts output tokens, in tok/s, per GPU where ``counts`` is "gpu", else of all GPUs. Raises InvalidValueError for a
    figure that is not finite and positive."""

    node: Node
    concurrency: int
    interactivity: float
    throughput: float
    counts: Counts = "gpu"
    gpus: int | None = None
    precision: str | None = None
    hardware: str | None = None
    isl: int | None = None
    osl: int | None = None
    mean_isl: float | None = None
    mean_osl: float | None = None
    configuration: str | None = None
    model: str | None = None
    output_throughput: float | None = None
    details: PointDetails | None = None

    def __post_init__(self) -> None:
        for name, unit in (("concurrency", "requests"), ("gpus", "GPUs"), ("isl", "tokens"), ("osl", "tokens")):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _count("point", name, getattr(self, name), unit))
        for name, unit in (
            ("interactivity", "tok/s/user"),
            ("throughput", "tok/s"),
            ("output_throughput", "tok/s"),
            ("mean_isl", "tokens"),
            ("mean_osl", "tokens"),
        ):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, positive("point", name, getattr(self, name), unit))
        for name in ("precision", "hardware", "configuration", "model"):
            if getattr(self, name) is not None:
                one_line("point", name, getattr(self, name))

    def filled(self, stated: Stated) -> RecordedRow:
        """Return the row with missing values filled in from ``stated``.

        When isl and osl are not stated and both averages are whole numbers, these are the lengths."""
        given = {name: getattr(stated, name) for name in FACTS if getattr(self, name) is None}
        row = replace(self, **given)
        means = [mean for mean in (row.mean_isl, row.mean_osl) if mean is not None and mean.is_integer()]
        if row.isl is None and row.osl is None and len(means) == 2:
            return replace(row, isl=int(means[0]), osl=int(means[1]))
        return row

    def refuse_other(self, stated: Stated, whose: str | None = None) -> None:
        """Refuse the row when it contradicts ``stated``: an option or what stands beside ``path``, or where ``whose``
        names it, another side."""
        for name in FACTS:
            got, wanted = getattr(self, name), getattr(stated, name)
            if None in (got, wanted) or got == wanted:
                continue
            says = f"{name} is {printable(str(got))}"
            if whose is not None:
                self.node.fail(f"{says}, {whose} is {wanted}; keep one file per hardware and workload")
            self.node.fail(
                f"{says} in the file, and {wanted} was given with --{name} or beside path in the settings; it is for "
                "what a file does not say: drop it, or read the right file"
            )

    def refuse_lacking(self, names: Iterable[str]) -> None:
        """Refuse the row when it lacks one of ``names``, naming each."""
        lacking = [name for name in names if getattr(self, name) is None]
        if lacking:
            self._lacks(lacking)

    def _lacks(self, lacking: list[str]) -> NoReturn:
        averages = {"isl": (self.mean_isl, "prompts"), "osl": (self.mean_osl, "outputs")}
        told = []
        for name in lacking:
            mean, what = averages.get(name, (None, ""))
            told.append(name if mean is None else f"{name} (its {what} average {mean:.6g} tokens)")
        options = ", ".join(f"--{name}" for name in lacking)
        self.node.fail(
            f"does not say its {', '.join(told)}; give {options} on the command line, or the same beside path in the "
            "settings"
        )

    def point(self, isl: int, osl: int) -> SweepPoint:
        """Return the point under a workload of ``isl`` and ``osl`` tokens.

        Raises the node's error when GPUs are unknown, the requests cannot have been of these lengths, the point is
        impossible, or its details contradict it."""
        self.refuse_lacking(["gpus"])
        assert self.gpus is not None
        self._refuse_length("isl", isl, self.mean_isl)
        self._refuse_length("osl", osl, self.mean_osl)
        of_input, of_output = float(isl), float(osl)
        if self.mean_isl is not None and self.mean_osl is not None:
            of_input, of_output = self.mean_isl, self.mean_osl
        tokens_per_output = (of_input + of_output) / of_output
        throughput = self._per_gpu(self.throughput)
        with self.node.building():
            point = SweepPoint(
                concurrency=self.concurrency,
                gpus=self.gpus,
                interactivity=self.interactivity,
                throughput_per_gpu=throughput * tokens_per_output if self.counts == "output" else throughput,
                configuration="default" if self.configuration is None else self.configuration,
                details=self._details(),
            )
        reason = why_impossible(point, tokens_per_output) or why_contradictory(point, of_input, of_output)
        if reason is not None:
            self.node.fail(reason)
        return point

    def _per_gpu(self, throughput: float) -> float:
        assert self.gpus is not None
        return throughput if self.counts == "gpu" else throughput / self.gpus

    def _details(self) -> PointDetails | None:
        output = self.throughput if self.counts == "output" else self.output_throughput
        if output is None:
            return self.details
        known = PointDetails() if self.details is None else self.details
        return replace(known, output_throughput_per_gpu=self._per_gpu(output))

    def _refuse_length(self, name: str, nominal: int, mean: float | None) -> None:
        if mean is None or _SHORTEST_MEAN * nominal <= mean <= _LONGEST_MEAN * nominal + _TEMPLATE_TOKENS:
            return
        what = "prompts" if name == "isl" else "outputs"
        self.node.fail(
            f"its {what} average {mean:.6g} tokens, so its {name} is not {nominal}; was it another workload?"
        )
