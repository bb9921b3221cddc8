"""The loop not chosen: uvloop and a BufferedProtocol with one shared buffer, doing as little as such a client can.

It only counts event ends and trusts every byte, so it bounds from below what our client would cost on uvloop. Usage:
uvloop_client.py PORT CONCURRENCY REQUESTS ISL OSL RATIO. Prints mean TTFT and TPOT (s) and output tok/s."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from typing import cast

import uvloop  # type: ignore[import-not-found]

SHARED = bytearray(65536)


class Slot(asyncio.BufferedProtocol):
    """One request after another on one connection, until there is none left."""

    def __init__(self, requests: list[tuple[bytes, int]], seen: list[tuple[float, float, float, int]]) -> None:
        self.requests = requests
        self.seen = seen
        self.done = asyncio.get_running_loop().create_future()
        self.sent = self.first = self.last = 0.0
        self.tokens = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class does not derive from it

    def begin(self) -> None:
        if not self.requests:
            self.done.set_result(None)
            return
        data, self.tokens = self.requests.pop()
        self.first = 0.0
        self.sent = time.monotonic()
        self.transport.write(data)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002
        return SHARED

    def buffer_updated(self, nbytes: int) -> None:
        now = time.monotonic()
        if SHARED.count(b"\n\n", 0, nbytes):
            self.first = self.first or now
            self.last = now
            if SHARED.find(b"completion_tokens", 0, nbytes) >= 0:
                self.seen.append((self.sent, self.first, self.last, self.tokens))
                self.begin()


async def main(port: int, concurrency: int, requests: int, isl: int, osl: int, ratio: float) -> None:
    seeded = random.Random(0)
    encoded = []
    for _ in range(requests):
        tokens = seeded.randint(int(osl * ratio), osl)
        prompt = [seeded.randrange(30000) for _ in range(isl)]
        body = json.dumps(
            {"model": "null", "prompt": prompt, "max_tokens": tokens, "stream": True}, separators=(",", ":")
        )
        head = f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        encoded.append(((head + body).encode(), tokens))
    seen: list[tuple[float, float, float, int]] = []
    loop = asyncio.get_running_loop()
    slots = [
        (await loop.create_connection(lambda: Slot(encoded, seen), "127.0.0.1", port))[1] for _ in range(concurrency)
    ]
    for slot in slots:
        slot.begin()
    await asyncio.gather(*(slot.done for slot in slots))
    figures = {
        "ttft_s": sum(first - sent for sent, first, _, _ in seen) / len(seen),
        "tpot_s": sum((last - first) / (tokens - 1) for _, first, last, tokens in seen) / len(seen),
        "throughput": sum(r[3] for r in seen) / (max(r[2] for r in seen) - min(r[0] for r in seen)),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    uvloop.install()
    numbers = [int(argument) for argument in sys.argv[1:6]]
    asyncio.run(main(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], float(sys.argv[6])))
