"""The error classes. Each message states what, got, wanted, where, and what to do."""

from __future__ import annotations

from collections.abc import Sequence


class PrecgateError(Exception):
    """Base of every error pytest-precgate raises on purpose."""


class PrecgateWarning(UserWarning):
    """A doubtful input that does not stop the run: an input file that may have been cut."""


class InternalFaultError(PrecgateError):
    """An unexpected exception: a fault of this tool. Of the exception itself only its type is shown.

    ``places`` are ``file:line function``, outermost first."""

    def __init__(self, kind: str, places: Sequence[str]) -> None:
        lines = "".join(f"\n  {place}" for place in places)
        super().__init__(
            f"{kind}, which is a fault of pytest-precgate itself: nothing it concerns was judged. Its message is not "
            f"shown, as it may hold a secret; please report it with these places:{lines}"
        )


class InvalidValueError(PrecgateError, ValueError):
    """A value was refused at construction: it is not a number, not positive, a duplicate, an empty list."""


class DocumentError(PrecgateError):
    """A file, table or mark contains something invalid.

    ``source`` is the file or mark, ``spot`` the location inside it (``$.launches[2].points[3].gpus``)."""

    def __init__(self, source: str, spot: str, why: str) -> None:
        super().__init__(f"{source}: {why} @ {spot}" if spot else f"{source}: {why}")
        self.source = source
        self.spot = spot
        self.why = why


class SettingsError(DocumentError):
    """The configuration cannot be used: unknown key, wrong type, a suite that would gate nothing."""


class RecordedPointsError(DocumentError):
    """A file of recorded points cannot be read as a sweep."""


class UnreadableCurveError(PrecgateError):
    """A curve was asked for a value that it does not have."""


class NotMeasuredError(UnreadableCurveError):
    """A curve was asked for a figure that was not measured at one of its points."""

    def __init__(self, label: str, figure: str, point: str) -> None:
        super().__init__(f"{label}: {figure} was not measured at {point}")
        self.label = label
        self.figure = figure


class OutsideSweepError(UnreadableCurveError):
    """A curve was asked for an interactivity outside its measured range, where it has no value.

    ``target``, ``low`` and ``high`` are in tok/s/user; ``label`` names the curve."""

    def __init__(self, label: str, target: float, low: float, high: float) -> None:
        super().__init__(
            f"{label}: {target:g} tok/s/user lies outside the measured range {low:.4g} to {high:.4g} tok/s/user; "
            "a curve is never extrapolated. Move the point inside, or measure lower or higher concurrencies"
        )
        self.label = label
        self.target = target
        self.low = low
        self.high = high


class SweepMismatchError(PrecgateError):
    """Two sweeps cannot be compared: other workload, other hardware, the same name, or no shared band."""


class BaselineError(PrecgateError):
    """Base of errors about a baseline file. The file is left as it was."""


class BaselineCorruptError(BaselineError, DocumentError):
    """A baseline file was not written by this tool in this form: truncated, edited, or a field is missing."""


class BaselineSchemaError(BaselineError):
    """A baseline file was written by a newer version than this one can read."""


class BaselineBusyError(BaselineError):
    """Another run is writing this baseline, or has rewritten it since this run read it."""


class BaselineWriteError(BaselineError):
    """The baseline directory or file cannot be written."""


class BelowAnchorError(BaselineError):
    """An update would leave a gate far below its anchor, and the flag that accepts that was not given."""


class UnlikeBaselineError(BaselineError):
    """Launches cannot be added to a baseline: its facts, version, gates or launches do not allow it."""


class HistoryError(PrecgateError):
    """Base of errors about the history of judged runs. Lines that were there are left as they were."""


class HistoryCorruptError(HistoryError, DocumentError):
    """A line of a history is no entry."""


class HistorySchemaError(HistoryError):
    """A line of a history was written by a newer version than this one can read."""


class GitError(PrecgateError):
    """Git cannot be run, or failed: there is no repository, it is another user's, it did not answer in time."""


class JournalError(PrecgateError):
    """The journal of a run cannot be used. Its lines are left as they were."""


class JournalCorruptError(JournalError, DocumentError):
    """A journal is damaged. A last line without a line end, left by a killed run, is not such an error."""


class JournalSchemaError(JournalError):
    """A journal is of a newer schema than this version reads, or of an older one than it appends to."""


class JournalBusyError(JournalError):
    """Another run is writing this journal."""


class JournalWriteError(JournalError):
    """A run directory or its journal cannot be made, opened for appending, or written."""


class RunNotFoundError(JournalError):
    """There is no recorded run with the given name."""


class RunDiffersError(JournalError):
    """A recorded run was measured under other facts than the present ones; nothing of it is reused."""


class ReplayError(JournalError):
    """A replay needs something that the recorded run does not hold; nothing is measured in its place."""


class UntoldTokensError(InvalidValueError):
    """A figure depends on which events were tokens, or on their number, and the requests of the point did not report
    it."""


class InvalidPointError(PrecgateError):
    """A concurrency was run and gave no valid point: requests failed, the client was saturated, no window was left.

    It never counts as a slow point. ``is_outside`` says that the cause is outside the engine under test, so that the
    same launch may run the point again; ``is_untold`` that requests which ask for the tokens of each event may give a
    valid point."""

    def __init__(self, concurrency: int, why: str, *, is_outside: bool = False, is_untold: bool = False) -> None:
        super().__init__(f"concurrency {concurrency}: not a point: {why}")
        self.concurrency = concurrency
        self.why = why
        self.is_outside = is_outside
        self.is_untold = is_untold


class InconclusivePointError(InvalidPointError):
    """A point was run as often as allowed, and a cause outside the engine disturbed it every time."""

    def __init__(self, concurrency: int, why: str) -> None:
        super().__init__(concurrency, f"INCONCLUSIVE: {why}", is_outside=True)


class GpuDriverError(PrecgateError):
    """The NVIDIA driver exists and does not answer, or a GPU is lost: nothing can be measured on it."""


class CalibrationError(DocumentError):
    """A calibration of the simulated engine is unknown, cannot be read, or does not fit the suite."""


class EngineError(PrecgateError):
    """Base of errors about a server this tool starts.

    When one is raised no process of the server is left, except those that EngineStopError names."""


class PreflightError(EngineError):
    """Refused before anything was started: checkpoint, precision, GPUs, program or command line cannot work."""


class SeveralPreflightError(PreflightError):
    """Several things that cannot work, found in one preflight; ``each`` holds them."""

    def __init__(self, each: Sequence[PreflightError]) -> None:
        super().__init__("; and ".join(str(error) for error in each))
        self.each = tuple(each)


class CheckpointError(PreflightError, DocumentError):
    """A file of a checkpoint is invalid for every engine, or two of its files contradict each other."""


class GpuSettingError(EngineError):
    """Clocks or persistence mode of a GPU cannot be set as the settings ask, or cannot be set back."""


class HostBusyError(EngineError):
    """Other work uses more of the server's and the client's cores than ``load_limit`` allows; nothing was started."""


class GpuBusyError(EngineError):
    """The GPUs are held by another run, or their memory did not come back."""


class EngineStartError(EngineError):
    """A server ended, or reported a failure, before it was ready.

    ``cause`` is the recognised cause in one line, ``log`` the path of its whole output."""

    def __init__(self, what: str, cause: str, log: str, tail: str = "") -> None:
        super().__init__(f"{what}: {cause}; its output: {log}" + (f"\n{tail}" if tail else ""))
        self.what = what
        self.cause = cause
        self.log = log
        self.tail = tail


class PortInUseError(EngineStartError):
    """Another program took the port before the server did. The start is tried again on another port."""


class EngineNotReadyError(EngineStartError):
    """A server was not ready in time, or its log did not grow for too long. It was stopped."""


class EngineDiedError(EngineStartError):
    """A server that had been ready ended, by itself or killed, before it was stopped."""


class EngineStopError(EngineError):
    """A server was stopped and something of it is left: a process, its port, or its GPU memory."""


class LoadError(PrecgateError):
    """Base of errors between the load client and a server. During a point it becomes a failed request."""


class ConnectFailedError(LoadError):
    """No connection: name not known, refused, TLS refused, or no answer in time."""


class SendFailedError(LoadError):
    """The server closed the connection while a request was being sent."""


class ReadFailedError(LoadError):
    """The connection broke before the answer was complete, or a time limit was exceeded."""


class ConnectionResetByPeerError(ReadFailedError, SendFailedError):
    """The connection was reset during a request: by the server, or by a device between it and the client."""


class ResponseError(LoadError):
    """The server answered without the requested tokens: an HTTP status, an error in the stream, wrong counts."""


class LoadProcessError(LoadError):
    """A client process died or could not prepare its share of a point; the others were ended."""


class LoadStoppedError(LoadError):
    """The point was stopped from outside before it was complete; every connection was closed."""
