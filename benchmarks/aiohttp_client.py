"""An aiohttp line reader of a few lines: it stands for the clients of vLLM and InferenceX, which are built so.

Usage: aiohttp_client.py PORT CONCURRENCY REQUESTS ISL OSL RATIO. Prints mean TTFT and TPOT (s) and output tok/s."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time

import aiohttp  # type: ignore[import-not-found]


async def main(port: int, concurrency: int, requests: int, isl: int, osl: int, ratio: float) -> None:
    seeded = random.Random(0)
    bodies = [
        {
            "model": "null",
            "prompt": [seeded.randrange(30000) for _ in range(isl)],
            "max_tokens": seeded.randint(int(osl * ratio), osl),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        for _ in range(requests)
    ]
    seen: list[tuple[float, float, float, int]] = []

    async def one(session: aiohttp.ClientSession, body: dict[str, object]) -> None:
        sent = time.perf_counter()
        first = last = 0.0
        tokens = 0
        async with session.post(f"http://127.0.0.1:{port}/v1/completions", json=body) as response:
            async for line in response.content:
                text = line.strip().decode()
                if not text.startswith("data: ") or text == "data: [DONE]":
                    continue
                event = json.loads(text[6:])
                if event["choices"] and event["choices"][0]["text"]:
                    last = time.perf_counter()
                    first = first or last
                elif usage := event.get("usage"):
                    tokens = usage["completion_tokens"]
        seen.append((sent, first, last, tokens))

    async def slot(session: aiohttp.ClientSession) -> None:
        while bodies:
            await one(session, bodies.pop())

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=600)) as session:
        await asyncio.gather(*(slot(session) for _ in range(concurrency)))
    figures = {
        "ttft_s": sum(first - sent for sent, first, _, _ in seen) / len(seen),
        "tpot_s": sum((last - first) / (tokens - 1) for _, first, last, tokens in seen) / len(seen),
        "throughput": sum(r[3] for r in seen) / (max(r[2] for r in seen) - min(r[0] for r in seen)),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:6]]
    asyncio.run(main(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], float(sys.argv[6])))
