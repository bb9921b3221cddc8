"""The kinds of misbehaviour of one simulated server, combined.

Input: the value of ``--misbehave``. Output: the behaviour at each step of an answer. With no kind every answer is that
of a correct server."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_precgate.documents import nearest
from pytest_precgate.engines.simulated.chunks import TOKEN_TEXT, Usage
from pytest_precgate.engines.simulated.connection import Connection, HttpRequest
from pytest_precgate.engines.simulated.misbehave import KINDS, WellBehaved
from pytest_precgate.errors import InvalidValueError


def read_kinds(text: str) -> tuple[WellBehaved, ...]:
    """Read ``KIND[=VALUE],...``; raises InvalidValueError for an unknown kind, an invalid value, or a repeated kind."""
    kinds: list[WellBehaved] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = word.partition("=")
        if name not in KINDS:
            raise InvalidValueError(f"no such misbehaviour {name!r}; {nearest(name, KINDS)}")
        if any(kind.name == name for kind in kinds):
            raise InvalidValueError(f"{name}: got it twice, wanted it once")
        try:
            kinds.append(KINDS[name](float(value) if equals else None))
        except ValueError as exc:
            if isinstance(exc, InvalidValueError):
                raise
            raise InvalidValueError(f"{name}: got {value!r}, wanted a number") from None
    return tuple(kinds)


def described() -> str:
    """Return one line per kind for the help text: its name, its value with the default, and its effect."""
    rows = []
    for kind in KINDS.values():
        default = f" ({kind.default:g})" if kind.unit else ""
        rows.append((f"{kind.name}{'=' * bool(kind.unit)}{kind.unit}{default}", kind.about))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:{width}}  {about}" for name, about in rows)


class Manners:
    """All kinds of one server, applied in the given order; the steps are those of WellBehaved."""

    def __init__(self, kinds: Sequence[WellBehaved] = ()) -> None:
        self._kinds = kinds
        self.is_gzipped = any(kind.is_gzipped for kind in kinds)
        self.reports_cached = all(kind.reports_cached for kind in kinds)
        self.finishes_apart = any(kind.finishes_apart for kind in kinds)
        frozen = [limit for kind in kinds if (limit := kind.freezes_after()) is not None]
        self.freezes_after = min(frozen, default=None)
        derailed = [(limit, kind) for kind in kinds if (limit := kind.derails_after()) is not None]
        self._derailed = min(derailed, key=lambda pair: pair[0], default=None)

    @property
    def derails_after(self) -> int | None:
        """Return after how many tokens a stream fails: the minimum over the kinds."""
        return None if self._derailed is None else self._derailed[0]

    async def derail(self, connection: Connection) -> None:
        """Send the replacement of the rest of a stream, and close."""
        if self._derailed is not None:
            await self._derailed[1].derail(connection)
        connection.close()

    async def instead_of_answer(self, number: int, request: HttpRequest, connection: Connection) -> bool:
        """Return whether a kind handled the ``number``-th request (from 1) instead of generation."""
        for kind in self._kinds:
            if await kind.instead_of_answer(number, request, connection):
                return True
        return False

    async def instead_of_message(self, message: bytes, connection: Connection) -> bool:
        """Return whether a kind sent the answer to a GET itself."""
        for kind in self._kinds:
            if await kind.instead_of_message(message, connection):
                return True
        return False

    def shown(self, made: int, total: int) -> int:
        """Return how many tokens of an answer may have been sent: the minimum over the kinds."""
        return min((kind.shown(made, total) for kind in self._kinds), default=made)

    def text(self, numbers: range, total: int) -> str:
        """Return the text of some tokens: the shortest of any kind."""
        return min((kind.text(numbers, total) for kind in self._kinds), key=len, default=TOKEN_TEXT * len(numbers))

    def event(self, number: int, event: bytes) -> bytes:
        """Return the bytes of an event after every kind has changed them."""
        for kind in self._kinds:
            event = kind.event(number, event)
        return event

    async def before_end(self, connection: Connection, *, chat: bool) -> None:
        """Do the steps between the last token and the end of a stream."""
        for kind in self._kinds:
            await kind.before_end(connection, chat=chat)

    def usages(self, usage: Usage) -> Sequence[Usage]:
        """Return the events of the usage."""
        usages: Sequence[Usage] = (usage,)
        for kind in self._kinds:
            usages = [sent for one in usages for sent in kind.usages(one)]
        return usages
