"""Parses HTTP/1.1 answers of a streaming server: bytes in, facts out; no socket and no clock.

Invariant: a response ends where its framing says (chunked, Content-Length, or the end of the connection), so a cut
stream is never taken for a short answer. Everything that could grow without end has a limit."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pytest_precgate.analysis.measure.records import RequestRecord
from pytest_precgate.errors import InvalidValueError, ReadFailedError, ResponseError
from pytest_precgate.loadgen.events import Usage, excerpt
from pytest_precgate.loadgen.sse import TokenStream
from pytest_precgate.loadgen.target import Asked

_HEAD_LIMIT = 65536
_LINE_LIMIT = 4096
_TRAILER_LIMIT = 65536
_CHUNK_LIMIT = 1 << 30
_LENGTH_DIGITS = 18
_USER = re.compile(r"//[^/?#]*@")  # may hold a password
_INTERIM_LIMIT = 20
_BODY_KEPT = 2048
_REFUSED_BODY_LIMIT = 1 << 20


class Response:
    """One response, fed in pieces of any size. ``complete`` once its body has ended; ``begun`` from its first byte on.

    ``path`` is the path of the request, for messages; ``keep_alive`` says whether the connection can carry another
    request."""

    __slots__ = (
        *("_body", "_body_bytes", "_framing", "_head", "_interim", "_path", "_refused"),
        *("begun", "complete", "keep_alive", "stream"),
    )

    def __init__(self, path: str = "") -> None:
        self.stream = TokenStream()
        self._path = path
        self._interim = 0
        self._body_bytes = 0
        self.begun = False
        self.complete = False
        self.keep_alive = True
        self._head = b""
        self._framing: _Chunked | _Sized | _UntilClose | None = None
        # The answer of the server instead of a stream (an HTTP error, another content type), and the beginning of its
        # body.
        self._refused = ""
        self._body = b""

    def feed(self, data: bytes, now_s: float) -> bool:
        """Take the next bytes, received at ``now_s``; return whether the response is complete.

        Raises ResponseError when it is not a stream of tokens: another status, another type, an error, broken framing.
        """
        framing = self._framing
        if framing is None:
            framing, data = self._read_head(data)
            if framing is None:
                return False
        payload = framing.decode(data)
        if payload:
            if self._refused:
                self._keep(payload)
            else:
                self.stream.feed(payload, now_s)
        if framing.ended or (self.stream.done and isinstance(framing, _UntilClose)):
            self._end()
        return self.complete

    def _keep(self, payload: bytes) -> None:
        """Keep the beginning of a body that is not a stream; a body without an end is not read to its end."""
        self._body = (self._body + payload)[:_BODY_KEPT]
        self._body_bytes += len(payload)
        if self._body_bytes > _REFUSED_BODY_LIMIT:
            raise ResponseError(f"{self._refused}: {excerpt(self._body)}")

    def end_of_connection(self) -> None:
        """The server closed. Raises ReadFailedError unless the framing says that the response ends with the
        connection."""
        if not isinstance(self._framing, _UntilClose):
            raise ReadFailedError(
                "the server closed the connection in the middle of its answer"
                if self.begun
                else "the server closed the connection before it answered"
            )
        self._end()

    def _end(self) -> None:
        self.complete = True
        if isinstance(self._framing, _UntilClose) or (self._framing and self._framing.surplus):
            self.keep_alive = False
        if self._refused:
            raise ResponseError(f"{self._refused}: {excerpt(self._body)}" if self._body else self._refused)

    def _read_head(self, data: bytes) -> tuple[_Chunked | _Sized | _UntilClose | None, bytes]:
        self.begun = True
        self._head += data
        while True:
            head, found, rest = self._head.partition(b"\r\n\r\n")
            if not found:
                if len(self._head) > _HEAD_LIMIT:
                    raise ResponseError(f"the head of the answer exceeds {_HEAD_LIMIT} bytes")
                return None, b""
            lines = head.decode("latin-1").split("\r\n")
            version, status, reason = _status(lines[0])
            if status >= 200:
                break
            self._interim += 1
            if self._interim > _INTERIM_LIMIT:
                raise ResponseError(f"more than {_INTERIM_LIMIT} interim answers (HTTP {status}), and no answer")
            self._head = rest  # 100 Continue and similar answers precede the real one
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        self._head = b""
        connection = headers.get("connection", "").lower()
        self.keep_alive = "close" not in connection and (version != "HTTP/1.0" or "keep-alive" in connection)
        self._refused = _refusal(status, reason, headers, self._path)
        self._framing = _framing(headers)
        return self._framing, rest


def _refusal(status: int, reason: str, headers: Mapping[str, str], path: str) -> str:
    """Return the description of an answer that is not a stream of events, "" for a stream; its body has more.

    Raises ResponseError when its body cannot help: a redirect, and a compressed answer."""
    said, where = excerpt(f"HTTP {status} {reason}".rstrip().encode("latin-1")), f" for POST {path}" if path else ""
    if 300 <= status < 400:
        to = excerpt(_USER.sub("//", headers.get("location", "")).encode("latin-1"))
        raise ResponseError(f"{said}{where}: a redirect to {to}; set url to the server that answers")
    if status != 200:
        return f"{said}{where}" if status in (404, 405) else said
    encoding = headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise ResponseError(
            f"the answer is compressed (Content-Encoding: {excerpt(encoding.encode('latin-1'))}) which was not asked "
            "for; turn it off in the server or the proxy before it"
        )
    kind = headers.get("content-type", "")
    shown = excerpt(kind.encode("latin-1")) if kind else "(none)"
    is_stream = "text/event-stream" in kind.lower()
    return "" if is_stream else f"HTTP 200 with content type {shown}, wanted text/event-stream"


class _Chunked:
    """Transfer-Encoding: chunked."""

    __slots__ = ("_held", "_left", "_trailer", "_trailer_bytes", "ended", "surplus")

    def __init__(self) -> None:
        self.ended = False
        self.surplus = False
        self._held = b""
        self._left = 0  # remaining bytes of the open chunk, the CRLF after it included
        self._trailer = False
        self._trailer_bytes = 0

    def decode(self, data: bytes) -> bytes:
        if not self._left and not self._held and not self._trailer:
            # The usual read: one whole chunk.
            at = data.find(b"\r\n")
            try:
                is_whole = 0 < int(data[:at], 16) == len(data) - at - 4 and data.endswith(b"\r\n")
            except ValueError:
                is_whole = False
            if is_whole:
                return data[at + 2 : -2]
        data, self._held = self._held + data, b""
        pieces = []
        at = 0
        while at < len(data) and not self.ended:
            if self._left:
                taken = min(self._left, len(data) - at)
                pieces.append(data[at : at + min(taken, max(0, self._left - 2))])
                self._refuse_overrun(data, at, taken)
                self._left -= taken
                at += taken
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                if len(data) - at > _LINE_LIMIT:
                    raise ResponseError("the chunks of the answer are broken: a size line without an end")
                self._held = data[at:]
                break
            self._take_line(data[at:end])
            at = end + 2
        self.surplus = self.ended and at < len(data)
        return b"".join(pieces)

    def _take_line(self, line: bytes) -> None:
        """A size line, or a line of the trailer, whose empty line ends the body."""
        if self._trailer:
            self.ended = not line
            self._trailer_bytes += len(line) + 2
            if self._trailer_bytes > _TRAILER_LIMIT:
                raise ResponseError(f"the trailer of the answer exceeds {_TRAILER_LIMIT} bytes")
            return
        size = _chunk_size(line)
        self._left = size + 2 if size else 0
        self._trailer = not size

    def _refuse_overrun(self, data: bytes, at: int, taken: int) -> None:
        """The two bytes after a chunk must be CR and LF, else sizes and bytes disagree."""
        for place, wanted in ((self._left - 2, 13), (self._left - 1, 10)):
            if 0 <= place < taken and data[at + place] != wanted:
                raise ResponseError("the chunks of the answer are broken: a chunk is longer than its size says")


class _Sized:
    """Content-Length."""

    __slots__ = ("_left", "ended", "surplus")

    def __init__(self, length: int) -> None:
        self._left = length
        self.ended = not length
        self.surplus = False

    def decode(self, data: bytes) -> bytes:
        payload = data[: self._left]
        self.surplus = len(data) > self._left
        self._left -= len(payload)
        self.ended = not self._left
        return payload


class _UntilClose:
    """Neither: the body ends with the connection."""

    __slots__ = ()
    ended = False
    surplus = False

    def decode(self, data: bytes) -> bytes:
        return data


def _framing(headers: dict[str, str]) -> _Chunked | _Sized | _UntilClose:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return _Chunked()
    length = headers.get("content-length")
    if length is None:
        return _UntilClose()
    if not (length.isascii() and length.isdigit() and len(length) <= _LENGTH_DIGITS):
        raise ResponseError(f"Content-Length: got {length[:40]!r}, wanted a whole number")
    return _Sized(int(length))


def _status(line: str) -> tuple[str, int, str]:
    version, _, rest = line.partition(" ")
    code, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or not (len(code) == 3 and code.isascii() and code.isdigit()):
        raise ResponseError(f"not an HTTP/1.1 answer: {excerpt(line.encode('latin-1'))}")
    return version, int(code), reason


def _chunk_size(line: bytes) -> int:
    try:
        size = int(line.partition(b";")[0], 16)
    except ValueError:
        size = -1
    if not 0 <= size <= _CHUNK_LIMIT:
        raise ResponseError(f"the chunks of the answer are broken: size line {excerpt(line)!r}")
    return size


def completed(sent_s: float, stream: TokenStream, asked: Asked) -> RequestRecord:
    """Return the record of a request whose stream ended, its tokens as the server counted them.

    Raises ResponseError when the counts are missing or differ from what was asked, or nothing was generated.
    """
    usage = stream.usage
    if usage is None:
        raise ResponseError(
            "the stream ended without usage; tokens are not counted from chunks, so the server must honour "
            "stream_options.include_usage"
        )
    if usage.completion_tokens != asked.output_tokens:
        raise ResponseError(
            f"wrong output length: usage says {usage.completion_tokens} tokens, asked for {asked.output_tokens}; "
            "does the server honour ignore_eos?"
        )
    if not asked.is_text and usage.prompt_tokens != asked.input_tokens:
        raise ResponseError(f"wrong input length: usage says {usage.prompt_tokens} tokens, sent {asked.input_tokens}")
    if stream.events > asked.output_tokens:
        raise ResponseError(
            f"{stream.events} events hold generated content and usage counts {usage.completion_tokens} tokens: one of "
            "them is wrong"
        )
    if stream.listed_tokens is not None and stream.listed_tokens > asked.output_tokens:
        raise ResponseError(
            f"the events list {stream.listed_tokens} tokens and usage counts {usage.completion_tokens}: one of them is "
            "wrong"
        )
    if stream.first_token_s is None or stream.last_token_s is None:
        raise ResponseError(
            f"the stream ended without generated content: usage counts {usage.completion_tokens} tokens and no event "
            "shows one"
        )
    try:
        return _record(sent_s, stream, asked, usage)
    except InvalidValueError as exc:  # counts that contradict each other
        raise ResponseError(f"the server's counts are impossible: {exc}") from exc


def _record(sent_s: float, stream: TokenStream, asked: Asked, usage: Usage) -> RequestRecord:
    assert stream.first_token_s is not None
    assert stream.last_token_s is not None
    return RequestRecord(
        sent_s=sent_s,
        first_token_s=stream.first_token_s,
        last_token_s=stream.last_token_s,
        input_tokens=usage.prompt_tokens,
        output_tokens=asked.output_tokens,
        events=stream.events,
        first_tokens=1 if stream.events == asked.output_tokens else stream.first_tokens,
        listed_tokens=stream.listed_tokens,
        cached_tokens=usage.cached_tokens,
        text_tokens=asked.input_tokens if asked.is_text else None,
        acceptance=stream.acceptance,
        told=stream.tells,
        guessed_step_s=stream.guessed_step_s,
    )
