"""Sixty requests of six keys over three small checkpoints, in a server with room for two.

    python -m bench.three_models [--order 0] [--steps 20] [--size 128] [--alone]

Each key sends its ten all at once, and then, in a second server, each when it has the picture
before. Told are the switches, the most memory that models took, and how long each key waited on
average. ``--alone`` draws everything once more in servers that have one checkpoint each, and
compares the pictures.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import random
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from bench.fleet import Server, new_key
from limner.engine.batching.ticket import Pixels
from limner.engine.checkpoints import layouts
from tests.engine import checkpoint_files

KEYS, EACH, MODELS = 6, 10, 3
LOOK_S = 0.1
DRAW = "/sdapi/v1/txt2img"  # which draws small pictures too


@dataclass(frozen=True)
class Asked:
    """A request: which key sends it, for which model, with which seed."""

    key: int
    model: str
    seed: int


@dataclass
class Run:
    """What came of the requests: pictures by seed, waits in seconds by key, what was seen."""

    pictures: dict[int, bytes] = field(default_factory=dict)
    waits: dict[int, list[float]] = field(default_factory=dict)
    loads: int = 0
    budget: int = 0
    most: int = 0

    @property
    def ratio(self) -> float:
        """The longest waiting key's wait over the shortest's."""
        sums = [sum(waits) for waits in self.waits.values()]
        return max(sums) / min(sums)


def write_models(folder: Path) -> dict[str, Path]:
    """Three small checkpoints of random weights, by their names."""
    folder.mkdir(parents=True, exist_ok=True)
    return {
        f"small-{seed}": checkpoint_files.write_single_file(
            folder / f"small-{seed}.safetensors", checkpoint_files.models(seed=seed)
        )
        for seed in range(MODELS)
    }


def requests(models: Sequence[str], order: int) -> list[Asked]:
    """Ten of each key, for models at random, in random order."""
    chance = random.Random(order)
    asked = [
        Asked(number % KEYS, chance.choice(list(models)), number) for number in range(KEYS * EACH)
    ]
    chance.shuffle(asked)
    return asked


@contextmanager
def serving(folder: Path, own: Path, **settings: object) -> Iterator[tuple[Server, list[str]]]:
    """A server that draws with ``own``, and six keys of it, which accept every licence."""
    url = f"sqlite:///{folder / 'limner.db'}"
    more = {"key_max_concurrent": KEYS * EACH, "metrics_open": "true", "min_steps": 1}
    server = Server(folder, url, engine="real", model=own, **more, **settings)
    try:
        server.wait_ready()
        keys = [new_key(url) for _ in range(KEYS)]
        for key in keys:
            accept(server, key)
        yield server, keys
    finally:
        server.stop()


def accept(server: Server, key: str) -> None:
    """Accept the licence of each of the server's checkpoints."""
    with httpx.Client(base_url=server.url, headers={"x-api-key": key}, timeout=60) as http:
        listed = http.get("/api/models").raise_for_status().json()
        named = [{"model": model["name"]} for model in listed if model["name"].startswith("small")]
        for asked in [{}, *named]:
            http.post("/api/license/accept", params=asked).raise_for_status()


def several(models: Mapping[str, Path]) -> tuple[Path, dict[str, object]]:
    """The first model and the settings of a server that has room for two of them."""
    first = next(iter(models.values()))
    size = layouts.bytes_in_memory(first, None, "float32")
    room = {"models_dirs": first.parent, "models_memory_max_mib": 5 * size // 2 >> 20}
    return first, room


async def send(
    server: Server, keys: Sequence[str], asked: Sequence[Asked], body: Mapping[str, object],
    *, at_once: bool,
) -> Run:  # fmt: skip
    """Send all; ``at_once``: no key waits for the picture before."""
    run = Run(waits={key: [] for key in range(KEYS)})
    limits = httpx.Limits(max_connections=KEYS * EACH + 1)
    async with httpx.AsyncClient(base_url=server.url, timeout=1200, limits=limits) as http:
        before = (await figures(http))["limner_model_loads_total"]
        looking = asyncio.create_task(look(http, run))
        lines = [[one] for one in asked] if at_once else by_key(asked)
        await asyncio.gather(*(draw_line(http, keys, line, body, run) for line in lines))
        looking.cancel()
        run.loads = int((await figures(http))["limner_model_loads_total"] - before)
    return run


def by_key(asked: Iterable[Asked]) -> list[list[Asked]]:
    """Each key's own, in their order."""
    asked = list(asked)
    return [[one for one in asked if one.key == key] for key in range(KEYS)]


async def draw_line(
    http: httpx.AsyncClient, keys: Sequence[str], line: Iterable[Asked],
    body: Mapping[str, object], run: Run,
) -> None:  # fmt: skip
    """One request after another."""
    for one in line:
        began = time.perf_counter()
        settings = {"sd_model_checkpoint": one.model}
        sent = {**body, "seed": one.seed, "override_settings": settings}
        answer = await http.post(DRAW, json=sent, auth=("any", keys[one.key]))
        run.waits[one.key].append(time.perf_counter() - began)
        run.pictures[one.seed] = picture_of(answer)


def picture_of(answer: httpx.Response) -> bytes:
    """The file; anything else ends the run."""
    if answer.status_code != 200:
        raise RuntimeError(f"{answer.status_code}: {answer.text[:500]}")
    return base64.b64decode(answer.json()["images"][0])


async def look(http: httpx.AsyncClient, run: Run) -> None:
    """Note the most that models ever took."""
    while True:
        seen = await figures(http)
        run.most = max(run.most, int(seen["limner_model_bytes"]))
        run.budget = int(seen["limner_models_budget_bytes"])
        await asyncio.sleep(LOOK_S)


async def figures(http: httpx.AsyncClient) -> dict[str, float]:
    """/metrics, each figure summed over its series."""
    text = (await http.get("/metrics")).text
    return {
        name: sum(sample.value for sample in family.samples)
        for family in text_string_to_metric_families(text)
        for name in {sample.name for sample in family.samples}
    }


def apart(one: bytes, other: bytes) -> int:
    """By how much two pictures differ at most, of 255."""
    a, b = pixels(one), pixels(other)
    return int(np.abs(a.astype(int) - b).max())


def pixels(file: bytes) -> Pixels:
    """RGB of a PNG."""
    return np.asarray(Image.open(BytesIO(file)).convert("RGB"))


def drawn_alone(
    folder: Path, models: Mapping[str, Path], asked: Iterable[Asked], body: Mapping[str, object]
) -> dict[int, bytes]:
    """The same pictures, each from a server that has its checkpoint and no other."""
    pictures: dict[int, bytes] = {}
    for name, file in models.items():
        own = [one for one in asked if one.model == name]
        with serving(folder / name, file) as (server, keys):
            http = httpx.Client(base_url=server.url, timeout=1200)
            for one in own:
                answer = http.post(DRAW, json={**body, "seed": one.seed}, auth=("any", keys[0]))
                pictures[one.seed] = picture_of(answer)
    return pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--order", type=int, default=0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--alone", action="store_true")
    args = parser.parse_args()
    body = {
        "prompt": "a knight", "width": args.size, "height": args.size, "steps": args.steps,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = write_models(folder / "models")
        asked = requests(list(models), args.order)
        first, room = several(models)
        alone = drawn_alone(folder / "alone", models, asked, body) if args.alone else {}
        for at_once in (True, False):
            with serving(folder / f"several-{at_once}", first, **room) as (server, keys):
                run = asyncio.run(send(server, keys, asked, body, at_once=at_once))
            tell(run, alone, "all at once" if at_once else "one at a time")


def tell(run: Run, alone: Mapping[int, bytes], how: str) -> None:
    """One line, and one for the pictures."""
    waits = ", ".join(f"{sum(each) / len(each):.2f}" for each in run.waits.values())
    print(f"{how}: {run.loads} loads, models {run.most:,} of {run.budget:,} bytes at most")
    print(f"  mean wait of each key {waits} s; {run.ratio:.2f} times", flush=True)
    if alone:
        most = max(apart(run.pictures[seed], alone[seed]) for seed in alone)
        print(f"  from pictures drawn alone: {most} of 255 at most", flush=True)


if __name__ == "__main__":
    main()
