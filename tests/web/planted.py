"""A server with faults planted at random, from its files to its answers, and clients that count.

Each run has a key of its own and one body, sent to one surface, perhaps with an idempotency key
and then again. Afterwards the ledger is asked what it took.
"""

from __future__ import annotations

import copy
import functools
import json
import random
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal

import httpx
import numpy as np
import pytest
from safetensors.numpy import save_file
from sqlalchemy import select

from limner import imaging
from limner.engine.batching.fake import FakeRunner
from limner.errors import DatabaseUnavailable, DecoderFault, NotFinite
from limner.imaging.pool import Pool
from limner.store import keys
from limner.store.files.local import LocalFiles
from limner.store.schema import pictures, requests
from limner.usecases.drawing import lease, storage
from limner.usecases.drawing.threads import Threads
from tests.web.served import serve
from tests.web.surfaces import SURFACES, Surface, as_form

MICRO, GRANTED, WAIT_S = 1_000_000, 2, 60
PLANTED = (
    (LocalFiles, "write", "file", OSError("planted: no space left")),
    (LocalFiles, "read", "stored file", OSError("planted: input/output error")),
    (FakeRunner, "decode", "decode", NotFinite("planted")),
    (Pool, "run", "source", DecoderFault("planted: the process ended")),
)


class Faults:
    """Which of the planted faults strike, by the odds of each."""

    def __init__(self, dice: random.Random, odds: float) -> None:
        self._dice, self._odds, self._lock = dice, odds, threading.Lock()
        self.struck: Counter[str] = Counter()

    def strikes(self, kind: str) -> bool:
        with self._lock:
            hit = self._dice.random() < self._odds
            self.struck[kind] += hit
            return hit

    @contextmanager
    def planted(self):
        """In every server of this process."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lease, "UNSEEN_S", 2.0)
            patch.setattr(storage, "AGAIN_S", 0.05)
            for write in (Threads.write, Threads.write_end):
                patch.setattr(Threads, write.__name__, self._database(write))
            patch.setattr(FakeRunner, "step", self._step(FakeRunner.step))
            for owner, name, kind, error in PLANTED:
                patch.setattr(owner, name, self._before(getattr(owner, name), kind, error))
            yield self

    def _before(self, work, kind, error):
        @functools.wraps(work)
        def faulty(*arguments, **options):
            if self.strikes(kind):
                raise copy.copy(error)  # one of its own: a traceback grows with each raising
            return work(*arguments, **options)

        return faulty

    def _step(self, step):
        """But of the picture by which an engine tries itself: three in a row would end it."""
        planted = self._before(step, "step", RuntimeError("planted"))

        def faulty(runner, images):
            tries_itself = images[0].request.id == "plain"
            return (step if tries_itself else planted)(runner, images)

        return faulty

    def _database(self, write):
        async def faulty(worker, work, *arguments):
            if self.strikes("before the transaction"):
                raise DatabaseUnavailable("planted: the database does not answer")
            result = await write(worker, work, *arguments)
            if self.strikes("after the commit"):
                raise DatabaseUnavailable("planted: the database does not answer")
            return result

        return faulty


@dataclass
class Run:
    """One body and what came of it; ``said_micro`` is what the answers say was taken."""

    surface: Surface
    body: dict
    plain: str
    key_id: str
    idempotency_key: str | None
    said_micro: int = 0
    unknown: bool = False
    statuses: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    parts: dict[int, list[bytes]] = field(default_factory=dict)

    def headers(self):
        key = self.idempotency_key
        return {"x-api-key": self.plain} | ({} if key is None else {"idempotency-key": key})

    def expect(self, truth, sentence):
        if not truth:
            told = str(self.body)[:500]
            self.wrong.append(f"{self.surface.path} {told} {self.statuses}: {sentence}")


def make_run(dice: random.Random, server, surface: Surface) -> Run:
    """A run with a new key."""
    with server.database.begin() as conn:
        plain, key = keys.create(conn, name="run", credits_micro=GRANTED * MICRO)
    named = f"key-{dice.random()}" if dice.random() < 0.6 else None
    return Run(surface, surface.fields(dice), plain, key.id, named)


def play(run: Run, server) -> None:
    """Send it; with an idempotency key until it was answered twice, at most six times."""
    first, come = None, _waited if run.surface.read else _queued
    with httpx.Client(base_url=server.url, timeout=WAIT_S) as http:
        for _ in range(6 if run.idempotency_key else 1):
            found = come(run, server, http)
            if first is not None and found is not None:
                run.expect(found == first, "a retry brought other pictures")
                return
            first = first or found


def _send(run, http):
    surface, sent = run.surface, {"json": run.body}
    if surface.files:
        sent = {"data": as_form(run.body), "files": surface.files}
    headers = {**run.headers(), **(surface.headers or {})}
    answer = http.post(surface.path, headers=headers, **sent)
    run.statuses.append(answer.status_code)
    cost = answer.headers.get("x-cost")
    if answer.status_code >= 400:
        run.expect(answer.status_code in (500, 503), f"refused: {answer.text[:200]}")
        run.expect(cost in ("0", None), f"an error says that it cost {cost}")
        run.unknown |= cost is None
    return answer


def _waited(run, server, http):
    """The pictures of an answer, or None."""
    answer = _send(run, http)
    if answer.status_code != 200:
        return None
    cost = _micro(answer.headers["x-cost"])
    run.said_micro += cost
    found = run.surface.read(answer, lambda path: _get(http, run, path))
    _look_at_files(run, server, answer, found)
    for said in _costs_inside(answer):
        run.expect(_micro(said) == cost, f"it says {said}, x-cost {cost}")
    run.expect((answer.headers.get("x-replayed") == "true") == (cost == 0), "a replay that costs")
    return found


def _look_at_files(run, server, answer, found):
    """What is answered are pictures, and all that is stored and billed."""
    with server.database.read() as conn:
        mine = pictures.c.request_id == answer.headers["x-request-id"]
        query = select(pictures.c.width, pictures.c.height).where(mine)
        stored = [tuple(row) for row in conn.execute(query)]
    sizes = [imaging.read_image(file).shape[1::-1] for file in found]
    if run.surface.grid:
        rooms = [width * height for width, height in sizes]
        room = sum(width * height for width, height in stored)
        run.expect(len(rooms) == 1 and rooms[0] >= room > 0, f"a grid of {sizes} for {stored}")
    else:
        run.expect(sizes == stored != [], f"{sizes} answered, {stored} stored")


def _costs_inside(answer):
    """The cost where a body tells it, too."""
    if answer.headers["content-type"] != "application/json":
        return []
    told = answer.json()
    told = json.loads(told["info"]) if "info" in told else told
    return [told["cost"]] if "cost" in told else []


def _micro(credits):
    return int(Decimal(str(credits)) * MICRO)


def _queued(run, server, http):
    """The pictures of a submission, once its requests have ended; None where one has none.

    That one gave up its part of the idempotency key: a retry draws it, and it alone, anew.
    """
    answer = _send(run, http)
    if answer.status_code != 200:
        return None
    told = answer.json()
    ids = [one["request_id"] for one in told.get("requests", [told])]
    parts = [_ended(run, server, http, id) for id in ids]
    for place, part in enumerate(parts):
        if part:
            drawn = run.parts.setdefault(place, part)
            run.expect(drawn == part, f"a retry brought other pictures of part {place}")
    return [picture for part in parts for picture in part] if all(parts) else None


def _ended(run, server, http, id):
    deadline = time.monotonic() + WAIT_S
    while (shown := _get(http, run, f"/api/requests/{id}").json())["status"] in (
        "QUEUED",
        "PROCESSING",
    ):
        if time.monotonic() > deadline:
            run.expect(False, f"{id} does not end")
            return []
        time.sleep(0.05)
    with server.database.read() as conn:
        cost = conn.execute(select(requests.c.cost_micro).where(requests.c.id == id)).scalar_one()
    run.expect(_micro(shown["cost"]) == cost, f"{id} says {shown['cost']}, {cost} was taken")
    run.expect((cost > 0) == bool(shown["pictures"]), f"{id} cost {cost} without pictures")
    urls = [picture["urls"]["png"].removeprefix(server.url) for picture in shown["pictures"]]
    return [_get(http, run, url).content for url in urls]


def _get(http, run, path):
    """What is there, though a planted fault may keep it back at first."""
    for _ in range(6):
        answer = http.get(path, headers=run.headers())
        if answer.status_code not in (500, 503):
            break
    return answer.raise_for_status()


def settle(run: Run, server) -> None:
    """Compare with the ledger, once nothing is held any more."""
    mine = (requests.c.key_id == run.key_id, requests.c.status == "COMPLETED")
    with server.database.read() as conn:
        stored = conn.execute(select(requests).where(*mine)).all()
        query = select(pictures.c.price_micro).join(requests).where(*mine)
        prices = list(conn.execute(query).scalars())
        taken = keys.get(conn, run.key_id).spent_micro
    run.expect(taken == sum(row.cost_micro for row in stored), "spending is not the sum of costs")
    run.expect(taken == sum(prices), "something is billed that is not stored")
    if run.idempotency_key:
        most = len(run.body.get("requests", [0]))
        run.expect(len(stored) <= most, f"billed {len(stored)} times under one key")
    if not run.surface.read:
        return
    if run.unknown:
        run.expect(taken >= run.said_micro, "less was taken than was said")
    else:
        run.expect(taken == run.said_micro, f"said {run.said_micro}, taken {taken}")


def with_control(folder):
    """A folder of models with a file that looks like a ControlNet of edges."""
    folder.mkdir()
    names = {"controlnet_cond_embedding.conv_in.weight": np.zeros((16, 3, 3, 3), np.float32)}
    save_file(names, folder / "canny.safetensors")
    return folder


def check(folder, number: int, *, seed: int, odds: float = 0.03, clients: int = 4):
    """Play ``number`` runs; what is wrong, and how often each answer and each fault came."""
    dice, done, lock = random.Random(seed), [], threading.Lock()
    faults = Faults(random.Random(seed + 1), odds)

    def client(server):
        while True:
            with lock:
                if len(done) >= number or server.engine.failure:
                    return
                run = make_run(dice, server, SURFACES[len(done) % len(SURFACES)])
                done.append(run)
            try:
                play(run, server)
            except Exception as error:
                run.expect(False, f"the client failed: {error!r}")

    limits = {"key_max_requests_per_minute": 1000, "lease_s": 5}
    limits["models_dirs"] = (with_control(folder / "models"),)
    with faults.planted(), serve(folder, empty=False, **limits) as server:
        threads = [threading.Thread(target=client, args=(server,)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.engine.failure is None, "without it every run would wait in vain"
        _until_nothing_is_held(server)
        for run in done:
            settle(run, server)
    answers = Counter(status for run in done for status in run.statuses)
    return [line for run in done for line in run.wrong], answers, faults.struck


def _until_nothing_is_held(server):
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        with server.database.read() as conn:
            open_ = requests.c.status.in_(("QUEUED", "PROCESSING"))
            if not conn.execute(select(requests.c.id).where(open_)).first():
                return
        time.sleep(0.05)
    raise TimeoutError("requests are still open")
