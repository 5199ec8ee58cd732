"""Every refusal of a known key says what the account holds, and that it cost nothing."""

import pytest

from limner.errors import DatabaseUnavailable
from tests.web import fakes
from tests.web.conftest import PATH

TOLD = {
    "x-cost": "0",
    "x-remaining-credits": "10",
    "x-rate-limit-remaining": "59",
    "x-rate-limit-reset-at-utc": "2030-01-02T03:04:05Z",
}


def told(answer):
    return {name: answer.headers.get(name) for name in TOLD}


@pytest.mark.parametrize(
    ("verb", "path", "body", "status"),
    [
        ("POST", PATH, {"steps": 5}, 400),
        ("POST", "/api/explain", {"steps": "many"}, 400),
        ("POST", "/api/quote", {"prompt": ""}, 400),
        ("POST", "/sdapi/v1/txt2img", {"steps": "many"}, 400),
        ("POST", "/api/replay", {"receipt": {}}, 400),
        ("GET", "/api/requests?limit=0", None, 400),
        ("GET", "/api/admin/keys", None, 403),
        ("GET", "/metrics", None, 403),
        ("GET", "/api/pictures/pic_0", None, 404),
        ("GET", "/v2/requests/req_0", None, 404),
        ("GET", "/v1/models/none", None, 404),
        ("DELETE", "/api/pictures/pic_0", None, 404),
        ("GET", "/api/sources/00", None, 410),
    ],
)
def test_errors_of_a_known_key(client, verb, path, body, status):
    answer = client.request(verb, path, json=body)
    assert answer.status_code == status, answer.text
    assert told(answer) == TOLD


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), (PATH, 405), ("/api/model", 401)])
def test_errors_before_the_key(stranger, path, status):
    answer = stranger.get(path)
    assert answer.status_code == status
    assert set(told(answer).values()) == {None}


def test_a_key_without_the_scope(stranger):
    answer = stranger.post(PATH, json={"prompt": "x"}, headers={"x-api-key": fakes.READER})
    assert answer.status_code == 403
    assert told(answer) == TOLD


def test_a_database_that_is_gone_says_no_cost(draw, services):
    services.generate.error = DatabaseUnavailable("The database does not answer")
    answer = draw()
    assert answer.status_code == 503
    assert told(answer) == {**TOLD, "x-cost": None}


def test_a_paid_answer_is_not_lost_with_its_headers(draw, services):
    async def standing(_):
        raise DatabaseUnavailable("The database does not answer")

    services.accounts.standing = standing
    answer = draw()
    assert answer.status_code == 200
    assert answer.headers["x-cost"] == "0.00256"
    assert answer.headers["x-remaining-credits"] == "9.99744"
