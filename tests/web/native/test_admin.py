"""The operator's calls over the whole server: what a key may do follows at once."""

import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from limner.cli.main import typer_app
from tests.web import fakes
from tests.web.served import serve

ADMIN = {"x-api-key": fakes.ADMIN}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("admin")) as server:
        with server.database.begin() as conn:
            from limner.store import keys

            server.admin = keys.create(conn, name="boss", scopes=["admin"])[0]
        yield server


def test_a_keys_life(served):
    with served.http(served.admin) as admin:
        limits = {"requests_per_minute": 50, "spend_cap": "0.5", "expires_days": 1}
        made = admin.post(
            "/api/admin/keys",
            json={"name": "guest", "credits": 2, "scopes": ["draw", "read"], **limits},
        ).json()
        one = f"/api/admin/keys/{made['id']}"
        with served.http(made["key"]) as guest:
            assert guest.get("/v1/get-user-credits").json()["credits"] == 2
            assert guest.get("/api/admin/keys").status_code == 403
            drawn = guest.post("/v1/sd1.5-rpg", json={"prompt": "x"})
            assert drawn.status_code == 200, drawn.text
            changed = admin.patch(one, json={"spend_cap": 0.0001, "expires_days": None}).json()
            assert (changed["spend_cap"], changed["expires_at"]) == (0.0001, None)
            assert guest.post("/v1/sd1.5-rpg", json={"prompt": "x"}).status_code == 406
            again = admin.post(f"{one}/rotate", json={"grace_hours": 1}).json()["key"]
            assert guest.get("/v1/get-user-credits").status_code == 200
            admin.post("/api/admin/credits", json={"key_id": made["id"], "credits": 1})
            assert admin.delete(one).json()["revoked_at"]
            for key in (made["key"], again):
                assert guest.get("/api/model", headers={"x-api-key": key}).status_code == 401
        listed = {key["id"]: key for key in admin.get("/api/admin/keys").json()["keys"]}
        cost = float(drawn.headers["x-cost"])
        assert listed[made["id"]]["available"] == pytest.approx(3 - cost)
        assert made["key"] not in admin.get("/api/admin/keys").text
        shown = admin.get("/api/admin/credits?check=true").json()
        assert shown["faults"] == []
        assert sum(shown["totals"].values()) == pytest.approx(0)
        (used,) = admin.get("/api/admin/usage?days=1").json()["usage"]
        assert (used["name"], used["completed"], used["pictures"]) == ("guest", 1, 1)
        assert used["cost"] == cost


def test_what_happens_and_what_happened_day_by_day(served):
    with served.http(served.admin) as admin:
        key = admin.post("/api/admin/keys", json={"name": "daily", "credits": 2}).json()
        with served.http(key["key"]) as guest:
            told = guest.get("/api/key").json()
            assert (told["id"], told["name"], told["scopes"]) == (
                key["id"],
                "daily",
                ["draw", "read"],
            )
            assert key["key"] not in guest.get("/api/key").text
            assert guest.get("/api/admin/status").status_code == 403
            cost = float(guest.post("/v1/sd1.5-rpg", json={"prompt": "x"}).headers["x-cost"])
        before = admin.get("/api/admin/usage/days?days=3").json()["usage"]
        today = datetime.now(UTC).date().isoformat()
        assert before[-1]["day"] == today
        assert before[-1]["cost"] >= cost
        status = admin.get("/api/admin/status").json()
        assert status["engine"]["ready"]
        assert status["engine"]["pictures"] >= 1
        assert status["queue"] == {"queued": 0, "processing": 0}
        with served.database.begin() as conn:  # as if it had been drawn at midnight two days ago
            midnight = (time.time() // 86_400 - 2) * 86_400
            conn.execute(
                text("UPDATE requests SET created_at = :at WHERE key_id = :key"),
                {"at": midnight, "key": key["id"]},
            )
        [old, *_] = admin.get("/api/admin/usage/days?days=3").json()["usage"]
        assert old["day"] == datetime.fromtimestamp(midnight, UTC).date().isoformat()
        assert (old["requests"], old["pictures"], old["cost"]) == (1, 1, cost)


def test_the_same_grant_twice_and_another_under_its_id(served):
    with served.http(served.admin) as admin:
        key = admin.post("/api/admin/keys", json={"name": "x"}).json()["id"]
        grant = {"key_id": key, "credits": 1, "id": "bill"}
        for _ in range(2):
            assert admin.post("/api/admin/credits", json=grant).json()["available"] == 1
        assert admin.post("/api/admin/credits", json={**grant, "credits": 2}).status_code == 422
        nothing = admin.post("/api/admin/credits", json={**grant, "credits": 0})
        assert nothing.json()["error"] == "credits is 0; a grant must be above 0"
        given = ["credits", "grant", key, "1", "--id", "bill"]
        database = ["--database-url", served.settings.database_url]
        assert CliRunner().invoke(typer_app, [*given, *database]).output == "x has 1 credits.\n"


def test_scopes_as_one_text_may_have_spaces(served):
    with served.http(served.admin) as admin:
        wanted = {"name": "spaced", "scopes": "draw, read"}
        made = admin.post("/api/admin/keys", json=wanted).json()
    assert made["scopes"] == ["draw", "read"]


@pytest.mark.parametrize(
    ("verb", "path", "body", "word"),
    [
        ("POST", "keys", {}, "name is missing"),
        ("POST", "keys", {"name": ""}, "1 to 200 characters"),
        ("POST", "keys", {"name": "b\x07ell"}, "printable"),
        ("POST", "keys", {"name": "x", "scopes": ["root"]}, "draw, read, admin"),
        ("POST", "keys", {"name": "x", "scopes": [[]]}, "draw, read, admin"),
        ("POST", "keys", {"name": "x", "credits": -1}, "0 to 1,000,000,000"),
        ("POST", "keys", {"name": "x", "credits": True}, "0 to 1,000,000,000"),
        ("POST", "keys", {"name": "x", "credits": "1e400"}, "0 to 1,000,000,000"),
        ("POST", "keys", {"name": "x", "credits": 1e-7}, "0.000001 at least"),
        ("POST", "keys", {"name": "x", "concurency": 1}, '"concurency" is unknown'),
        ("PATCH", "keys/key_1", {"requests_per_minute": 0}, "requests_per_minute"),
        ("POST", "credits", {"key_id": "key_1"}, "credits is missing"),
    ],
)
def test_what_is_refused(client, verb, path, body, word):
    answer = client.request(verb, f"/api/admin/{path}", json=body, headers=ADMIN)
    assert answer.status_code == 400, answer.text
    assert word in answer.json()["error"]


@pytest.mark.parametrize("verb", ["PATCH", "DELETE"])
def test_an_unknown_key(client, verb):
    answer = client.request(verb, "/api/admin/keys/key_x", json={}, headers=ADMIN)
    assert answer.status_code == 404
