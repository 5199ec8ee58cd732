"""What chance made is made once: a retry with its key is the same, and takes nothing."""

import pytest

from tests.waiting import wait_for
from tests.web.served import serve
from tests.web.surfaces import SMALL

PATH = "/v1/sd1.5-rpg"
WORDS = "a {red|blue|green} knight"
TEMPLATE = {"prompt": WORDS, "template": True, "samples": 4}
OPENAI = {"prompt": WORDS, "template": True, "n": 4, "size": "64x64", "num_inference_steps": 20}
SDAPI = {"prompt": WORDS, "template": True, "batch_size": 4, "steps": 20, "width": 64, "height": 64}
PLAIN = {"prompt": "a knight", "samples": 4, "base64": True}
MIXED = {**PLAIN, "samples": 2, "style_mix": {"artists": ["random"], "sequence": ["one", "two"]}}
USUAL, TINY = 4 * 2560, 4 * 40  # micro-credits of four pictures of 512 and 64 pixels, 20 steps


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("retried")) as made:
        yield made


def told(answer):
    """What an answer says is drawn: its pictures, or the ids of the requests it accepted."""
    assert answer.status_code == 200, answer.text
    if answer.headers["content-type"] != "application/json":
        return answer.content
    found = answer.json()
    if "requests" in found:
        return [each["request_id"] for each in found["requests"]]
    return next(found[name] for name in ("image", "images", "data", "request_id") if name in found)


def ids(told):
    """The ids of requests that were accepted and draw by themselves; none for pictures."""
    each = told if isinstance(told, list) else [told]
    return [one for one in each if isinstance(one, str) and one.startswith("req_")]


def drawn(http, request_id):
    return http.get(f"/api/requests/{request_id}").json()["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("path", "body", "price_micro"),
    [
        (PATH, {**TEMPLATE, "base64": True}, USUAL),
        pytest.param(PATH, {**TEMPLATE, "output": "grid"}, USUAL, marks=pytest.mark.slow),
        ("/v1/images/generations", OPENAI, TINY),
        ("/sdapi/v1/txt2img", SDAPI, TINY),
        ("/api/requests", {**TEMPLATE, **SMALL}, TINY),
        ("/v2/sd1.5-rpg", TEMPLATE, USUAL),
        pytest.param(PATH, PLAIN, USUAL, marks=pytest.mark.slow),
        pytest.param(PATH, MIXED, USUAL, marks=pytest.mark.slow),
    ],
)
def test_without_a_seed_a_retry_is_the_same_and_free(served, path, body, price_micro):
    """The key holds what one call costs: to draw anew, or to price it first, would be refused."""
    with served.http(served.new_key(credits=price_micro / 1_000_000)) as http:
        retries = {"idempotency-key": "once"}
        first = told(http.post(path, json=body, headers=retries))
        for request_id in ids(first):
            wait_for(lambda id=request_id: drawn(http, id), bool)
        assert http.get("/v1/get-user-credits").json()["credits"] == 0
        for _ in range(2):  # chance would have to fall the same way each time
            assert told(http.post(path, json=body, headers=retries)) == first
