"""Two hundred clients at once over all surfaces, one key flooding: ``python -m bench.flood``.

``--others`` clients draw one picture after another, ``--share`` of them with the same key, each
over one surface: the hosted service's (JSON, base64, multipart, asynchronous), OpenAI's or
AUTOMATIC1111's. First they are alone; then ``--flooding`` more ask without end, all with one key.
The others' median wait may at most double; every refusal is 429 or 503 with ``Retry-After``.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import os
import shutil
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx

from bench import fleet

WIRE = {"prompt": "a knight, castle hall", "num_inference_steps": 20, "scheduler": "Euler"}
OWN = {"prompt": WIRE["prompt"], "steps": 20, "sampler_name": "Euler", "width": 512, "height": 512}
SURFACES = ("raw", "base64", "form", "later", "openai", "automatic1111")
POLL_S = 0.25


class Client:
    """One client of one surface."""

    def __init__(self, http: httpx.AsyncClient, surface: str, key: str) -> None:
        self.http, self.surface, self.key = http, surface, key

    async def draw(self) -> httpx.Response:
        """The answer with the picture, or the refusal."""
        return await getattr(self, self.surface)()

    async def post(self, path: str, scheme: str = "", **body: object) -> httpx.Response:
        headers = {"authorization": scheme} if scheme else {"x-api-key": self.key}
        return await self.http.post(path, headers=headers, **body)

    async def raw(self) -> httpx.Response:
        return await self.post("/v1/sd1.5-rpg", json=WIRE)

    async def base64(self) -> httpx.Response:
        return await self.post("/v1/sd1.5-rpg", json=WIRE | {"base64": True})

    async def form(self) -> httpx.Response:
        parts = {name: (None, str(value)) for name, value in WIRE.items()}
        return await self.post("/v1/sd1.5-rpg", files=parts)

    async def later(self) -> httpx.Response:
        answer = await self.post("/v2/sd1.5-rpg", json=WIRE)
        while answer.status_code == 200 and answer.json()["status"] in ("QUEUED", "PROCESSING"):
            await asyncio.sleep(POLL_S)
            path = f"/v2/requests/{answer.json()['request_id']}"
            answer = await self.http.get(path, headers={"x-api-key": self.key})
        return answer

    async def openai(self) -> httpx.Response:
        body = {"prompt": WIRE["prompt"], "size": "512x512", "response_format": "b64_json"}
        return await self.post("/v1/images/generations", f"Bearer {self.key}", json=body)

    async def automatic1111(self) -> httpx.Response:
        basic = base64.b64encode(f"bench:{self.key}".encode()).decode()
        return await self.post("/sdapi/v1/txt2img", f"Basic {basic}", json=OWN)


async def steady(clients: list[Client], each: int) -> list[float]:
    """The others' waits, refusals waited out as they say."""

    async def one(client: Client) -> list[float]:
        waits = []
        for _ in range(each):
            began = time.perf_counter()
            while (answer := await client.draw()).status_code in (429, 503):
                await asyncio.sleep(float(answer.headers["retry-after"]))
            if answer.status_code != 200:
                raise RuntimeError(f"{client.surface} answered {answer.status_code} {answer.text}")
            waits.append(time.perf_counter() - began)
        return waits

    return [wait for waits in await asyncio.gather(*map(one, clients)) for wait in waits]


async def flood(clients: list[Client], told: Counter[str]) -> None:
    """Ask again and again, until cancelled; a refused client pauses a fifth of a second."""

    async def one(client: Client) -> None:
        while True:
            answer = await client.draw()
            told[f"{answer.status_code}"] += 1
            if answer.status_code in (429, 503):
                told["without Retry-After"] += "retry-after" not in answer.headers
            if answer.status_code != 200:
                await asyncio.sleep(0.2)

    await asyncio.gather(*map(one, clients))


async def measure(server: fleet.Server, url: str, options: argparse.Namespace) -> list[str]:
    """Prints what happened; what is wrong with it."""
    number, share = options.others, options.share
    keys = [fleet.new_key(url, name=f"other {n}") for n in range(-(-number // share))]
    flooding, told = fleet.new_key(url, name="flood"), Counter[str]()
    limits = httpx.Limits(max_connections=number + options.flooding)
    async with httpx.AsyncClient(base_url=server.url, timeout=600, limits=limits) as http:
        kinds = itertools.cycle(SURFACES)
        others = [Client(http, next(kinds), keys[n // share]) for n in range(number)]
        crowd = [Client(http, next(kinds), flooding) for _ in range(options.flooding)]
        await steady(others, 1)  # warm
        memory = [server.resident_mib]
        alone = await steady(others, options.each)
        memory.append(server.resident_mib)
        running = asyncio.create_task(flood(crowd, told))
        await asyncio.sleep(2.0)
        beside = await steady(others, options.each)
        memory.append(server.resident_mib)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    ratio = statistics.median(beside) / statistics.median(alone)
    print(
        f"{options.engine} engine: {number} clients with {len(keys)} keys wait "
        f"{statistics.median(alone):.2f} s in the median (p90 {fleet.quantile(alone, 0.9):.2f}), "
        f"and {statistics.median(beside):.2f} s (p90 {fleet.quantile(beside, 0.9):.2f}) while "
        f"{options.flooding} more flood with one key (answers {dict(told)}): {ratio:.2f} times; "
        f"{' -> '.join(f'{mib:.0f}' for mib in memory)} MiB; load {os.getloadavg()[0]:.1f}"
    )
    faults = [] if ratio <= 2 else ["the others' median wait more than doubled"]
    strange = {name for name, count in told.items() if count} - {"200", "429", "503"}
    return faults + [f"the flood was told {name}" for name in sorted(strange)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("fake", "real"), default="fake")
    parser.add_argument("--others", type=int, default=100)
    parser.add_argument("--flooding", type=int, default=100)
    parser.add_argument("--share", type=int, default=5, help="clients with the same key")
    parser.add_argument("--each", type=int, default=5, help="pictures for each of the others")
    parser.add_argument("--step-s", type=float, default=0.01, help="of the fake engine")
    parser.add_argument("--database", default="sqlite")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="limner-flood-"))
    with fleet.database(options.database, folder) as url:
        server = fleet.Server(folder, url, engine=options.engine, step_s=options.step_s)
        server.wait_ready()
        try:
            faults = asyncio.run(measure(server, url, options))
        finally:
            server.stop()
    shutil.rmtree(folder)
    if faults:
        raise SystemExit("; ".join(faults))


if __name__ == "__main__":
    main()
