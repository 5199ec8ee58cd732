"""The whole server without a model: web, use cases, SQLite, ledger, and the fake engine."""

import asyncio
import io
import threading
from dataclasses import replace

import httpx
import numpy as np
import pytest
from PIL import Image

from limner import imaging
from limner.engine.batching.fake import FAKE_MODEL, FakeEngine, fake_pixels
from limner.settings import Settings
from limner.store import audit, keys, ledger
from limner.store.db import Database
from limner.usecases.accounts import Accounts
from limner.usecases.administration import Administration
from limner.usecases.drawing.generate import Generate
from limner.usecases.drawing.sources import open_sources
from limner.usecases.drawing.worker import Worker
from limner.usecases.pictures.gallery import Gallery
from limner.usecases.pictures.replay import Replay
from limner.usecases.queueing.queue import Queue
from limner.web.app import create_app
from limner.web.services import Services
from tests.waiting import LONG_S, HeldEngine, until
from tests.web.conftest import PATH

CREDITS_MICRO = 1_000_000
PRICE = 20 * 2 * 64


class Whole:
    """A server in this event loop; ``key`` is a good key, ``client`` sends it."""

    def __init__(self, folder, *, engine=None, **settings):
        self.settings = Settings(data_dir=folder, **settings)
        self.engine = engine or FakeEngine()
        self.database = Database.open(self.settings.database_url)
        with self.database.begin() as conn:
            self.key, found = keys.create(conn, name="me", credits_micro=CREDITS_MICRO)
        self.account_id = found.account_id
        sources = open_sources(self.settings, self.database)
        self.generate = Generate(Worker(self.settings, self.database, self.engine, sources))
        self.queue = Queue(self.generate)
        self.app = create_app(
            self.settings,
            Services(
                self.generate,
                Accounts(self.settings, self.database),
                Administration(self.database),
                self.engine,
                self.queue,
                Gallery(self.generate.worker),
                Replay(self.generate.worker, Gallery(self.generate.worker)),
            ),
        )

    async def __aenter__(self):
        await self.generate.start()
        await self.queue.start()
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://limner.test",
            headers={"x-api-key": self.key},
            timeout=LONG_S,
        )
        return self

    async def __aexit__(self, *_):
        await self.client.aclose()
        await self.queue.close()
        await self.generate.close()
        self.engine.close()
        with self.database.read() as conn:
            assert audit.check(conn) == []
            assert ledger.balance(conn, self.account_id).held_micro == 0
        self.database.close()

    async def draw(self, body=None, **options):
        return await self.client.post(PATH, json=body or {"prompt": "x"}, **options)

    async def credits(self):
        return (await self.client.get("/v1/get-user-credits")).json()["credits"]

    async def until_ready(self):
        while (await self.client.get("/health/ready")).status_code != 200:
            await asyncio.sleep(0.005)
        return self


def whole(test):
    """Run an async test body with a ``Whole`` whose engine is ready."""

    def run(tmp_path):
        async def main():
            async with Whole(tmp_path) as server:
                await test(await server.until_ready())

        asyncio.run(asyncio.wait_for(main(), LONG_S))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@whole
async def test_a_picture_is_drawn_stored_and_billed_once(server):
    answer = await server.draw({"prompt": "x", "seed": 5, "output_format": "png"})
    assert answer.status_code == 200
    assert np.array_equal(imaging.read_image(answer.content), fake_pixels("x", 5, 512, 512))
    assert answer.headers["x-cost"] == f"{PRICE / 1e6}"
    assert answer.headers["x-remaining-credits"] == "0.99744"
    assert answer.headers["x-rate-limit-remaining"] == "5999"
    assert await server.credits() == 0.99744
    quote = await server.client.post("/api/quote", json={"prompt": "x"})
    assert quote.json()["micro_credits"] == PRICE


@whole
async def test_a_retry_is_billed_once(server):
    headers = {"Idempotency-Key": "k1"}
    answers = await asyncio.gather(*(server.draw(headers=headers) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sorted("x-replayed" in answer.headers for answer in answers) == [False] + [True] * 4
    assert await server.credits() == 0.99744
    other = await server.draw({"prompt": "y"}, headers=headers)
    assert other.status_code == 422
    bad = await server.draw(headers={"Idempotency-Key": "x" * 300})
    assert bad.status_code == 400


@pytest.mark.slow
@whole
async def test_forty_callers_get_their_own_pictures(server):
    bodies = [
        {"prompt": f"p{n}", "seed": n, "scheduler": ["ddim", "heun"][n % 2], "output_format": "png"}
        for n in range(40)
    ]
    answers = await asyncio.gather(*(server.draw(body) for body in bodies))
    for n, answer in enumerate(answers):
        pixels = imaging.read_image(answer.content)
        assert np.array_equal(pixels, fake_pixels(f"p{n}", n, 512, 512)), n


@whole
async def test_faults_are_not_billed(server):
    for prompt in ("!fault", "!black"):
        answer = await server.draw({"prompt": prompt})
        assert answer.status_code == 500
        assert "Traceback" not in answer.text
    assert await server.credits() == 1


@whole
async def test_too_little_credit(server):
    answer = await server.draw({"prompt": "x", "samples": 4, "base64": True, "scheduler": "heun",
                                "num_inference_steps": 100, "img_width": 1024})  # fmt: skip
    assert answer.status_code == 200
    dear = {"prompt": "x", "num_inference_steps": 100, "img_width": 1024, "img_height": 1024}
    answers = await asyncio.gather(
        *(server.draw(dear | {"samples": 4, "base64": True}) for _ in range(8))
    )
    refused = [answer for answer in answers if answer.status_code == 406]
    assert refused
    assert all(answer.status_code in (200, 406) for answer in answers)
    assert refused[0].json()["error"].startswith("Insufficient credits")
    assert await server.credits() >= 0


@whole
async def test_img2img_and_prompt_adjustments(server):
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, "PNG")
    answer = await server.client.post(
        PATH,
        data={"prompt": "x <hypernet:dragon:0.5>", "strength": "0.5"},
        files={"image": ("a.png", buffer.getvalue(), "image/png")},
    )
    assert answer.status_code == 200
    assert "hypernet" in answer.headers["x-adjustments"]
    receipt = imaging.read_metadata(answer.content).receipt
    assert receipt["parameters"]["source"]["strength"] == 0.5


def test_limits_of_a_key_come_with_retry_after(tmp_path):
    async def main():
        async with Whole(tmp_path, key_max_requests_per_minute=2) as server:
            await server.until_ready()
            statuses = [(await server.draw()).status_code for _ in range(3)]
            assert statuses == [200, 200, 429]
            last = await server.draw()
            assert int(last.headers["retry-after"]) > 0
            assert last.headers["x-rate-limit-remaining"] == "0"
            # What was drawn before the limit is still replayed, and 400 comes before 429.
            assert (await server.draw({"seed": 1})).status_code == 400

    asyncio.run(asyncio.wait_for(main(), LONG_S))


def test_a_crowd_is_refused_with_the_number(tmp_path):
    async def main():
        engine = HeldEngine()
        async with Whole(tmp_path, engine=engine, connections_max=7) as server:
            await server.until_ready()
            calls = [asyncio.create_task(server.draw()) for _ in range(6)]
            await until(lambda: sum(call.done() for call in calls) == 3)
            engine.release()
            answers = await asyncio.gather(*calls)
            assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 3
            refused = next(answer for answer in answers if answer.status_code == 429)
            assert refused.headers["retry-after"] == "2"
            assert "has 3 of 7 calls in progress" in refused.json()["error"]
            assert (await server.draw()).status_code == 200

    asyncio.run(asyncio.wait_for(main(), LONG_S))


def test_the_port_answers_while_the_model_loads(tmp_path):
    hold = threading.Event()

    async def main():
        async with Whole(tmp_path, engine=FakeEngine(hold=hold)) as server:
            assert (await server.client.get("/health/ready")).status_code == 503
            early = await server.draw()
            assert early.status_code == 503
            assert int(early.headers["retry-after"]) > 0
            hold.set()
            await server.until_ready()
            assert (await server.draw()).status_code == 200

    asyncio.run(asyncio.wait_for(main(), LONG_S))


def test_a_licence_must_be_accepted_first(tmp_path):
    model = replace(
        FAKE_MODEL, licence="creativeml-openrail-m", licence_needs_acceptance=True, name="RPG V4"
    )

    async def main():
        async with Whole(tmp_path, engine=FakeEngine(model=model)) as server:
            await server.until_ready()
            refused = await server.draw()
            assert refused.status_code == 403
            assert "/license" in refused.json()["error"]
            assert (await server.client.post("/api/license/accept")).status_code == 200
            assert (await server.draw()).status_code == 200

    asyncio.run(asyncio.wait_for(main(), LONG_S))


@pytest.mark.parametrize(("idempotent", "billed"), [(False, 1.0), (True, 0.99744)])
def test_a_client_that_leaves(tmp_path, idempotent, billed):
    headers = {"Idempotency-Key": "k"} if idempotent else {}

    async def main():
        engine = HeldEngine()
        async with Whole(tmp_path, engine=engine) as server:
            await server.until_ready()
            await leave(server, headers)
            if not idempotent:  # it ends though no step does
                await until(lambda: not server.generate.worker.running)
            engine.release()
            await until(lambda: not server.generate._tasks)
            assert await server.credits() == billed
            again = await server.draw(headers=headers)
            assert ("x-replayed" in again.headers) == idempotent

    asyncio.run(asyncio.wait_for(main(), LONG_S))


async def leave(server, headers):
    """Send a request through plain ASGI, and disconnect once it is being drawn."""
    body = b'{"prompt": "x"}'
    sent = iter([{"type": "http.request", "body": body, "more_body": False}])
    answered = []

    async def receive():
        for message in sent:
            return message
        await until(lambda: server.generate.worker.running)
        return {"type": "http.disconnect"}

    async def send(message):
        answered.append(message)

    raw = {"x-api-key": server.key, "content-type": "application/json", **headers}
    scope = {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "headers": [(k.lower().encode(), v.encode()) for k, v in raw.items()],
        "client": ("127.0.0.1", 1),
    }
    await server.app(scope, receive, send)
    assert answered[0]["status"] == 422
