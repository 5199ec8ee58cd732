"""Many queued requests of one key, all cancelled at once: ``python -m bench.cancels``.

The engine is the fake one, which draws the first for a long time, or the embedded model's
(``--engine real``). Told are the seconds until each is cancelled, and whether the books are right.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from pathlib import Path

import httpx

from bench import fleet
from limner.store import audit
from limner.store.db import Database

BODY = {"prompt": "a knight", "num_inference_steps": 100}
AT_ONCE = 50  # requests of one body


async def cancel(url: str, key: str, number: int) -> tuple[float, set[str]]:
    """Seconds until all were cancelled, and how they ended."""
    async with httpx.AsyncClient(base_url=url, headers={"x-api-key": key}, timeout=120) as http:
        paths = []
        while len(paths) < number:
            body = {"requests": [BODY] * min(AT_ONCE, number - len(paths))}
            told = (await http.post("/api/requests", json=body)).json()["requests"]
            paths += [f"/api/requests/{each['request_id']}" for each in told]
        while "PROCESSING" not in {(await http.get(path)).json()["status"] for path in paths[:1]}:
            await asyncio.sleep(0.05)
        began = time.perf_counter()
        answers = await asyncio.gather(*(http.delete(path) for path in paths))
        return time.perf_counter() - began, {answer.json()["status"] for answer in answers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database", default="postgresql")
    parser.add_argument("--engine", choices=("fake", "real"), default="fake")
    fleet.add_replicas(parser)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="limner-cancels-"))
    with fleet.database(options.database, folder) as url:
        key = fleet.new_key(url)
        chosen = {"engine": options.engine, "replicas": options.replicas}
        server = fleet.Server(folder, url, step_s=1.0, **chosen).wait_ready()
        rounds = [
            asyncio.run(cancel(server.url, key, options.requests)) for _ in range(options.rounds)
        ]
        server.stop()
        database = Database.open(url)
        with database.read() as conn:
            faults = [str(fault) for fault in audit.check(conn)]
        database.close()
    faults += [f"ended as {ended}" for _, ended in rounds if ended != {"CANCELLED"}]
    took = ", ".join(f"{seconds:.2f}" for seconds, _ in rounds)
    print(
        f"{options.requests} of one key on {options.database}, {options.engine} engine, "
        f"{options.replicas} replicas, cancelled at once: {took} s; "
        f"load {os.getloadavg()[0]:.1f}; {len(faults)} faults"
    )
    if faults:
        raise SystemExit("\n".join([*faults[:20], f"the data is in {folder}"]))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
