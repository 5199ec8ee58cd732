"""Mixed traffic on the real engine: ``python -m bench.soak --minutes 30``.

Eight clients with two keys draw, queue, follow, cancel, hang up, explain, look, delete and send
nonsense. The server's memory is read every few seconds; its slope is the least squares' over the
last two thirds. The cache of prompts is small, so that it is full by then. After the traffic the
server must come back to rest: no request open, the books right, and no more files, threads and
tasks than before. One line of JSON tells all.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import io
import json
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
from PIL import Image

from bench import fleet
from limner.domain.schedulers import SCHEDULER_NAMES
from limner.store import audit, ledger
from limner.store.db import Database

PATH, LATER = "/v1/sd1.5-rpg", "/v2/sd1.5-rpg"
SAMPLE_S = 5.0
PROMPT_CACHE_MIB = 8
# Pools open threads and connections as they need them, and a call ends a moment after its answer:
# so many more is no leak.
SLACK = {"files": 16, "threads": 24, "tasks": 4}
WORDS = ("knight", "castle", "dragon", "potion", "sword", "tree", "gold", "night", "(red:1.2)")
DRAWERS = ("wait", "several", "from_picture", "queue", "cancel", "hang_up", "follow")
LOOKERS = ("explain", "quote", "listing", "nonsense", "forget")


class Visitor:
    """One client that does one thing after another, at random."""

    def __init__(self, http: httpx.AsyncClient, seed: int, told: Counter[str]) -> None:
        self.http, self.dice, self.told = http, random.Random(seed), told

    async def visit(self, until: float) -> None:
        """Until a moment of the monotonic clock."""
        while time.monotonic() < until:
            kinds = DRAWERS if self.dice.random() < 0.6 else LOOKERS
            name = self.dice.choice(kinds)
            try:
                status = await getattr(self, name)()
            except httpx.TimeoutException:
                status = "timeout"
            self.told[f"{name} {status}"] += 1
            await asyncio.sleep(self.dice.uniform(0, 0.3))

    def body(self) -> dict:
        """A drawing of a few steps; prompts of different lengths and words."""
        words = self.dice.choices(WORDS, k=self.dice.randrange(1, 40))
        return {
            "prompt": " ".join(words),
            "scheduler": self.dice.choice(SCHEDULER_NAMES),
            "num_inference_steps": self.dice.choice((20, 21, 24)),
            "guidance_scale": self.dice.choice((1, 5, 7.5)),
        }

    async def wait(self) -> int:
        return (await self.http.post(PATH, json=self.body())).status_code

    async def several(self) -> int:
        return (
            await self.http.post(PATH, json={**self.body(), "samples": 2, "base64": True})
        ).status_code

    async def from_picture(self) -> int:
        colour = tuple(self.dice.randrange(256) for _ in range(3))
        data = io.BytesIO()
        Image.new("RGB", (300, 200), colour).save(data, "PNG")
        image = base64.b64encode(data.getvalue()).decode()
        body = {**self.body(), "image": image, "strength": 0.5}
        return (await self.http.post(PATH, json=body)).status_code

    async def _submit(self) -> str:
        answer = await self.http.post(LATER, json=self.body())
        return answer.json().get("request_id", "") if answer.status_code == 200 else ""

    async def queue(self) -> str:
        request_id = await self._submit()
        while request_id:
            answer = await self.http.get(f"/v2/requests/{request_id}/status")
            if answer.status_code == 410:  # another of this account has deleted all
                return "gone"
            status = answer.json()["status"]
            if status not in ("QUEUED", "PROCESSING"):
                return status
            await asyncio.sleep(0.5)
        return "refused"

    async def cancel(self) -> int:
        request_id = await self._submit()
        await asyncio.sleep(self.dice.uniform(0, 1))
        return (await self.http.delete(f"/api/requests/{request_id or 'x'}")).status_code

    async def follow(self) -> str:
        """Read events, and leave in the middle as often as not."""
        request_id, last = await self._submit(), "nothing"
        leaves_at = self.dice.choice((3, 10_000))
        async with self.http.stream("GET", f"/api/requests/{request_id or 'x'}/events") as events:
            number = 0
            async for line in events.aiter_lines():
                if line.startswith("event:"):
                    number, last = number + 1, line.removeprefix("event:").strip()
                if number >= leaves_at:
                    return "left"
        return last

    async def hang_up(self) -> str:
        with contextlib.suppress(httpx.TimeoutException):
            await self.http.post(PATH, json=self.body(), timeout=self.dice.uniform(0.05, 1))
        return "done"

    async def explain(self) -> int:
        return (await self.http.post("/api/explain", json=self.body())).status_code

    async def quote(self) -> int:
        return (await self.http.post("/api/quote", json=self.body())).status_code

    async def listing(self) -> int:
        return (await self.http.get("/api/requests?limit=20")).status_code

    async def nonsense(self) -> int:
        data = self.dice.randbytes(self.dice.randrange(100_000))
        headers = {"content-type": self.dice.choice(("application/json", "image/png"))}
        return (await self.http.post(PATH, content=data, headers=headers)).status_code

    async def forget(self) -> int:
        if self.dice.random() < 0.9:
            return 0
        return (await self.http.delete("/api/pictures")).status_code


@dataclass(frozen=True)
class Rest:
    """What a server at rest has open."""

    files: int
    threads: int
    tasks: int
    open_images: int


async def traffic(server: fleet.Server, keys: list[str], options: argparse.Namespace) -> list[str]:
    """All of it; the faults found."""
    told: Counter[str] = Counter()
    samples: list[tuple[float, float]] = []
    before = await rest(server)
    began = time.monotonic()
    until = began + options.minutes * 60

    async def sample() -> None:
        while time.monotonic() < until:
            samples.append(((time.monotonic() - began) / 60, server.resident_mib))
            await asyncio.sleep(SAMPLE_S)

    async def client(index: int) -> None:
        headers = {"x-api-key": keys[index % len(keys)]}
        async with httpx.AsyncClient(base_url=server.url, timeout=300, headers=headers) as http:
            await Visitor(http, options.seed * 100 + index, told).visit(until)

    await asyncio.gather(sample(), *(client(index) for index in range(options.clients)))
    after = await rest(server)
    report = {
        "minutes": options.minutes,
        "engine": options.engine,
        "clients": options.clients,
        "calls": sum(told.values()),
        "memory_mib": [
            round(mib) for mib in (samples[i * (len(samples) - 1) // 6][1] for i in range(7))
        ],
        "slope_mib_a_minute": round(slope(samples, options.minutes), 3),
        "before": asdict(before),
        "after": asdict(after),
        "caches_bytes": figures(server, "limner_engine_cache_bytes"),
        "load": round(os.getloadavg()[0], 1),
        "told": dict(sorted(told.items())),
    }
    print(json.dumps(report))
    bad = [name for name in told if name.split()[1].startswith("5") and not name.endswith(" 503")]
    bad += [name for name in told if name.endswith(("timeout", "FAILED"))]
    return [f"{name}: {told[name]} times" for name in bad] + leaks(before, after)


def slope(samples: list[tuple[float, float]], minutes: float) -> float:
    """MiB a minute over the last two thirds; the first is warm-up."""
    return fleet.slope([point for point in samples if point[0] > minutes / 3])


def leaks(before: Rest, after: Rest) -> list[str]:
    """What rest after the traffic has more than rest before it."""
    faults = [f"{after.open_images} images are still open"] if after.open_images else []
    for name, more in SLACK.items():
        had, has = getattr(before, name), getattr(after, name)
        if has > had + more:
            faults.append(f"{has} {name} at rest, {had} before")
    return faults


async def rest(server: fleet.Server) -> Rest:
    """The server once the last drawing has ended and the quiet connections are closed."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = httpx.get(f"{server.url}/health/ready").json()
        if found["waiting"] == found["running"] == 0:
            break
        await asyncio.sleep(0.5)
    await asyncio.sleep(3)
    tasks = int(next(iter(figures(server, "limner_tasks").values())))
    images = found["waiting"] + found["running"]
    await asyncio.sleep(0.5)
    return Rest(server.files, server.threads, tasks, images)


def figures(server: fleet.Server, name: str) -> dict[str, float]:
    """The values of a figure of /metrics, by its labels."""
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    values = (line.rpartition(" ") for line in lines if line.startswith(name))
    return {labels: float(value) for labels, _, value in values}


def faults_of(url: str) -> list[str]:
    """What is wrong with the books of a server that has stopped."""
    database = Database.open(url)
    with database.read() as conn:
        faults = [str(fault) for fault in audit.check(conn)]
        held = ledger.totals(conn)["held"]
    database.close()
    return faults + ([f"{held} micro-credits are still held"] if held else [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--engine", choices=("fake", "real"), default="real")
    parser.add_argument("--database", default="sqlite")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="limner-soak-"))
    with fleet.database(options.database, folder) as url:
        keys = [fleet.new_key(url, name=f"key {n}") for n in range(2)]
        server = fleet.Server(
            folder,
            url,
            engine=options.engine,
            keep_max_mib=64,
            prompt_cache_max_mib=PROMPT_CACHE_MIB,
            metrics_open=True,
        )
        server.wait_ready()
        faults = asyncio.run(traffic(server, keys, options))
        ended = server.stop()
        log = [line for line in server.log.read_text().splitlines() if '"exception"' in line]
        faults += [f"ended with {ended}"] if ended else []
        faults += [f"logged {line[:1500]}" for line in log[:5]] + faults_of(url)
    if faults:
        raise SystemExit("\n".join([*faults, f"the data is in {folder}"]))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
