"""Bodies of marks that are hidden from a count of bytes: bounded once they were decoded."""

import time

import pytest

from tests.web.conftest import PATH

JSON = {"content-type": "application/json"}
WORK_S = 3.0  # of processor time; such bodies took 6 to 69 s, a body of that length takes 0.3 s
COMMAS = '{"prompt":"a","style_mix":"{\\"sequence\\":[1%s]}"}'
LINE = ("{" + "|".join("a" * 49) + "}") * 100


@pytest.fixture
def work():
    """Called: the seconds of processor time since the test began."""
    began = time.process_time()
    return lambda: time.process_time() - began


@pytest.mark.parametrize("path", ["/api/quote", PATH])
@pytest.mark.parametrize("number", [40_000, 1_000_000, 4_400_000])
def test_escaped_commas_are_refused_before_they_are_read(client, path, number, work):
    body = (COMMAS % ("\\u002c1" * number)).encode()
    answer = client.post(path, content=body, headers=JSON)
    assert answer.status_code == 400
    told = answer.json()["error"]
    if 2 * number > 200_000:
        assert told.startswith(f"style_mix is a text of {2 * number + 16:,} characters; at most ")
    else:
        assert told == "style_mix holds more than 500 values; no mix has as many"
    assert work() < WORK_S


def test_six_template_lines_of_ten_thousand_characters(client, work):
    mix = {"sequence": [LINE] * 6}
    body = {"prompt": "a", "template": True, "base64": True, "style_mix": mix}
    answer = client.post("/api/quote", json=body)
    assert (answer.status_code, answer.json()["samples"]) == (200, 6)
    assert work() < WORK_S
