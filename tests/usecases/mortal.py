"""A server process that is meant to be killed: draws for retrying clients, then says what it gave.

Run as ``python -m tests.usecases.mortal URL FOLDER KEY_ID``. Reads one JSON line: the idempotency
keys its clients want, synchronous and queued. Prints one line for each picture it handed out:
``sync|queued IDEMPOTENCY_KEY SHA256``. It ends by itself when all have been served.
"""

import asyncio
import hashlib
import json
import sys
from pathlib import Path

from limner.engine.batching.fake import FakeEngine
from limner.errors import LimnerError, Unavailable
from limner.settings import Settings
from limner.store import keys
from limner.store.db import Database
from limner.usecases.drawing.generate import Generate
from limner.usecases.drawing.sources import open_sources
from limner.usecases.drawing.worker import Worker
from limner.usecases.queueing.queue import Queue
from tests.usecases.services import order

LEASE_S = 10.0


def tell(kind, name, pictures):
    digest = hashlib.sha256(b"".join(picture.png for picture in pictures)).hexdigest()
    sys.stdout.write(f"{kind} {name} {digest}\n")
    sys.stdout.flush()


def drawing(kind, name):
    return order(f"{kind} {name}", key=f"{kind}-{name}", samples=2, steps=3, body=name.zfill(64))


async def wait(generate, caller, name):
    while True:
        try:
            outcome = await generate.run(caller, drawing("sync", name))
        except LimnerError:
            await asyncio.sleep(0.05)
        else:
            return tell("sync", name, outcome.pictures)


async def queue_up(queue, caller, name):
    while True:
        try:
            # Anew only where three lives were not enough: what waits or is drawn is found again.
            request_id = (await queue.submit(caller, drawing("queued", name))).job.id
            while (status := await queue.status(caller, request_id)).job.open:
                await asyncio.sleep(0.25)
            if status.job.status == "COMPLETED":
                return tell("queued", name, (await queue.result(caller, request_id)).pictures)
        except Unavailable:  # a database that is busy, as a client is told to do
            await asyncio.sleep(0.05)


async def main(url, folder, key_id, wanted):
    settings = Settings(data_dir=folder, lease_s=LEASE_S)
    database = Database.open(url)
    engine = FakeEngine(step_s=0.002).wait_ready()
    generate = Generate(Worker(settings, database, engine, open_sources(settings, database)))
    queue = Queue(generate)
    await generate.start()
    await queue.start()
    with database.read() as conn:
        caller = keys.get(conn, key_id)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.gather(
        *(wait(generate, caller, name) for name in wanted["sync"]),
        *(queue_up(queue, caller, name) for name in wanted["queued"]),
    )
    await queue.close()
    await generate.close()
    engine.close()
    database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], json.loads(sys.stdin.readline())))
