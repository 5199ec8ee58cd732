"""How much the server's memory grows while many send the worst pictures at once.

``python -m bench.bodies --calls 64``: each call brings a picture of 40 megapixels in a few KB, to
be drawn at 2048x2048, with a mask of the same kind.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import tempfile
from collections import Counter
from pathlib import Path

import httpx

from bench.fleet import Server, new_key
from tests.imaging.hostile import wide_png

BODY = {"prompt": "a knight", "img_width": 2048, "img_height": 2048, "num_inference_steps": 20}


async def measure(server: Server, key: str, calls: int, each: int) -> tuple[Counter[int], float]:
    """Statuses of ``calls`` submissions of ``each`` bodies, and the server's most MiB meanwhile."""
    picture, mask = (base64.b64encode(wide_png(mode)).decode() for mode in ("RGBA", "1"))
    body = {**BODY, "image": picture, "mask": mask}
    peak = 0.0

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, server.resident_mib)
            await asyncio.sleep(0.02)

    watching = asyncio.create_task(watch())
    headers = {"x-api-key": key}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=1200) as http:
        sent = [http.post("/api/requests", json={"requests": [body] * each}) for _ in range(calls)]
        answers = await asyncio.gather(*sent)
    watching.cancel()
    return Counter(answer.status_code for answer in answers), peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=64)
    parser.add_argument("--each", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/limner.db"
        server = Server(Path(folder), url).wait_ready()
        before = server.resident_mib
        work = measure(server, new_key(url), options.calls, options.each)
        statuses, peak = asyncio.run(work)
        server.kill()
    print(f"{options.calls} calls of {options.each}: {dict(statuses)}")
    print(f"the server's memory: {before:.0f} -> {peak:.0f} MiB at most, {peak - before:.0f} more")


if __name__ == "__main__":
    main()
