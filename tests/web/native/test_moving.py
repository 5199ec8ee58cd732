"""``POST /api/queue/move``: what it takes and refuses; the order itself is tested beside it."""

import pytest

from tests.web.served import serve

MOVE = "/api/queue/move"


@pytest.fixture(scope="module")
def http(tmp_path_factory):
    running = serve(tmp_path_factory.mktemp("moving"))
    with running as server, server.http(server.new_key()) as client:
        yield client


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({}, "id", "id is missing"),
        ({"id": "req_1"}, "before", "Neither given: one of before and after"),
        ({"id": "req_1", "before": "a", "after": "b"}, "before", "before and after given"),
        ({"id": "req_1", "before": "a", "place": 3}, "before", "place"),
    ],
)
def test_what_is_not_said_plainly_is_refused(http, body, field, says):
    answer = http.post(MOVE, json=body)
    assert answer.status_code == 400
    assert says in answer.json()["error"]


def test_requests_of_nobody_are_not_found(http):
    answer = http.post(MOVE, json={"id": "req_1", "before": "req_2"})
    assert answer.status_code == 404
