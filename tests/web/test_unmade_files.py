"""A picture drawn, stored and billed whose file cannot be made: it is said, and found again."""

import pytest

from limner.web import pictures
from tests.web.conftest import PATH
from tests.web.served import serve

SURFACES = (PATH, "/v1/images/generations", "/sdapi/v1/txt2img")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("unmade")) as running:
        yield running


@pytest.mark.parametrize("path", SURFACES)
def test_the_answer_says_what_was_taken_and_a_retry_takes_nothing(served, path, monkeypatch):
    def fail(_):
        raise RuntimeError("planted")

    body, headers = {"prompt": "x", "seed": 5}, {"idempotency-key": "k"}
    with served.http(served.new_key()) as http:
        with monkeypatch.context() as broken:
            broken.setattr(pictures, "_describe", fail)
            failed = http.post(path, json=body, headers=headers)
        assert failed.status_code == 500
        left = http.get("/v1/get-user-credits").json()["credits"]
        assert float(failed.headers["x-cost"]) == pytest.approx(10 - left) != 0
        assert failed.headers["x-remaining-credits"] == f"{left:g}"
        stored = http.get(f"/api/requests/{failed.headers['x-request-id']}").json()
        assert (stored["status"], len(stored["pictures"])) == ("COMPLETED", 1)
        again = http.post(path, json=body, headers=headers)
        assert (again.status_code, again.headers["x-cost"]) == (200, "0")
        assert http.get("/v1/get-user-credits").json()["credits"] == left
