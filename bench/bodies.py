"""How much the server's memory grows while many send the worst pictures at once.

``python -m bench.bodies --calls 64``: each call brings a picture of 40 megapixels in a few KB, to
be drawn at 2048x2048, with a mask of the same kind. With ``--long``, a picture of noise that fills
the longest body there may be; ``--keys`` share the calls among them.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import tempfile
from collections import Counter
from pathlib import Path

import httpx
import numpy as np

from bench.fleet import Server, new_key
from limner import imaging
from tests.imaging.hostile import wide_png

BODY = {"prompt": "a knight", "img_width": 2048, "img_height": 2048, "num_inference_steps": 20}
NOISE_SIDE = 2890  # a PNG of 24 MiB


def wide() -> dict[str, str]:
    """Few bytes, many pixels."""
    files = {"image": wide_png("RGBA"), "mask": wide_png("1", color=1)}
    return {name: base64.b64encode(file).decode() for name, file in files.items()}


def long() -> dict[str, str]:
    """As many bytes as are read."""
    noise = np.random.default_rng(1).integers(0, 256, (NOISE_SIDE, NOISE_SIDE, 3), np.uint8)
    return {"image": base64.b64encode(imaging.to_png(noise)).decode()}


async def measure(
    server: Server, keys: list[str], calls: int, content: bytes
) -> tuple[Counter[int], float]:
    """Statuses of ``calls`` submissions of the same body, and the server's most MiB meanwhile."""
    peak = 0.0

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, server.resident_mib)
            await asyncio.sleep(0.02)

    async def send(http: httpx.AsyncClient, key: str) -> int:
        headers = {"x-api-key": key, "content-type": "application/json"}
        return (await http.post("/api/requests", content=content, headers=headers)).status_code

    watching = asyncio.create_task(watch())
    limits = httpx.Limits(max_connections=calls)
    async with httpx.AsyncClient(base_url=server.url, timeout=1200, limits=limits) as http:
        sent = [send(http, keys[number % len(keys)]) for number in range(calls)]
        statuses = await asyncio.gather(*sent)
    watching.cancel()
    return Counter(statuses), peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=64)
    parser.add_argument("--each", type=int, default=1)
    parser.add_argument("--keys", type=int, default=1)
    parser.add_argument("--long", action="store_true")
    options = parser.parse_args()
    body = {**BODY, **(long() if options.long else wide())}
    content = json.dumps({"requests": [body] * options.each}).encode()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/limner.db"
        server = Server(Path(folder), url).wait_ready()
        before = server.resident_mib
        keys = [new_key(url) for _ in range(options.keys)]
        statuses, peak = asyncio.run(measure(server, keys, options.calls, content))
        server.kill()
    print(f"{options.calls} calls of {len(content) / 2**20:.1f} MiB: {dict(statuses)}")
    print(f"the server's memory: {before:.0f} -> {peak:.0f} MiB at most, {peak - before:.0f} more")


if __name__ == "__main__":
    main()
