"""Two servers on one PostgreSQL, 32 clients: ``python -m bench.crowd --requests 10000``.

The engine is the fake one, without delay: what is measured is everything round it. Afterwards the
ledger must be exact. A hold's time is the accepting transaction's (request stored, limits checked,
price held), the wait for a store thread included, as the servers logged it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx
from sqlalchemy import func, select

from bench import fleet
from limner.store import audit, ledger
from limner.store.db import Database
from limner.store.schema import requests, transfers

PATH = "/v1/sd1.5-rpg"
BODY = {"prompt": "a knight", "num_inference_steps": 20}


async def crowd(servers: list[fleet.Server], keys: list[str], options: argparse.Namespace):
    """Send all requests; statuses, and the seconds of each."""
    numbers = itertools.count()
    statuses: Counter[int] = Counter()
    seconds: list[float] = []

    async def client(index: int) -> None:
        server, key = servers[index % len(servers)], keys[index % len(keys)]
        async with httpx.AsyncClient(base_url=server.url, timeout=120) as http:
            while (number := next(numbers)) < options.requests:
                headers = {"x-api-key": key}
                if number % 2:
                    headers["idempotency-key"] = f"n{number}"
                began = time.perf_counter()
                answer = await http.post(PATH, json=BODY, headers=headers)
                seconds.append(time.perf_counter() - began)
                statuses[answer.status_code] += 1

    began = time.perf_counter()
    await asyncio.gather(*(client(index) for index in range(options.clients)))
    return statuses, seconds, time.perf_counter() - began


def faults_of(url: str, statuses: Counter[int], number: int) -> list[str]:
    """What is wrong with the ledger."""
    faults = [] if statuses == {200: number} else [f"answers {dict(statuses)}"]
    database = Database.open(url)
    with database.read() as conn:
        faults += [str(fault) for fault in audit.check(conn, time.time() + audit.LOST_AFTER_S)]
        counted = select(func.count(), func.sum(transfers.c.amount_micro))
        captures, captured = conn.execute(counted.where(transfers.c.kind == "capture")).one()
        granted = conn.execute(
            select(func.sum(transfers.c.amount_micro)).where(transfers.c.kind == "grant")
        ).scalar()
        done = select(func.count(), func.sum(requests.c.cost_micro))
        completed, cost = conn.execute(done.where(requests.c.status == "COMPLETED")).one()
        totals = ledger.totals(conn)
    database.close()
    if (captures, captured) != (completed, cost) or captures != number:
        faults.append(f"{captures} captures of {captured}, {completed} requests of {cost}")
    if totals["held"] or totals["available"] != granted - captured:
        faults.append(f"totals {totals} after grants of {granted} and captures of {captured}")
    return faults


def holds_of(servers: list[fleet.Server]) -> list[float]:
    """Seconds of every hold, from the servers' logs."""
    found = []
    for server in servers:
        for line in server.log.read_text().splitlines():
            if line.startswith("{") and '"event": "held"' in line:
                found.append(json.loads(line)["seconds"])
    return found


def spread(seconds: list[float]) -> str:
    """Median and 99th percentile in milliseconds."""
    middle, late = fleet.quantile(seconds, 0.5) * 1e3, fleet.quantile(seconds, 0.99) * 1e3
    return f"p50 {middle:.1f} ms, p99 {late:.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--keys", type=int, default=8)
    fleet.add_places(parser, servers=2)
    parser.add_argument("--database", default="postgresql")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="limner-crowd-"))
    kept = fleet.pictures(options.pictures, options.fail_every)
    with fleet.database(options.database, folder) as url, kept as places:
        keys = [fleet.new_key(url, name=f"key {n}") for n in range(options.keys)]
        servers = [
            fleet.Server(folder, url, step_s=0, log_level="debug", **places)
            for _ in range(options.servers)
        ]
        for server in servers:
            server.wait_ready()
        statuses, seconds, took = asyncio.run(crowd(servers, keys, options))
        ended = [server.stop() for server in servers]
        faults = faults_of(url, statuses, options.requests)
        faults += [f"the servers ended with {ended}"] if any(ended) else []
        holds = holds_of(servers)
    print(
        f"{options.servers} servers on {options.database}, pictures on {options.pictures} (one "
        f"call in {options.fail_every} fails), {options.clients} clients, "
        f"{options.keys} keys, {options.requests} requests in {took:.0f} s: "
        f"{options.requests / took:.1f} requests/s; a request {spread(seconds)}; a hold "
        f"{spread(holds)} ({len(holds)} holds); load {os.getloadavg()[0]:.1f}; "
        f"{len(faults)} faults"
    )
    if faults:
        raise SystemExit("\n".join([*faults[:20], f"the data is in {folder}"]))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
