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
    """Read ``KIND[=VALUE],...``; raises InvalidValueError for an unknown kind, a value it cannot have, or one twice."""
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
    """Return one line per kind for a person: its name, its value with the default, and what it does."""
    rows = []
    for kind in KINDS.values():
        default = f" ({kind.default:g})" if kind.unit else ""
        rows.append((f"{kind.name}{'=' * bool(kind.unit)}{kind.unit}{default}", kind.about))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:{width}}  {about}" for name, about in rows)


class Manners:
    """All kinds of one server, asked in the order they were given; moments are those of WellBehaved."""

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
        """Return after how many tokens a stream goes wrong: the earliest of the kinds that do."""
        return None if self._derailed is None else self._derailed[0]

    async def derail(self, connection: Connection) -> None:
        """Send what comes instead of the rest of a stream, and close."""
        if self._derailed is not None:
            await self._derailed[1].derail(connection)
        connection.close()

    async def instead_of_answer(self, number: int, request: HttpRequest, connection: Connection) -> bool:
        """Return whether a kind did something else than generate, for the ``number``-th request (from 1)."""
        for kind in self._kinds:
            if await kind.instead_of_answer(number, request, connection):
                return True
        return False

    async def instead_of_message(self, message: bytes, connection: Connection) -> bool:
        """Return whether a kind sent the answer to a GET in its own way."""
        for kind in self._kinds:
            if await kind.instead_of_message(message, connection):
                return True
        return False

    def shown(self, made: int, total: int) -> int:
        """Return how many tokens of an answer may have been sent: the fewest that any kind allows."""
        return min((kind.shown(made, total) for kind in self._kinds), default=made)

    def text(self, numbers: range, total: int) -> str:
        """Return the text of some tokens: the shortest of any kind."""
        return min((kind.text(numbers, total) for kind in self._kinds), key=len, default=TOKEN_TEXT * len(numbers))

    def event(self, number: int, event: bytes) -> bytes:
        """Return what is sent for an event, each kind having had its way with it."""
        for kind in self._kinds:
            event = kind.event(number, event)
        return event

    async def before_end(self, connection: Connection, *, chat: bool) -> None:
        """Do what comes between the last token and the end of a stream."""
        for kind in self._kinds:
            await kind.before_end(connection, chat=chat)

    def usages(self, usage: Usage) -> Sequence[Usage]:
        """Return what the usage is sent as."""
        usages: Sequence[Usage] = (usage,)
        for kind in self._kinds:
            usages = [sent for one in usages for sent in kind.usages(one)]
        return usages
