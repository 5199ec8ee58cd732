"""kill -9 at random moments under load: ``python -m bench.killing --rounds 50 --database sqlite``.

Clients send idempotency keys and retry whatever fails, half of them waiting for their pictures,
half through the queue. Afterwards every key must have one capture and one set of bytes, the books
must be right, and the balance must be what was granted less what was captured.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import httpx
from sqlalchemy import func, select

from bench import fleet
from limner.errors import LimnerError
from limner.store import audit, keys, ledger
from limner.store.db import Database
from limner.store.files import Files, open_files
from limner.store.schema import pictures, requests, transfers

LEASE_S = 1
SLUG = "sd1.5-rpg"
BODY = {"samples": 1, "num_inference_steps": 20, "base64": False}


class Clients:
    """Clients that never give up; ``bytes_of`` collects what each idempotency key was given."""

    def __init__(self, urls: list[str], key: str, dice: random.Random) -> None:
        self.urls, self.dice = urls, dice
        self.headers = {"x-api-key": key}
        self.bytes_of: dict[str, set[str]] = defaultdict(set)
        self.troubles: Counter[str] = Counter()
        self.stopping = False

    async def run(self, number: int) -> None:
        """``number`` clients at once, until ``stopping``."""
        limits = httpx.Limits(max_connections=number + 8)
        async with httpx.AsyncClient(
            headers=self.headers, timeout=30, limits=limits, follow_redirects=True
        ) as http:
            await asyncio.gather(*(self._client(http, index) for index in range(number)))

    async def _client(self, http: httpx.AsyncClient, index: int) -> None:
        ask = self._wait if index % 2 else self._queue
        turn = 0
        while not self.stopping:
            name = f"client{index}-{turn}"
            turn += 1
            await self._keep(name, ask, http)
            if self.dice.random() < 0.3:  # its answer may have been lost: asked once more
                await self._keep(name, ask, http)

    async def ask_again(self, names: list[str]) -> None:
        """Every one of ``names`` once more."""
        async with httpx.AsyncClient(
            headers=self.headers, timeout=60, follow_redirects=True
        ) as http:
            for name in names:
                index = int(name.removeprefix("client").partition("-")[0])
                await self._keep(name, self._wait if index % 2 else self._queue, http)

    async def _keep(self, name, ask, http) -> None:
        while True:
            try:
                data = await ask(http, self.dice.choice(self.urls), name)
            except httpx.TransportError as error:
                self.troubles[type(error).__name__] += 1
            else:
                if isinstance(data, bytes):
                    self.bytes_of[name].add(hashlib.sha256(data).hexdigest())
                    return
                self.troubles[str(data)] += 1
            await asyncio.sleep(self.dice.uniform(0.05, 0.5))

    async def _wait(self, http: httpx.AsyncClient, url: str, name: str) -> bytes | int:
        answer = await http.post(f"{url}/v1/{SLUG}", **_order(name))
        return answer.content if answer.status_code == 200 else answer.status_code

    async def _queue(self, http: httpx.AsyncClient, url: str, name: str) -> bytes | int:
        submitted = await http.post(f"{url}/v2/{SLUG}", **_order(name))
        if submitted.status_code != 200:
            return submitted.status_code
        path = httpx.URL(submitted.json()["response_url"]).raw_path.decode()
        while True:
            answer = await http.get(url + path)
            if answer.status_code != 200:
                return answer.status_code
            if (found := answer.json())["status"] == "COMPLETED":
                file = await http.get(url + httpx.URL(found["output"]).raw_path.decode())
                return file.content if file.status_code == 200 else file.status_code
            await asyncio.sleep(0.1)


def _order(name: str) -> dict:
    return {
        "json": {**BODY, "prompt": f"a knight for {name}"},
        "headers": {"idempotency-key": name},
    }


async def work(options: argparse.Namespace, folder: Path, url: str, places: dict) -> int:
    """All rounds; the number of faults found."""
    key = fleet.new_key(url)
    dice = random.Random(options.seed)
    chosen = {"step_s": 0.002 if options.engine == "fake" else 0, "lease_s": LEASE_S, **places}
    servers = [
        fleet.Server(folder, url, engine=options.engine, **chosen) for _ in range(options.servers)
    ]
    for server in servers:
        await asyncio.to_thread(server.wait_ready)
    clients = Clients([server.url for server in servers], key, dice)
    crowd = asyncio.create_task(clients.run(options.clients))
    for number in range(1, options.rounds + 1):
        await asyncio.sleep(dice.uniform(*options.life))
        server = dice.choice(servers)
        server.kill()
        await asyncio.sleep(dice.uniform(0, 0.3))
        server.start()
        await asyncio.to_thread(server.wait_ready)
        if number % 10 == 0:
            print(f"  {number} kills, {len(clients.bytes_of)} keys served", flush=True)
    clients.stopping = True
    await asyncio.wait_for(crowd, 300)
    names = list(clients.bytes_of)
    dice.shuffle(names)
    await asyncio.wait_for(clients.ask_again(names[:500]), 600)
    ended = [await asyncio.to_thread(server.stop) for server in servers]
    faults = inspect(places.get("pictures", folder / "pictures"), url, clients)
    faults += [f"the last servers ended with status {ended}"] if any(ended) else []
    faults += [each for server in servers for each in told_in(server.log)]
    print(
        f"{options.rounds} kills of {options.servers} on {options.database}, pictures on "
        f"{options.pictures} (one call in {options.fail_every} fails), {options.engine} engine, "
        f"{options.clients} clients: {len(names)} idempotency keys served, retries "
        f"{dict(clients.troubles)}, load {os.getloadavg()[0]:.1f}, {len(faults)} faults"
    )
    for fault in faults:
        print("FAULT", fault)
    return len(faults)


def told_in(log: Path) -> list[str]:
    """Faults that a server has logged."""
    lines = [line for line in log.read_text().splitlines() if "Traceback" in line]
    return [f"the log shows a fault: {line[:300]}" for line in lines[:3]]


def inspect(place: Path | str, url: str, clients: Clients) -> list[str]:
    """What is wrong with bytes, captures and books."""
    faults = [
        f"{name}: {len(d)} sets of bytes" for name, d in clients.bytes_of.items() if len(d) > 1
    ]
    command = [*fleet.COMMAND["real"], "credits", "check", "--database-url", url]
    checked = subprocess.run(command, cwd=fleet.ROOT, capture_output=True, text=True)
    if checked.returncode:
        faults.append(f"credits check: {checked.stdout}{checked.stderr}")
    database = Database.open(url)
    with database.read() as conn:
        faults += _accounts(conn, set(clients.bytes_of))
        faults += [str(f) for f in audit.check(conn, time.time() + audit.LOST_AFTER_S)]
        kept = list(conn.execute(select(pictures.c.file, pictures.c.bytes)))
    files = open_files(place, database)
    faults += [each for file, size in kept for each in faults_of_file(files, file, size)]
    database.close()
    return faults


def faults_of_file(files: Files, key: str, size: int) -> list[str]:
    """What is wrong with a picture's file."""
    try:
        length = len(files.read(key))
    except LimnerError as error:
        return [str(error)]
    return [] if length == size else [f"picture file {key} is cut"]


def _accounts(conn, served: set[str]) -> list[str]:
    faults = []
    done = (requests.c.status == "COMPLETED") & requests.c.idempotency_key.is_not(None)
    found = list(
        conn.execute(select(requests.c.idempotency_key, requests.c.cost_micro).where(done))
    )
    if {name for name, _ in found} != served or len(found) != len(served):
        faults.append(f"{len(served)} keys were served, {len(found)} are completed")
    captures = select(func.count(), func.sum(transfers.c.amount_micro))
    number, captured = conn.execute(captures.where(transfers.c.kind == "capture")).one()
    if number != len(served) or captured != sum(cost for _, cost in found):
        faults.append(f"{number} captures for {len(served)} keys")
    for key in keys.listing(conn):
        granted = conn.execute(
            select(func.sum(transfers.c.amount_micro)).where(
                transfers.c.kind == "grant", transfers.c.account_id == key.account_id
            )
        ).scalar()
        expected = ledger.Balance(granted - (captured if key.name == "bench" else 0), 0)
        if ledger.balance(conn, key.account_id) != expected:
            faults.append(f"balance of {key.name}: {ledger.balance(conn, key.account_id)}")
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--database", default="sqlite")
    parser.add_argument("--engine", choices=("fake", "real"), default="fake")
    parser.add_argument("--life", type=float, nargs=2, default=(0.2, 2.0), help="seconds")
    parser.add_argument("--seed", type=int, default=1)
    fleet.add_places(parser, servers=1)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="limner-killing-"))
    kept = fleet.pictures(options.pictures, options.fail_every)
    with fleet.database(options.database, folder) as url, kept as places:
        faults = asyncio.run(work(options, folder, url, places))
    if faults:
        raise SystemExit(f"{faults} faults; the data is in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
