"""A newer server starts beside an older one that draws: ``python -m bench.upgrading CHECKOUT``.

``CHECKOUT`` is the code of an older release: ``git archive COMMIT | tar x -C CHECKOUT``. Clients
with idempotency keys, which retry whatever fails, draw at the older server; the newer one brings
the database up to date meanwhile, and they go on at both; then the older one is stopped. Each key
must have one capture and one set of bytes, and neither server may have logged a fault.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from bench import fleet
from bench.killing import Clients, inspect, told_in


async def upgrade(options: argparse.Namespace, folder: Path, url: str) -> list[str]:
    """What is wrong afterwards."""
    old = fleet.Server(folder, url, checkout=options.checkout.resolve()).wait_ready()
    clients = Clients([old.url], await asyncio.to_thread(key_of, url, old), random.Random(1))
    crowd = asyncio.create_task(clients.run(options.clients))
    await asyncio.sleep(options.seconds)
    before, began = len(clients.bytes_of), time.monotonic()
    new = fleet.Server(folder, url)
    await asyncio.to_thread(new.wait_ready)
    took, meanwhile = time.monotonic() - began, len(clients.bytes_of)
    clients.urls.append(new.url)
    await asyncio.sleep(options.seconds)
    clients.urls.remove(old.url)
    ended = [await asyncio.to_thread(old.stop)]
    clients.stopping = True
    await asyncio.wait_for(crowd, 300)
    ended.append(await asyncio.to_thread(new.stop))
    faults = inspect(folder / "pictures", url, clients) + told_in(old.log) + told_in(new.log)
    print(
        f"{options.clients} clients on {options.database}: {before} keys served by the older "
        f"server, {meanwhile - before} while the newer one started ({took:.1f} s), "
        f"{len(clients.bytes_of) - meanwhile} after; retries {dict(clients.troubles)}; load "
        f"{os.getloadavg()[0]:.1f}; {len(faults)} faults"
    )
    return faults + ([f"the servers ended with {ended}"] if any(ended) else [])


def key_of(url: str, old: fleet.Server) -> str:
    """A key made by the older release, since this one would bring the database up to date."""
    command = [*fleet.COMMAND["fake"], "keys", "create", "--name", "bench", "--credits", "100000"]
    own = {"cwd": old.checkout, "env": {**os.environ, "PYTHONPATH": str(old.checkout)}}
    command += ["--database-url", url]
    said = subprocess.run(command, capture_output=True, text=True, check=True, **own).stdout
    return re.search(r"SG_[0-9a-f]{32}", said)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=10, help="before, and beside each other")
    parser.add_argument("--database", default="sqlite")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="limner-upgrading-"))
    with fleet.database(options.database, folder) as url:
        faults = asyncio.run(upgrade(options, folder, url))
    if faults:
        raise SystemExit("\n".join([*faults[:20], f"the data is in {folder}"]))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
