"""Calls that cost nothing: none holds up another, whatever its body, and each key has its rate."""

import asyncio
import base64
import json
import time
import zlib
from types import SimpleNamespace

import httpx
import numpy as np
import pytest

from limner import imaging
from limner.cli.serving import make_app
from limner.engine.batching.fake import FakeEngine
from limner.pools import WHOSE
from limner.settings import Settings
from limner.store import keys
from limner.store.db import Database
from limner.web.access.auth import is_public, scope_of
from limner.web.access.free import FreeCalls, _is_apart
from limner.web.app import create_app
from tests.web import fakes

BYTES = 100_000
GAP_MAX_S, TRIES = 1.0, 3
TEXTS = [
    "{" + "|".join("a" * 4900) + "}",
    ("{" + "|".join("a" * 49) + "}") * 99,
    "__a" * 3333,
    "[a|b][c|d|e][f|g|h|i|j][k|l|m|n|o|p|q]" + "()" * 4900,
    "[a|b]" * 2000,
    "[a:" + "1" * 9900 + "x]",
    "(" * 10_000,
    "a AND " * 1666,
    "\\a" * 5000,
    "<a:" * 3333 + ">",
    "a" + "\u0301" * 9999,
]
NUMBER = {"prompt": "a", "guidance_scale": "1" * (BYTES - 100) + "x"}
MIXES = [
    {"prompt": "a", "style_mix": {"sequence": [1] * 33_000}},
    {"prompt": "a", "style_mix": {f"a{n}": 1 for n in range(9_000)}},
    {"prompt": "a", "style_mix": json.dumps({"sequence": [1] * 30_000})},
    {"prompt": "a", "template": True, "style_mix": {"sequence": [TEXTS[0]] * 9}},
    {"prompt": "a AND " * 1600, "style_mix": {"mood": "gloomy", "sequence": ["a"] * 60}},
    {"prompt": "a", **{f"a{n}": 1 for n in range(9_000)}},
]
DETAILS = [
    {
        "prompt": "a",
        "details": [{"box": [0, 0, 1, 1], "prompt": f"{n}{text}"} for n in range(count)],
    }
    for text, count in (("[a|b][c|d|e][f|g|h|i|j][k|l|m|n|o|p|q]" * 14, 16), (TEXTS[3], 9))
]
DRAWINGS = [
    *({"prompt": text, "template": True, "samples": 16, "base64": True} for text in TEXTS[:3]),
    *({"prompt": text[:10_000], "negative_prompt": text[:10_000]} for text in TEXTS[3:]),
    NUMBER,
    *MIXES,
    *DETAILS,
]
FEW = [*MIXES, {"prompt": TEXTS[3]}, {"prompt": TEXTS[0], "template": True}]


def png_with(text):
    """A small picture whose file carries ``text``."""
    png = imaging.to_png(np.zeros((64, 64, 3), np.uint8))
    data = b"tEXtparameters\0" + text.encode("latin-1")
    chunk = (len(data) - 4).to_bytes(4, "big") + data + zlib.crc32(data).to_bytes(4, "big")
    return {"image": base64.b64encode(png[:33] + chunk + png[33:]).decode()}


def large_png(side=2048):
    """A picture of as many pixels as a map may have, in a small file."""
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[::64, ::64] = 255
    return {"image": base64.b64encode(imaging.to_png(pixels)).decode()}


# The worst that fits into 100 KB, by the route that reads it. A route that posts and is not here
# fails the test below: think of its worst body when you add it.
WORST = {
    "/api/quote": [{**body, "num_inference_steps": 150} for body in DRAWINGS],
    "/api/explain": [{**body, "num_inference_steps": 150} for body in DRAWINGS],
    "/api/styles/preview": FEW[:5],
    "/api/preprocess": [
        {"pose": [[[0.1 * n, 0.5] for n in range(18)]] * 20, "width": 2048, "height": 2048},
        {**large_png(), "preprocessor": "canny"},
        {**large_png(), "preprocessor": "shuffle"},
    ],
    "/api/upscale": [{**large_png(), "upscaler": "Scale2x", "scale": 2}, {"image": "A" * 90_000}],
    "/api/requests": [*FEW, {"requests": [{"prompt": TEXTS[3]}] * 9}],
    "/api/replay": [
        {"receipt": {"receipt": 1, "parameters": {f"a{n}": 1 for n in range(9_000)}}},
        {"text": "Steps: 1, Sampler: a, Seed: 1, " + "Hashes: {[" * 6_000, "dry_run": True},
        {"text": "a\n" * 30_000 + "Seed: 1\nSize: 1\nModel: x", "dry_run": True},
        {"text": "<lora:" * 10_000 + "\nSteps: 1, Sampler: a, Seed: 1", "dry_run": True},
    ],
    "/api/license/accept": [{}],
    "/api/queue/move": [{"id": "a" * 100, "before": "b" * 100}],
    "/api/pictures": [{"ids": ["a" * 90] * 1000, "starred": True}],
    "/api/pictures/export": [{"ids": [f"{n:090}" for n in range(500)]}],
    "/api/draw": FEW[:1],
    "/v1/sd1.5-rpg": FEW,
    "/v1/sd1.5-img2img": FEW[:1],
    "/v1/sd1.5-inpainting": FEW[:1],
    "/v1/sd1.5-outpaint": FEW[:1],
    **{
        f"/{version}/sd1.5-controlnet-{kind}": [large_png()]
        for version in ("v1", "v2")
        for kind in ("canny", "depth", "openpose", "scribble", "softedge")
    },
    "/v2/sd1.5-rpg": FEW[:1],
    "/v2/sd1.5-img2img": FEW[:1],
    "/v2/sd1.5-inpainting": FEW[:1],
    "/v2/sd1.5-outpaint": FEW[:1],
    "/v1/images/generations": FEW[:2],
    "/v1/images/edits": FEW[:1],
    "/sdapi/v1/txt2img": [*FEW[3:], {"prompt": "#\n" * 5_000}, {"override_settings": MIXES[5]}],
    "/sdapi/v1/img2img": FEW[:1],
    "/sdapi/v1/options": [{f"a{n}": 1 for n in range(9_000)}],
    "/sdapi/v1/png-info": [
        png_with("Steps: 1, " + "a" * 70_000),
        png_with("a: " * 24_000),
        png_with('ab:"\\,' * 11_000),
        png_with("a\n" * 35_000),
    ],
    "/controlnet/detect": [
        {
            "controlnet_input_images": [large_png()["image"]],
            "controlnet_module": "lineart",
            "controlnet_processor_res": 2048,
        }
    ],
    "/sdapi/v1/extra-single-image": [
        {
            **large_png(),
            "upscaler_1": "Scale2x",
            "upscaler_2": "Lanczos",
            "extras_upscaler_2_visibility": 0.5,
        },
        {"image": "A" * 90_000},
    ],
    "/sdapi/v1/extra-batch-images": [
        {
            "imageList": [{"data": large_png(1024)["image"], "name": f"{n}"} for n in range(8)],
            "upscaler_1": "Lanczos",
        },
        {"imageList": [{"data": "A" * 5_000}] * 16, "upscaler_1": "Lanczos"},
    ],
    "/sdapi/v1/interrupt": [{}],
    "/sdapi/v1/skip": [{}],
    "/sdapi/v1/refresh-checkpoints": [{}],
    "/sdapi/v1/refresh-loras": [{}],
    "/sdapi/v1/refresh-vae": [{}],
}


def test_every_call_with_a_body_has_its_worst_one():
    app = create_app(Settings(data_dir="/nonexistent"), fakes.services())
    posted = {
        route.path
        for route in app.routes
        for method in getattr(route, "methods", None) or ()
        if method in ("POST", "PUT", "PATCH") and not is_public(route.path)
        if scope_of(method, route.path) != "admin"
    }
    assert posted == set(WORST)
    for bodies in WORST.values():
        assert all(len(json.dumps(body, ensure_ascii=False)) <= 1.1 * BYTES for body in bodies)


async def longest_turn(task):
    """Seconds of processor time that the process spent between two turns of the loop.

    Not the clock's: a busy machine takes none of it. Of all threads: one that does not let go of
    the interpreter, as a regular expression does not, holds up the loop as well.
    """
    longest, before = 0.0, time.process_time()
    while not task.done():
        await asyncio.sleep(0.005)
        now = time.process_time()
        longest, before = max(longest, now - before), now
    return longest


@pytest.mark.slow
def test_no_free_call_holds_up_another(tmp_path):
    settings = Settings(data_dir=tmp_path)
    database = Database.open(settings.database_url)
    with database.begin() as conn:
        poor, _ = keys.create(conn, name="poor", credits_micro=0)
        rich, _ = keys.create(conn, name="rich", credits_micro=10_000_000)
    engine = FakeEngine().wait_ready()
    app = make_app(settings, database, engine)

    async def main():
        async with (
            app.router.lifespan_context(app),
            client_of(app, rich) as others,
            client_of(app, poor) as client,
        ):
            await draw(others)  # what is made once is made now
            for path, body in ((path, body) for path, bodies in WORST.items() for body in bodies):
                # What the process did beside it counts as well; a call that holds up does so again.
                gaps = [await hold_up(client, others, path, body)]
                while gaps[-1] > GAP_MAX_S and len(gaps) < TRIES:
                    gaps.append(await hold_up(client, others, path, body))
                assert min(gaps) < GAP_MAX_S, (path, str(body)[:100], gaps)

    try:
        asyncio.run(main())
    finally:
        engine.close()
        database.close()


async def hold_up(client, others, path, body):
    """Post the worst body; meanwhile another call and another key's drawing are answered.

    The longest time that the loop waited.
    """
    asked = asyncio.create_task(client.post(path, json=body))
    watched = asyncio.create_task(longest_turn(asked))
    assert (await others.get("/health/live")).status_code == 200
    await draw(others)
    answer = await asked
    assert answer.status_code < 500 or answer.status_code == 503, answer.text
    return await watched


def client_of(app, key):
    transport = httpx.ASGITransport(app=app)
    return httpx.AsyncClient(
        transport=transport, base_url="http://limner.test", headers={"x-api-key": key}, timeout=60
    )


async def draw(client):
    small = {"prompt": "a knight", "steps": 1, "width": 64, "height": 64}
    answer = await client.post("/sdapi/v1/txt2img", json=small)
    assert answer.status_code == 200, answer.text


@pytest.fixture
def settings():
    return Settings(data_dir="/nonexistent", key_max_free_calls_per_minute=3)


def test_free_calls_have_a_rate_of_their_own(client, services):
    for _ in range(3):
        assert client.post("/api/quote", json={"prompt": "x"}).status_code == 200
    answer = client.get("/api/styles")
    assert answer.status_code == 429
    assert "More than 3 calls of this key that cost nothing came in a minute" in answer.text
    assert 1 <= int(answer.headers["retry-after"]) <= 61
    # Others, drawings, and whoever follows what was drawn go on.
    assert client.get("/api/styles", headers={"x-api-key": fakes.READER}).status_code == 200
    assert client.get("/api/admin/credits", headers={"x-api-key": fakes.ADMIN}).status_code == 200
    for _ in range(5):
        assert client.post("/v1/sd1.5-rpg", json={"prompt": "x"}).status_code == 200
        assert client.get("/api/requests/req_1").status_code == 404


def test_refused_calls_have_a_rate_of_their_own(client):
    for _ in range(3):
        assert client.post("/v1/sd1.5-rpg", json={}).status_code == 400
    assert client.post("/v1/sd1.5-rpg", json={"prompt": "x"}).status_code == 429
    assert client.post("/api/quote", json={"prompt": "x"}).status_code == 200


def test_what_is_not_counted():
    app = create_app(Settings(data_dir="/nonexistent"), fakes.services())
    apart = {
        f"{method} {route.path}"
        for route in app.routes
        for method in getattr(route, "methods", None) or ()
        if _is_apart(method, route.path) and "admin" not in route.path and method != "HEAD"
    }
    assert all(each.startswith("GET ") for each in apart)
    assert "GET /sdapi/v1/progress" in apart
    assert "GET /api/requests/{id}" in apart


@pytest.mark.parametrize("path", ["/api/requests/{id}", "/api/styles"])
def test_every_call_works_in_the_turn_of_its_key(path):
    told = []

    async def app(_scope, _receive, _send):
        told.append(WHOSE.get())

    state = {"caller": SimpleNamespace(id="key_1"), "route": SimpleNamespace(path=path)}
    scope = {"type": "http", "method": "GET", "path": path, "state": state}
    asyncio.run(FreeCalls(app, most=3)(scope, None, None))
    assert told == ["key_1"]
