"""One key floods, four others wait: ``python -m bench.flood --engine fake``.

First the four draw alone, one picture after another each, then the same while another key keeps
``--flood`` requests open. Their median wait may at most double.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx

from bench import fleet

PATH = "/v1/sd1.5-rpg"
BODY = {"prompt": "a knight", "num_inference_steps": 20, "scheduler": "Euler"}
OTHERS = 4


async def draw(http: httpx.AsyncClient, key: str) -> tuple[float, int]:
    """Seconds and status of one picture."""
    began = time.perf_counter()
    answer = await http.post(PATH, json=BODY, headers={"x-api-key": key})
    return time.perf_counter() - began, answer.status_code


async def quiet(http: httpx.AsyncClient, keys: list[str], each: int) -> list[float]:
    """The waits of the others."""

    async def one(key: str) -> list[float]:
        waits = []
        for _ in range(each):
            seconds, status = await draw(http, key)
            if status != 200:
                raise RuntimeError(f"one of the others was answered {status}")
            waits.append(seconds)
        return waits

    return [wait for waits in await asyncio.gather(*map(one, keys)) for wait in waits]


async def flood(http: httpx.AsyncClient, key: str, number: int, statuses: Counter[int]) -> None:
    """``number`` requests at any time, until cancelled."""

    async def one() -> None:
        while True:
            _, status = await draw(http, key)
            statuses[status] += 1
            if status != 200:
                await asyncio.sleep(0.2)

    await asyncio.gather(*(one() for _ in range(number)))


async def measure(server: fleet.Server, url: str, options: argparse.Namespace) -> float:
    keys = [fleet.new_key(url, name=f"other {n}") for n in range(OTHERS)]
    flooding = fleet.new_key(url, name="flood")
    statuses: Counter[int] = Counter()
    limits = httpx.Limits(max_connections=options.flood + OTHERS)
    async with httpx.AsyncClient(base_url=server.url, timeout=600, limits=limits) as http:
        await quiet(http, keys, 2)  # warm
        alone = await quiet(http, keys, options.each)
        crowd = asyncio.create_task(flood(http, flooding, options.flood, statuses))
        await asyncio.sleep(options.lead)
        beside = await quiet(http, keys, options.each)
        crowd.cancel()
        await asyncio.gather(crowd, return_exceptions=True)
    ratio = statistics.median(beside) / statistics.median(alone)
    print(
        f"{options.engine} engine: {OTHERS} keys wait {statistics.median(alone):.2f} s in the "
        f"median (p90 {fleet.quantile(alone, 0.9):.2f}), and {statistics.median(beside):.2f} s "
        f"(p90 {fleet.quantile(beside, 0.9):.2f}) while a fifth keeps {options.flood} requests "
        f"open (its answers: {dict(statuses)}): {ratio:.2f} times; "
        f"{server.resident_mib:.0f} MiB; load {os.getloadavg()[0]:.1f}"
    )
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("fake", "real"), default="fake")
    parser.add_argument("--flood", type=int, default=64)
    parser.add_argument("--each", type=int, default=10, help="pictures for each of the others")
    parser.add_argument("--lead", type=float, default=2.0, help="seconds that the flood is ahead")
    parser.add_argument("--step-s", type=float, default=0.05, help="of the fake engine")
    parser.add_argument("--database", default="sqlite")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="limner-flood-"))
    with fleet.database(options.database, folder) as url:
        server = fleet.Server(folder, url, engine=options.engine, step_s=options.step_s)
        server.wait_ready()
        try:
            ratio = asyncio.run(measure(server, url, options))
        finally:
            server.stop()
    shutil.rmtree(folder)
    if ratio > 2:
        raise SystemExit("the others' median wait more than doubled")


if __name__ == "__main__":
    main()
