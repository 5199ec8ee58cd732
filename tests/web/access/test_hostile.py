"""Calls that take pictures, sent the worst ones: health and other keys' drawings go on.

The calls are taken from the document of the API, so that a new one cannot be forgotten.
"""

import asyncio
import base64
from itertools import cycle, islice, product

import pytest

from limner.cli.serving import make_app
from limner.engine.batching.fake import FakeEngine
from limner.settings import Settings
from limner.store import keys
from limner.store.db import Database
from tests.imaging import hostile
from tests.web.access.test_free import WORST, client_of, draw, longest_turn

TURN_MAX_S = 0.5  # what the worst of them costs to decode is more
FIELDS = ("image", "mask", "init_images")
JSON, FORM = "application/json", "multipart/form-data"
SOUND = hostile.saved(hostile.Image.new("RGB", (64, 64), "white"))
TEXT = "a\nSteps: 20, Sampler: Euler, Seed: 1, Size: 64x64, Denoising strength: 0.5"
FIELDS_OF_ALL = {"prompt": "a", "steps": 3, "num_inference_steps": 20, "text": TEXT}


def picture_calls(app):
    """Path, content type and field of every picture that a call takes, and the call's others."""
    for path, verbs in app.openapi()["paths"].items():
        content = verbs.get("post", {}).get("requestBody", {}).get("content", {})
        taken = sorted(
            set(FIELDS).intersection(*(_names(each["schema"]) for each in content.values()))
        )
        for kind, field in product((JSON, FORM), taken if content else ()):
            yield path, kind, field, [other for other in taken if other != field]


def _names(schema):
    below = [each for how in ("anyOf", "oneOf") for each in schema.get(how, ())]
    return set(schema.get("properties", ())).union(*map(_names, below))


def request_of(kind, field, others, data):
    """What ``httpx`` is to send: ``data`` in one field, a sound picture in the others."""
    files = {field: data, **dict.fromkeys(others, SOUND)}
    if kind == FORM:
        return {"data": FIELDS_OF_ALL, "files": {name: ("a", file) for name, file in files.items()}}
    texts = {name: base64.b64encode(file).decode() for name, file in files.items()}
    if "init_images" in texts:
        texts["init_images"] = [texts["init_images"]]
    return {"json": {**FIELDS_OF_ALL, **texts}}


@pytest.fixture
def settings():
    return Settings(data_dir="/nonexistent")


def test_every_call_that_reads_a_picture_is_sent_some(client, services):
    """Whoever complains about what is no picture reads it, described or not."""
    services.generate.side = 16
    found = {(path, field) for path, _, field, _ in picture_calls(client.app)}
    sound = request_of(JSON, "init_images", ["image", "mask"], SOUND)["json"]
    reading = set()
    for path, field in product(WORST, FIELDS):
        answer = client.post(path, json={**sound, field: 7})
        if answer.status_code == 400 and f"{field} is " in answer.text:
            reading.add((path, field))
    assert reading == found


@pytest.fixture
def served(tmp_path):
    settings = Settings(data_dir=tmp_path, decode_max_s=2)
    database = Database.open(settings.database_url)
    with database.begin() as conn:
        made = [keys.create(conn, name=name, credits_micro=10**8)[0] for name in ("bad", "good")]
    engine = FakeEngine().wait_ready()
    yield make_app(settings, database, engine), *made
    engine.close()
    database.close()


def deal(calls, pictures):
    """Every field and every picture at least once, in forms and in JSON by turns."""
    by_turns = [call for n, call in enumerate(calls) if n % 2 == n // 2 % 2]
    number = max(len(by_turns), len(pictures))
    return list(islice(zip(cycle(by_turns), cycle(pictures), strict=False), number))


@pytest.mark.slow
@pytest.mark.parametrize("pixels", [1_000_000, pytest.param(40_000_000, marks=pytest.mark.slow)])
def test_no_picture_holds_up_another_call(served, pixels):
    app, bad, good = served
    dealt = deal(list(picture_calls(app)), list(hostile.worst(pixels).items()))

    async def send(client, call, picture):
        path, kind, field, others = call
        answer = await client.post(path, **request_of(kind, field, others, picture[1]))
        assert answer.status_code in (200, 400, 406, 413, 429, 503), (call, picture[0], answer.text)
        return answer.status_code

    async def main():
        async with app.router.lifespan_context(app), client_of(app, good) as others:
            await draw(others)
            async with client_of(app, bad) as client:
                sent = [send(client, *each) for each in dealt]
                all_sent = asyncio.ensure_future(asyncio.gather(*sent))
                watched = asyncio.create_task(longest_turn(all_sent))
                while not all_sent.done():
                    assert (await others.get("/health/live")).status_code == 200
                    await draw(others)
                return await all_sent, await watched

    statuses, gap = asyncio.run(main())
    assert gap < TURN_MAX_S
    assert {200, 400} <= set(statuses)
