"""Replicas on Ray whose processes are killed, and what they cost: ``python -m bench.replicas``.

``killing``: ``--requests`` queued requests over two replicas; a replica is killed with -9 three
times meanwhile, Serve's controller once, the server once (its Ray goes with it). Each request must
have one picture and one capture, and ``limner credits check --files`` must be clean.
``share``: one picture of one step, submitted and drawn, alternately by a replica and by an engine
of this process. ``scaling``: pictures of half a second, one at a time in a replica, by one replica
and by four. The last two draw with the fake engine, whose work is to sleep.

Cancels and floods over replicas: ``bench.cancels`` and ``bench.flood`` with ``--replicas 2``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from queue import SimpleQueue

import httpx
from sqlalchemy import func, select

from bench import fleet
from limner.domain.params import Generation
from limner.engine.batching.client import LastingClient
from limner.engine.batching.fake import FakeEngine
from limner.engine.batching.ticket import End, Reader, Ticket, read_nothing
from limner.replicas.cluster import Cluster
from limner.replicas.engine import RemoteEngine
from limner.settings import Settings
from limner.store.db import Database
from limner.store.schema import pictures, requests, resolutions
from tests.replicas.served import children, named

LEASE_S = 15
BODY = {"prompt": "a knight", "num_inference_steps": 20}
AT_ONCE = 50  # requests of one call
REPLICA, CONTROLLER, SERVER = "replica", "controller", "server"
KILLS = (REPLICA, REPLICA, CONTROLLER, SERVER, REPLICA)
PICTURE = {"width": 512, "height": 512, "scheduler": "Euler"}


def killing(options: argparse.Namespace) -> list[str]:
    """What is wrong after the kills."""
    folder = Path(tempfile.mkdtemp(prefix="limner-replicas-"))
    with fleet.database(options.database, folder) as url:
        chosen = {"engine": options.engine, "step_s": options.step_s, "lease_s": LEASE_S}
        server = fleet.Server(folder, url, replicas=options.replicas, **chosen).wait_ready()
        began = time.monotonic()
        submit(server, fleet.new_key(url), options.requests, options.size)
        done: list[str] = []
        for number, what in enumerate(KILLS, 1):
            share = number * options.requests // (len(KILLS) + 1)
            completed = reach(url, share)
            kill(server, what, options.replicas)
            done.append(f"{what} at {completed}")
        reach(url, options.requests)
        took = time.monotonic() - began
        faults = wrong(url, folder, options.requests)
        faults += [f"the server ended with {status}"] if (status := server.stop()) else []
    print(
        f"{options.requests} queued requests, {options.replicas} replicas, {options.engine} "
        f"engine, {options.size}x{options.size}, {options.database}; killed with -9: "
        f"{', '.join(done)}; all ended after {took:.0f} s; "
        f"load {os.getloadavg()[0]:.1f}; {len(faults)} faults"
    )
    if not faults:
        shutil.rmtree(folder)
    return faults


def submit(server: fleet.Server, key: str, number: int, size: int) -> None:
    """So many requests into the queue, each of its own seed."""
    body = BODY | {"img_width": size, "img_height": size}
    with httpx.Client(base_url=server.url, headers={"x-api-key": key}, timeout=120) as http:
        for first in range(0, number, AT_ONCE):
            each = [body | {"seed": n} for n in range(first, min(number, first + AT_ONCE))]
            http.post("/api/requests", json={"requests": each}).raise_for_status()


def reach(url: str, number: int, within_s: float = 1800.0) -> int:
    """Wait until so many requests have ended; how many it were then."""
    database, deadline = Database.open(url), time.monotonic() + within_s
    ended = select(func.count()).where(requests.c.status.in_(("COMPLETED", "FAILED")))
    try:
        while True:
            with database.read() as conn:
                found: int = conn.execute(ended).scalar_one()
            if found >= number:
                return found
            if time.monotonic() > deadline:
                raise SystemExit(f"{found} of {number} requests ended within {within_s:g} s")
            time.sleep(0.05)
    finally:
        database.close()


def kill(server: fleet.Server, what: str, replicas: int) -> None:
    """kill -9; a replica only once all are there again, the server to be started anew."""
    if what == SERVER:
        below = children(server.process.pid)
        server.kill()
        for pid in below:  # Ray ends with it; nothing of it may go on beside the next
            end(pid)
        server.start()
        server.wait_ready()
        return
    name, least = ("ServeReplica", replicas) if what == REPLICA else ("ServeController", 1)
    while len(found := named(server.process.pid, name)) < least:
        time.sleep(0.1)
    end(found[0])


def end(pid: int) -> None:
    """kill -9, whether it lives or not."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def wrong(url: str, folder: Path, number: int) -> list[str]:
    """What is not as it must be: with requests, pictures, captures and books."""
    database = Database.open(url)
    with database.read() as conn:
        ended = Counter(conn.execute(select(requests.c.status)).scalars())
        drawn = Counter(conn.execute(select(pictures.c.request_id)).scalars())
        captures = Counter(
            conn.execute(
                select(resolutions.c.hold_id).where(resolutions.c.outcome == "capture")
            ).scalars()
        )
    database.close()
    faults = [] if ended == {"COMPLETED": number} else [f"requests ended as {dict(ended)}"]
    for name, found in (("pictures", drawn), ("captures", captures)):
        if len(found) != number or set(found.values()) != {1}:
            faults.append(f"{found.total()} {name} of {len(found)}")
    command = [*fleet.COMMAND["real"], "credits", "check", "--files", "--database-url", url]
    checked = subprocess.run(
        [*command, "--data-dir", str(folder)], cwd=fleet.ROOT, capture_output=True, text=True
    )
    return faults + ([f"{checked.stdout}{checked.stderr}"] if checked.returncode else [])


def share(options: argparse.Namespace) -> list[str]:
    """Prints what a picture takes in a replica and here."""
    here = FakeEngine(max_queue=64).wait_ready()
    with replicas(1, lambda read: FakeEngine(read=read)) as there:
        took: dict[str, list[float]] = {"a replica": [], "this process": []}
        for number in range(options.pictures + 10):
            for name, engine in (("a replica", there), ("this process", here)):
                began = time.perf_counter()
                draw(engine, 1, f"{name}-{number}", steps=1)
                took[name].append(time.perf_counter() - began)
    here.close()
    told, middle = [], []
    for name, seconds in took.items():
        kept = seconds[10:]  # the first warm it
        middle.append(statistics.median(kept) * 1e3)
        told.append(f"{name} {middle[-1]:.1f} ms (p90 {fleet.quantile(kept, 0.9) * 1e3:.1f})")
    print(
        f"one picture of one step, {options.pictures} each, median: {', '.join(told)}; Ray's share "
        f"{middle[0] - middle[1]:.1f} ms; load {os.getloadavg()[0]:.1f}"
    )
    return [] if middle[0] - middle[1] < 20 else ["Ray's share is 20 ms or more"]


def scaling(options: argparse.Namespace) -> list[str]:
    """Prints pictures a second with one replica and with four."""
    rates = []
    for number in (1, 4):
        # A process joins one cluster in its life.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
            rates.append(apart.submit(rate, number, options.pictures).result())
    ratio = rates[1] / rates[0]
    print(
        f"{options.pictures} pictures of 0.5 s: {rates[0]:.2f} pictures/s with one replica, "
        f"{rates[1]:.2f} with four, {ratio:.2f} times; load {os.getloadavg()[0]:.1f}"
    )
    return [] if ratio >= 3.4 else ["four replicas draw less than 3.4 times what one does"]


def rate(number: int, pictures: int) -> float:
    """Pictures a second by so many replicas, of half a second each."""
    # Two rows are one picture under guidance: a replica draws one at a time.
    with replicas(number, lambda read: FakeEngine(step_s=0.5, max_rows=2, read=read)) as engine:
        draw(engine, number, "warm", steps=1)
        began = time.perf_counter()
        draw(engine, pictures, "scaling", steps=1)
        return pictures / (time.perf_counter() - began)


@contextmanager
def replicas(number: int, make: Callable[[Reader], LastingClient]) -> Iterator[RemoteEngine]:
    """So many on a Ray of this process."""
    folder = tempfile.mkdtemp(prefix="limner-replicas-")
    settings = Settings.model_validate({"engine": "ray", "replicas": number, "data_dir": folder})
    cluster = Cluster(settings, make=lambda _: make)
    engine = RemoteEngine(
        cluster.connect, read_nothing, max_queue=1024, disconnect=cluster.disconnect
    )
    try:
        while not engine.status().ready:
            if engine.failure is not None:
                raise engine.failure
            time.sleep(0.05)
        yield engine
    finally:
        engine.close()
        shutil.rmtree(folder)


def draw(engine: LastingClient, number: int, name: str, steps: int) -> None:
    """So many pictures, submitted together, until all are there."""
    ends: SimpleQueue[End] = SimpleQueue()
    for index in range(number):
        generation = Generation(prompt="a knight", seed=index, steps=steps, **PICTURE)
        ticket = Ticket(f"{name}-{index}", generation, f"key-{index}")
        engine.submit(ticket, lambda event: ends.put(event) if isinstance(event, End) else None)
    for _ in range(number):
        if (error := getattr(ends.get(timeout=300), "error", None)) is not None:
            raise error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("killing", "share", "scaling"))
    parser.add_argument("--engine", choices=("fake", "real"), default="real")
    parser.add_argument("--step-s", type=float, default=0.02, help="of the fake engine")
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--size", type=int, default=512, help="pixels of each side")
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--database", default="sqlite")
    fleet.add_replicas(parser, 2)
    options = parser.parse_args()
    if faults := globals()[options.what](options):
        raise SystemExit("; ".join(faults))


if __name__ == "__main__":
    main()
