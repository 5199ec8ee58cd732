"""Models that a key may not use, that are too large, that vanish or cannot be loaded."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from limner.engine.batching.fake import FakeEngine
from limner.errors import CheckpointError
from limner.store import keys
from tests.models import chosen
from tests.waiting import wait_until
from tests.web import surfaces
from tests.web.conftest import PATH
from tests.web.served import serve

PROMPT = {"prompt": "x", "seed": 5, "output_format": "png"}
FORBIDDEN = "This key may not draw with fake; it may with squire"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return chosen.write(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def served(tmp_path_factory, models):
    """A server for which knight is too large."""
    squire, knight = chosen.info(), chosen.info(models / "knight.safetensors")
    known = {"others": [squire, knight], "sizes": {knight.sha256: 9 << 20}}
    engine = FakeEngine(**known, models_bytes=8 << 20)
    with serve(tmp_path_factory.mktemp("served"), engine=engine, models_dirs=(models,)) as running:
        yield running


@pytest.fixture
def fresh(tmp_path):
    """A server of which nobody has asked anything."""
    with serve(tmp_path, engine=FakeEngine(others=[chosen.info()])) as running:
        yield running


@pytest.fixture
def kept(served):
    """The client of a key that may draw with squire alone, and accepts every licence."""
    plain = served.new_key()
    with served.database.begin() as conn:
        keys.limit(conn, keys.authenticate(conn, plain).id, models=["squire"])
    with served.http(plain) as client:
        yield client


@pytest.fixture
def http(served):
    with served.http(served.new_key()) as client:
        client.post("/api/license/accept", params={"model": "knight"})
        yield client


def credits(http):
    return http.get("/v1/get-user-credits").json()


def asked(surface, **more):
    """A body of a surface as its client would send it."""
    body = {**surface.fields(random.Random(1)), **more}
    if surface.files is None:
        return {"json": body}
    return {"data": surfaces.as_form(body), "files": surface.files}


@pytest.mark.parametrize(
    "surface",
    [
        each
        for each in {each.path: each for each in surfaces.SURFACES}.values()
        if "canny" not in each.path
    ],
    ids=lambda surface: surface.path.replace("/", "-"),
)
def test_a_model_that_a_key_may_not_use_is_refused_on_every_surface(kept, surface):
    before = credits(kept)
    answer = kept.post(surface.path, headers=surface.headers, **asked(surface))
    assert answer.status_code == 403, answer.text
    assert FORBIDDEN in answer.text
    assert credits(kept) == before


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (PATH, {"model": "knight"}),
        ("/v2/sd1.5-rpg", {"model": "knight"}),
        ("/api/quote", {"model": "knight"}),
        ("/v1/images/generations", {"model": "knight", "size": "512x512"}),
        ("/sdapi/v1/txt2img", {"override_settings": {"sd_model_checkpoint": "knight"}}),
    ],
)
def test_a_model_that_never_fits_is_refused_with_both_numbers_before_the_hold(http, path, body):
    before = credits(http)
    answer = http.post(path, json={"prompt": "x", **body})
    assert answer.status_code == 400, answer.text
    assert "The model needs 9 MiB in memory; models may take 8 MiB on this server." in answer.text
    assert credits(http) == before
    assert http.get("/api/requests?limit=1").json()["requests"] == []


def test_a_model_that_cannot_be_loaded_ends_all_who_wait_and_bills_nobody(fresh):
    http = fresh.http()
    going = threading.Event()

    def fails(_choice):
        going.wait(60)
        raise CheckpointError("squire.safetensors is damaged.")

    before = credits(http)
    fresh.engine.before_load = fails
    with ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(http.post, PATH, json=PROMPT | {"model": "squire"})
                   for _ in range(5)]  # fmt: skip
        wait_until(lambda: fresh.engine.status().waiting == 5)
        own = http.post(PATH, json=PROMPT)
        assert own.status_code == 200, "others are drawn meanwhile"
        going.set()
        told = [answer.result() for answer in answers]
    assert {(t.status_code, t.json()["error"]) for t in told} == {
        (400, "squire.safetensors is damaged.")
    }
    known = {row["status"] for row in http.get("/api/requests?limit=9").json()["requests"]}
    again = http.post(PATH, json=PROMPT | {"model": "squire"})
    assert (again.status_code, again.json()) == (400, {"error": "squire.safetensors is damaged."})
    assert known == {"COMPLETED", "FAILED"}
    assert len(http.get("/api/requests?limit=9").json()["requests"]) == 6, "the last one held none"
    spent = float(own.headers["x-cost"])
    assert before["credits"] - credits(http)["credits"] == pytest.approx(spent)


def test_who_cancels_while_the_model_loads_pays_nothing_and_holds_nobody_up(fresh):
    http = fresh.http()
    going, before = threading.Event(), credits(http)
    fresh.engine.before_load = lambda _: going.wait(60)
    given_up, kept_on = (
        http.post("/v2/sd1.5-rpg", json=PROMPT | {"model": "squire"}).json()["request_id"]
        for _ in range(2)
    )
    wait_until(lambda: fresh.engine.status().waiting == 2)
    http.delete(f"/api/requests/{given_up}").raise_for_status()
    wait_until(lambda: status(http, given_up) == "CANCELLED")
    assert fresh.engine.status().waiting == 1
    going.set()
    wait_until(lambda: status(http, kept_on) == "COMPLETED")
    cost = http.get(f"/api/requests/{kept_on}").json()["cost"]
    assert before["credits"] - credits(http)["credits"] == pytest.approx(cost)


def status(http, request_id):
    return http.get(f"/api/requests/{request_id}").json()["status"]
