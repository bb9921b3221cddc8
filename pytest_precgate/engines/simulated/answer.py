"""One generation in progress: the tokens generated so far become what its client is sent.

Input: token counts from the scheduler. Output: bytes of the stream. Invariant: ``done`` is set when nothing more is
generated for the client: all tokens exist, the stream is broken on purpose, or the client has disconnected. Tokens are
sent at once; the connection's task sends the end of the stream."""

from __future__ import annotations

import asyncio

from pytest_precgate.engines.simulated.chunks import DONE, Chunks
from pytest_precgate.engines.simulated.connection import Connection
from pytest_precgate.engines.simulated.counters import Times
from pytest_precgate.engines.simulated.manners import Manners


class Answer:
    """The answer to one request; ``times`` are kept for the server's counters."""

    def __init__(self, connection: Connection, chunks: Chunks, manners: Manners, times: Times) -> None:
        self.times = times
        self.done = asyncio.Event()
        self._connection = connection
        self._chunks = chunks
        self._manners = manners
        self._made = 0
        self._sent = 0
        self._events = 0
        self._is_finished = False

    @property
    def made(self) -> int:
        """Tokens generated so far."""
        return self._made

    @property
    def is_complete(self) -> bool:
        """Whether all tokens have been generated."""
        return self._made == self._chunks.asked.output_tokens

    def release_if_gone(self) -> None:
        """End the answer when its client has disconnected."""
        if self._connection.gone:
            self.done.set()

    def advance(self, made: int) -> None:
        """Update the number of generated tokens, and send the new ones to the client."""
        self._made = made
        limit = self._manners.derails_after
        if self._chunks.asked.stream:
            shown = self._manners.shown(made, self._chunks.asked.output_tokens)
            self._send_tokens(shown if limit is None else min(shown, limit))
        if self.is_complete or (limit is not None and made >= limit):
            self.done.set()

    async def end(self, cached: int | None) -> bool:
        """Send the rest of the answer; return whether the connection can continue.

        ``cached`` are the prompt tokens taken from a cache, None to report nothing about them."""
        manners, connection, chunks = self._manners, self._connection, self._chunks
        limit = manners.derails_after
        if limit is not None and self._made >= limit:
            await manners.derail(connection)
            return False
        if connection.gone:
            return False
        if not manners.reports_cached:
            cached = None
        if not chunks.asked.stream:
            connection.answer("200 OK", chunks.body(self._made, cached))
            return True
        await manners.before_end(connection, chat=chunks.asked.chat)
        if not self._is_finished:
            self._event(chunks.finish(self._made))
        if chunks.asked.include_usage:
            for usage in manners.usages(chunks.usage(self._made, cached)):
                self._event(chunks.usage_event(usage))
        self._event(DONE)
        connection.end_stream()
        return True

    def _send_tokens(self, shown: int) -> None:
        """Send the tokens up to ``shown`` in one chunk, after the role if they are the first."""
        asked, first = self._chunks.asked, self._sent
        if shown <= first:
            return
        if first == 0 and asked.chat:
            self._event(self._chunks.role())
        self._sent = shown
        self._is_finished = self.is_complete and not self._manners.finishes_apart
        numbers = range(first, shown)
        text = self._manners.text(numbers, asked.output_tokens)
        self._event(self._chunks.tokens(numbers, text, self._made, last=self._is_finished))

    def _event(self, event: bytes) -> None:
        self._connection.send(self._manners.event(self._events, event))
        self._events += 1
