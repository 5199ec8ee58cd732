"""Who gets in: every route of the application, without a key, with a wrong one, with a good one."""

import base64
import json

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

from limner.settings import Settings
from limner.web.access.auth import PUBLIC, is_public
from limner.web.app import create_app
from tests.web import fakes
from tests.web.conftest import PATH

MISSING = {"error": "Missing Authorization or x-api-key in header"}
WRONG = "SG_" + "9" * 32


def route_table(app):
    """(verb, path) of every route, whatever its kind; parameters filled in."""
    for route in app.router.routes:
        path = route.path.replace("{", "").replace("}", "")
        for verb in getattr(route, "methods", None) or ("GET",):
            yield verb, path


def test_every_route_asks_for_a_key_unless_public(app, stranger):
    table = list(route_table(app))
    assert ("POST", PATH) in table
    for verb, path in table:
        for headers in ({}, {"x-api-key": WRONG}):
            status = stranger.request(verb, path, headers=headers).status_code
            assert (status != 401) if is_public(path) else (status == 401), (verb, path)


def test_the_public_list_is_what_was_decided():
    assert {"/health/live", "/health/ready", "/docs", "/openapi.json", "/license"} <= PUBLIC
    assert not any(path.startswith(("/v1", "/v2", "/api", "/sdapi")) for path in PUBLIC)


async def echo(request: Request):
    return JSONResponse(request.path_params.get("name"))


def test_a_route_added_later_is_closed(app, stranger):
    app.add_api_route("/forgotten", echo, methods=["GET"])
    app.mount("/files", lambda *_: None)
    assert stranger.get("/forgotten").status_code == 401
    assert stranger.get("/files/x").status_code == 401


def test_a_route_added_later_answers_its_verb_to_who_has_a_key(app, client, stranger):
    app.add_api_route("/more/{name}", echo, methods=["POST"])
    assert stranger.post("/more/x").status_code == 401
    assert client.post("/more/x").json() == "x"
    assert client.get("/more/x").headers["allow"] == "OPTIONS, POST"
    assert client.post("/more").status_code == 404


def test_no_key(stranger):
    for headers in ({}, {"x-api-key": ""}, {"Authorization": "Bearer "}, {"Authorization": "x"}):
        answer = stranger.post(PATH, headers=headers)
        assert (answer.status_code, answer.json()) == (401, MISSING)
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("key", [WRONG, "x", "é", "SG_" + "0" * 5000])
def test_a_wrong_key(stranger, key):
    answer = stranger.post(PATH, headers={"x-api-key": key.encode()})
    assert answer.status_code == 401
    assert answer.json()["error"].startswith("Unauthorized. API key is invalid or may have expired")


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": fakes.KEY},
        {"X-API-Key": f" {fakes.KEY} "},
        {"Authorization": f"Bearer {fakes.KEY}"},
        {"Authorization": f"bearer {fakes.KEY}"},
        {"Authorization": "Basic " + base64.b64encode(f"me:{fakes.KEY}".encode()).decode()},
        {"x-api-key": fakes.KEY, "Authorization": f"Bearer {WRONG}"},
    ],
)
def test_ways_to_send_a_key(stranger, headers):
    assert stranger.get("/v1/get-user-credits", headers=headers).status_code == 200


@pytest.mark.parametrize("name", ["müller", "", "a b", "é" * 100])
@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
def test_basic_takes_any_name_and_any_padding(stranger, name, charset):
    value = base64.b64encode(f"{name}:{fakes.KEY}".encode(charset)).decode()
    for sent in (f"Basic {value}", f"Basic  {value}", f"basic {value.rstrip('=')}"):
        answer = stranger.get("/v1/get-user-credits", headers={"Authorization": sent})
        assert answer.status_code == 200, sent


BASIC = {"Authorization": "Basic " + base64.b64encode(f"me:{fakes.KEY}".encode()).decode()}
CROSS = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (BASIC | CROSS, 403),
        (BASIC | CROSS | {"content-type": "text/plain"}, 403),
        (BASIC | {"Origin": "null"}, 403),
        (BASIC | {"Sec-Fetch-Site": "same-site"}, 403),
        (BASIC | {"Origin": "http://testserver"}, 200),
        (BASIC | {"Sec-Fetch-Site": "same-origin", "Origin": "https://public.example"}, 200),
        (BASIC, 200),
        (BASIC | CROSS | JSON, 200),
        (CROSS | {"x-api-key": fakes.KEY}, 200),
        (CROSS | {"Authorization": f"Bearer {fakes.KEY}"}, 200),
    ],
)
def test_a_page_of_another_site_spends_no_kept_password(stranger, services, headers, status):
    body = {"prompt": "x", "steps": 2}
    answer = stranger.post("/sdapi/v1/txt2img", content=json.dumps(body), headers=headers)
    assert answer.status_code == status, answer.text
    assert len(services.generate.orders) == (status == 200)


def test_a_preflight_for_a_private_network_is_allowed(stranger):
    asked = {
        "Origin": "https://page.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Private-Network": "true",
    }
    answer = stranger.options(PATH, headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-private-network"] == "true"
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("value", ["Basic ", "Basic !!", "Basic QQ==", "Basic /w=="])
def test_basic_without_a_password_is_no_key(stranger, value):
    answer = stranger.get("/v1/get-user-credits", headers={"Authorization": value})
    assert answer.json() == MISSING


def test_a_reading_key_may_not_draw(stranger, services):
    headers = {"x-api-key": fakes.READER}
    assert stranger.get("/v1/get-user-credits", headers=headers).status_code == 200
    answer = stranger.post(PATH, json={"prompt": "x"}, headers=headers)
    assert answer.status_code == 403
    assert "'draw' scope" in answer.json()["error"]
    assert services.generate.orders == []


@pytest.mark.parametrize("scope", ["draw", "read", "admin"])
def test_every_route_asks_for_its_scope(app, services, stranger, scope):
    """The whole table with a key that has one scope; nothing but 'admin' has another's rights."""
    services.accounts.keys[WRONG] = fakes.FakeKey("key_9", frozenset({scope}))
    looks = {"/api/quote", "/api/explain", "/api/preprocess", "/api/styles/preview"}
    looks |= {"/sdapi/v1/png-info", "/controlnet/detect"}
    for verb, path in route_table(app):
        if is_public(path):
            continue
        needed = "read" if verb in ("GET", "HEAD") or path in looks else "draw"
        needed = "admin" if path.startswith("/api/admin/") or path == "/metrics" else needed
        answer = stranger.request(verb, path, headers={"x-api-key": WRONG})
        refused = answer.status_code == 403 and f"'{needed}' scope" in answer.text
        assert refused == (scope not in (needed, "admin")), (verb, path, answer.text)


def test_a_path_that_only_looks_like_another_needs_its_own_scope(stranger):
    for path in ("/api/admin/../quote", "/api/%61dmin/keys", "//api/admin/keys", "/API/admin/keys"):
        answer = stranger.get(path, headers={"x-api-key": fakes.READER})
        assert answer.status_code in (403, 404, 405), path


@pytest.mark.parametrize(
    ("client", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("10.0.0.1", {}, 401),
        ("testclient", {}, 401),
        ("127.0.0.1", {"X-Forwarded-For": "10.0.0.1"}, 401),
        ("127.0.0.1", {"Forwarded": "for=10.0.0.1"}, 401),
        ("127.0.0.1", {"Via": "1.1 proxy"}, 401),
        ("127.0.0.1", {"CF-Connecting-IP": "10.0.0.1"}, 401),
        ("127.0.0.1", {"X-Forwarded-Proto": "https"}, 401),
        ("127.0.0.1", {"Host": "limner.example"}, 401),
        ("127.0.0.1", {"Host": "limner.example:80@127.0.0.1"}, 401),
        ("127.0.0.1", {"Origin": "https://evil.example"}, 401),
        ("127.0.0.1", {"Sec-Fetch-Site": "cross-site"}, 401),
    ],
)
def test_metrics_may_be_opened_to_this_machine(services, client, headers, status):
    settings = Settings(data_dir="/nonexistent", metrics_open=True)
    app = create_app(settings, services)
    from_there = TestClient(app, base_url="http://localhost:8420", client=(client, 5000))
    assert from_there.get("/metrics", headers=headers).status_code == status
    assert from_there.get("/api/admin/keys", headers=headers).status_code == 401


def test_metrics_are_closed_unless_set_open(app):
    here = TestClient(app, client=("127.0.0.1", 5000))
    assert here.get("/metrics").status_code == 401


def test_unknown_paths_come_before_the_key(stranger):
    for path in (
        "/v1/sdxl",
        "/v2/sd1.5-rpg/x",
        "/nope",
        "/nope//",
        "/v1/sd1.5-rpg/",
        "/api/admin/x",
    ):
        answer = stranger.post(path)
        assert answer.status_code == 404, path
        assert "error" in answer.json()


def test_wrong_verbs_come_before_the_key(stranger):
    answer = stranger.get(PATH)
    assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")
    assert "error" in answer.json()
    answer = stranger.delete("/v1/get-user-credits")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_head_is_get_without_a_body(client):
    head, get = client.head("/license"), client.get("/license")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(get.content))
    assert client.head(PATH).status_code == 405
    assert client.head("/v1/get-user-credits").status_code == 200


def test_options_without_an_origin_lists_the_verbs(stranger):
    answer = stranger.options(PATH)
    assert (answer.status_code, answer.headers["allow"]) == (204, "OPTIONS, POST")


def test_preflight_allows_what_browsers_clients_list(stranger):
    asked = "x-api-key, content-type, access-control-allow-origin"
    answer = stranger.options(
        PATH,
        headers={
            "Origin": "https://page.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": asked,
        },
    )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == asked
    assert "POST" in answer.headers["access-control-allow-methods"]


def test_every_x_header_is_exposed_also_on_errors(client, stranger):
    origin = {"Origin": "https://page.example"}
    good = client.post(PATH, json={"prompt": "x", "unknown": 1}, headers=origin)
    for answer in (good, stranger.post(PATH, headers=origin)):
        assert answer.headers["access-control-allow-origin"] == "*"
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert {name for name in answer.headers if name.startswith("x-")} <= set(exposed)


def test_many_wrong_keys_are_slowed_and_good_ones_pass(services):
    settings = Settings(data_dir="/nonexistent", wrong_keys_max_per_minute=3)
    client = TestClient(create_app(settings, services))
    good = {"x-api-key": fakes.KEY}
    assert client.get("/v1/get-user-credits", headers=good).status_code == 200
    guesses = [
        client.get("/v1/get-user-credits", headers={"x-api-key": f"SG_{n}"}) for n in range(5)
    ]
    assert [answer.status_code for answer in guesses] == [401, 401, 401, 429, 429]
    assert int(guesses[-1].headers["retry-after"]) >= 1
    assert client.get("/v1/get-user-credits", headers=good).status_code == 200
    assert client.get("/v1/get-user-credits").status_code == 401


def test_websockets_are_closed(stranger):
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), stranger.websocket_connect(PATH):
        pass
