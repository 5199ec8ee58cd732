"""Two hundred clients at once over all surfaces, one key flooding: ``python -m bench.flood``.

``--others`` clients draw one picture after another, ``--share`` of them with the same key, each
over one surface: the hosted service's (JSON, base64, multipart, asynchronous), OpenAI's or
AUTOMATIC1111's. First they are alone; then ``--flooding`` more ask without end, all with one key.
The others' median wait may at most double; every refusal is 429 or 503 with ``Retry-After``. With
``--faults ODDS`` steps, decoding, files and transactions fail now and then: whoever is told so asks
again, and has paid nothing; how long that takes is told and not judged. At the end the books must
be right.
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
FAILED = ("500", "422 FAILED")
"""What a fault does to a request: told at once, or to whoever asks for an accepted one."""


class Client:
    """One client of one surface."""

    def __init__(self, http: httpx.AsyncClient, surface: str, key: str) -> None:
        self.http, self.surface, self.key = http, surface, key

    async def draw(self) -> httpx.Response:
        """The answer with the picture, or the refusal."""
        return await getattr(self, self.surface)()

    def has_drawn(self, answer: httpx.Response, faults: bool) -> bool:
        """Or was refused, or met a fault that was planted; anything else is an error."""
        if kind(answer) in {"200", "429", "503", *FAILED * faults}:
            return answer.status_code == 200
        raise RuntimeError(f"{self.surface} answered {answer.status_code} {answer.text}")

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


async def steady(clients: list[Client], each: int, told: Counter[str], faults: bool) -> list[float]:
    """The others' waits, refusals waited out as they say; what is wrong with them goes to ``told``.

    ``faults``: some are planted, and waited out like refusals.
    """

    async def one(client: Client) -> list[float]:
        waits = []
        for _ in range(each):
            began = time.perf_counter()
            while not client.has_drawn(answer := await client.draw(), faults):
                await asyncio.sleep(float(answer.headers.get("retry-after", 0.2)))
                note(answer, told, faults)
            waits.append(time.perf_counter() - began)
        return waits

    return [wait for waits in await asyncio.gather(*map(one, clients)) for wait in waits]


def kind(answer: httpx.Response) -> str:
    """Its status, and what became of the request where it tells that."""
    failed = answer.status_code == 422 and answer.json().get("status") == "FAILED"
    return f"{answer.status_code}{' FAILED' * failed}"


def note(answer: httpx.Response, told: Counter[str], faults: bool) -> None:
    """Count what is wrong with a refusal."""
    if answer.status_code == 429:
        told["429 without Retry-After"] += "retry-after" not in answer.headers
    elif answer.status_code >= 500 and (wrong := fleet.wrong_error(answer, faults=faults)):
        told[wrong] += 1


async def flood(clients: list[Client], told: Counter[str], faults: bool) -> None:
    """Ask again and again, until cancelled; a refused client pauses a fifth of a second."""

    async def one(client: Client) -> None:
        while True:
            answer = await client.draw()
            told[kind(answer)] += 1
            note(answer, told, faults)
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
        planted = told, options.faults > 0
        await steady(others, 1, *planted)  # warm
        memory = [server.resident_mib]
        alone = await steady(others, options.each, *planted)
        memory.append(server.resident_mib)
        running = asyncio.create_task(flood(crowd, *planted))
        await asyncio.sleep(2.0)
        beside = await steady(others, options.each, *planted)
        memory.append(server.resident_mib)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    ratio = statistics.median(beside) / statistics.median(alone)
    print(
        f"{options.engine} engine{f' in {options.replicas} replicas' * bool(options.replicas)}: "
        f"{number} clients with {len(keys)} keys wait "
        f"{statistics.median(alone):.2f} s in the median (p90 {fleet.quantile(alone, 0.9):.2f}), "
        f"and {statistics.median(beside):.2f} s (p90 {fleet.quantile(beside, 0.9):.2f}) while "
        f"{options.flooding} more flood with one key (answers {dict(told)}): {ratio:.2f} times; "
        f"{' -> '.join(f'{mib:.0f}' for mib in memory)} MiB; load {os.getloadavg()[0]:.1f}"
    )
    faults = [] if ratio <= 2 or options.faults else ["the others' median wait more than doubled"]
    usual = {"200", "429", "503", *FAILED * (options.faults > 0)}
    strange = {name for name, count in told.items() if count} - usual
    return faults + [f"a client was told {name}" for name in sorted(strange)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("fake", "real"), default="fake")
    parser.add_argument("--others", type=int, default=100)
    parser.add_argument("--flooding", type=int, default=100)
    parser.add_argument("--share", type=int, default=5, help="clients with the same key")
    parser.add_argument("--each", type=int, default=5, help="pictures for each of the others")
    parser.add_argument("--step-s", type=float, default=0.01, help="of the fake engine")
    parser.add_argument("--database", default="sqlite")
    parser.add_argument("--faults", type=float, default=0, help="odds of a planted fault")
    fleet.add_replicas(parser)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="limner-flood-"))
    with fleet.database(options.database, folder) as url:
        chosen = {"engine": options.engine, "step_s": options.step_s}
        server = fleet.Server(
            folder, url, faults=options.faults, replicas=options.replicas, **chosen
        )
        server.wait_ready()
        try:
            faults = asyncio.run(measure(server, url, options))
        finally:
            server.stop()
        faults += fleet.books(url)
    shutil.rmtree(folder)
    if faults:
        raise SystemExit("; ".join(faults))


if __name__ == "__main__":
    main()
