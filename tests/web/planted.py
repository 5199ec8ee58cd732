"""A server with faults planted at random in step, decode and store, and clients that keep account.

Each run has a key of its own and one body, sent to one surface, perhaps with an idempotency key
and then again. Afterwards the ledger is asked what it took.
"""

from __future__ import annotations

import base64
import functools
import random
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal

import httpx
from sqlalchemy import select

from limner.engine.batching.fake import FakeRunner
from limner.errors import DatabaseUnavailable, NotFinite
from limner.store import keys
from limner.store.files.local import LocalFiles
from limner.store.schema import pictures, requests
from limner.usecases.drawing import lease
from limner.usecases.drawing.threads import Threads
from tests.web.served import serve

MICRO, GRANTED, WAIT_S = 1_000_000, 1, 60
V1, V2, OPENAI = "/v1/sd1.5-rpg", "/v2/sd1.5-rpg", "/v1/images/generations"
SDAPI, NATIVE = "/sdapi/v1/txt2img", "/api/requests"
QUEUED = (V2, NATIVE)
SURFACES = (V1, V1, OPENAI, SDAPI, V2, NATIVE)
GOOD = ("a knight", "{red|blue|green} elf", "orc AND axe", "a {dog|cat} in a {hat|cape}")
BAD = ("!black", "!fault", "{a|b|!black} mage")
PARTS = GOOD * 4 + BAD


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
        saved = Threads.write, LocalFiles.write, FakeRunner.step, FakeRunner.decode
        saved_unseen, lease.UNSEEN_S = lease.UNSEEN_S, 2.0
        Threads.write = self._database(saved[0])
        LocalFiles.write = self._before(saved[1], "file", OSError("planted: no space left"))
        FakeRunner.step = self._before(saved[2], "step", RuntimeError("planted"))
        FakeRunner.decode = self._before(saved[3], "decode", NotFinite("planted"))
        try:
            yield self
        finally:
            Threads.write, LocalFiles.write, FakeRunner.step, FakeRunner.decode = saved
            lease.UNSEEN_S = saved_unseen

    def _before(self, work, kind, error):
        @functools.wraps(work)
        def faulty(*arguments):
            if self.strikes(kind):
                raise error
            return work(*arguments)

        return faulty

    def _database(self, write):
        async def faulty(studio, work, *arguments):
            if self.strikes("before the transaction"):
                raise DatabaseUnavailable("planted: the database does not answer")
            result = await write(studio, work, *arguments)
            if self.strikes("after the commit"):
                raise DatabaseUnavailable("planted: the database does not answer")
            return result

        return faulty


@dataclass
class Run:
    """One body and what came of it; ``said_micro`` is what the answers say was taken."""

    surface: str
    body: dict
    plain: str
    key_id: str
    idempotency_key: str | None
    said_micro: int = 0
    unknown: bool = False
    statuses: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def headers(self):
        key = self.idempotency_key
        return {"x-api-key": self.plain} | ({} if key is None else {"idempotency-key": key})

    def expect(self, truth, sentence):
        if not truth:
            self.wrong.append(f"{self.surface} {self.body} {self.statuses}: {sentence}")


def make_run(dice: random.Random, server) -> Run:
    """A run with a new key."""
    surface = dice.choice(SURFACES)
    with server.database.begin() as conn:
        plain, key = keys.create(conn, name="run", credits_micro=GRANTED * MICRO)
    body = {"prompt": dice.choice(PARTS), "template": dice.random() < 0.7}
    if dice.random() < 0.5:
        lines = [dice.choice(PARTS) for _ in range(dice.randint(1, 3))]
        body["style_mix"] = {"sequence": lines, "colors": "random"}
    body |= _own_fields(surface, dice)
    if surface == NATIVE and dice.random() < 0.5:
        body = {"requests": [body, {**body, "prompt": "another"}]}
    named = f"key-{dice.random()}" if dice.random() < 0.6 else None
    return Run(surface, body, plain, key.id, named)


def _own_fields(surface, dice):
    number = dice.randint(1, 3)
    if surface == OPENAI:
        return {"n": number, "size": "64x64", "num_inference_steps": 20}
    if surface == SDAPI:
        return {"batch_size": number, "width": 64, "height": 64, "steps": 3}
    if surface == NATIVE:
        return {"samples": number, "img_width": 64, "img_height": 64, "steps": 3}
    return {"samples": number, "base64": surface == V1}


def play(run: Run, server) -> None:
    """Send it; with an idempotency key until it was answered twice, at most six times."""
    first = None
    with httpx.Client(base_url=server.url, timeout=WAIT_S) as http:
        for _ in range(6 if run.idempotency_key else 1):
            found = _queued(run, server, http) if run.surface in QUEUED else _waited(run, http)
            if first is not None and found is not None:
                run.expect(found == first, "a retry brought other pictures")
                return
            first = first or found


def _send(run, http):
    answer = http.post(run.surface, json=run.body, headers=run.headers())
    run.statuses.append(answer.status_code)
    cost = answer.headers.get("x-cost")
    if answer.status_code >= 400:
        run.expect(answer.status_code in (500, 503), f"refused: {answer.text[:200]}")
        run.expect(cost in ("0", None), f"an error says that it cost {cost}")
        run.unknown |= cost is None
    return answer


def _waited(run, http):
    """The pictures of an answer, or None."""
    answer = _send(run, http)
    if answer.status_code != 200:
        return None
    cost = _micro(answer.headers["x-cost"])
    run.said_micro += cost
    found = _pictures(answer.json())
    run.expect(found, "an answer without pictures")
    if "info" in (told := answer.json()):
        said = httpx.Response(200, text=told["info"]).json()["cost"]
        run.expect(_micro(said) == cost, f"info says {said}, x-cost {cost}")
    run.expect((answer.headers.get("x-replayed") == "true") == (cost == 0), "a replay that costs")
    return found


def _micro(credits):
    return int(Decimal(str(credits)) * MICRO)


def _pictures(told):
    images = told.get("image") or told.get("images") or [d["b64_json"] for d in told["data"]]
    images = images if isinstance(images, list) else [images]
    return [base64.b64decode(image) for image in images]


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
    return http.get(path, headers=run.headers()).raise_for_status()


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
    if run.surface in QUEUED:
        return
    if run.unknown:
        run.expect(taken >= run.said_micro, "less was taken than was said")
    else:
        run.expect(taken == run.said_micro, f"said {run.said_micro}, taken {taken}")


def check(folder, number: int, *, seed: int, odds: float = 0.03, clients: int = 4):
    """Play ``number`` runs; what is wrong, and how often each answer and each fault came."""
    dice, done, lock = random.Random(seed), [], threading.Lock()
    faults = Faults(random.Random(seed + 1), odds)

    def client(server):
        while True:
            with lock:
                if len(done) >= number:
                    return
                run = make_run(dice, server)
                done.append(run)
            try:
                play(run, server)
            except Exception as error:
                run.expect(False, f"the client failed: {error!r}")

    limits = {"key_max_requests_per_minute": 1000, "lease_s": 5}
    with faults.planted(), serve(folder, empty=False, **limits) as server:
        threads = [threading.Thread(target=client, args=(server,)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
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
