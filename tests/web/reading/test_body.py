"""Bodies: what is read, what is refused, and that nothing a stranger sends is our fault."""

import asyncio
import gzip
import hashlib
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.testclient import TestClient

from limner.errors import LimnerError, MalformedBody, Unavailable
from limner.web.reading import body, fields
from limner.web.reading import form as wire
from tests.waiting import LONG_S
from tests.web import fakes
from tests.web.conftest import PATH


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'"x"', "must be a JSON object"),
        (b"\xff\xfe", "not UTF-8 (at byte 0)"),
        (b'{"prompt": "a", "prompt": "b"}', "'prompt' stands more than once"),
        (b'{"x": {"a": 1, "a": 2}}', "'a' stands more than once"),
        (b'{"seed": NaN}', "NaN is not a JSON number"),
        (b'{"seed": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"seed": 1e999}', "1e999 is too large"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "is too large"),
        (b'{"prompt": "a\\u0000b"}', "NUL character"),
        (b'{"prompt": "\\ud800"}', "half of a surrogate pair"),
        (b'{"\\udfff": 1}', "half of a surrogate pair"),
        (b'{"x": ' + b"[" * 40 + b"]" * 40 + b"}", "nested deeper than 32"),
        (b'{"x": ' + b"[" * 100_000, "nested deeper than 32"),
        (b'{"a":' * 100_000, "nested deeper than 32"),
        (b'{"x": [' + b"1," * 200_000 + b"1]}", "more than 200,000 commas"),
        (b'{"x": [' + b"[{}]" * 100_000 + b"]}", "more than 200,000 commas"),
    ],
)
def test_json_that_is_refused(content, sentence):
    with pytest.raises(MalformedBody) as refused:
        body.parse_json(content)
    assert sentence in str(refused.value)
    assert len(str(refused.value)) < 300


def test_json_that_is_read():
    assert body.parse_json(b'{"x": [' + b"1," * 199_997 + b"1]}")
    assert body.parse_json(b'\xef\xbb\xbf{"a": [1, 2.5, "\\ud83d\\udc09", null]}') == {
        "a": [1, 2.5, "🐉", None]
    }
    assert body.parse_json(b'{"x": ' + b"[" * 29 + b"]" * 29 + b"}")


def test_the_digest_tells_bodies_apart():
    one = body.digest("/v1/a", {"a": 1, "b": "x"})
    assert body.digest("/v1/a", {"b": "x", "a": 1}) == one
    assert len({one, body.digest("/v1/b", {"a": 1, "b": "x"}), body.digest("/v1/a", {"a": 1})}) == 3
    assert body.digest("/v1/a", {"f": b"1"}) != body.digest("/v1/a", {"f": b"2"})


def test_the_digest_is_of_plain_json():
    """Written down, so that a stored idempotency key knows its body after an upgrade."""
    sent = {"b": "é\n" * 9000, "a": [1, 2.5, None, {"f": True}]}
    plain = json.dumps(sent, sort_keys=True, separators=(",", ":"))
    assert body.digest("/v1/a", sent) == hashlib.sha256(f"/v1/a\n{plain}".encode()).hexdigest()


def test_encoded_bodies_are_refused_on_every_surface(app):
    client = TestClient(app, headers={"x-api-key": fakes.ADMIN})
    routes = [
        (path, verb)
        for path, calls in app.openapi()["paths"].items()
        for verb, call in calls.items()
        if "requestBody" in call
    ]
    assert len(routes) > 15
    zipped = gzip.compress(b'{"prompt": "x"}')
    for path, verb in routes:
        headers = {"content-type": "application/json", "content-encoding": "GZip"}
        answer = client.request(verb, path, content=zipped, headers=headers)
        assert answer.status_code == 415, (path, answer.text)
        assert (
            "Content-Encoding is 'gzip'; this server reads bodies only as they are" in answer.text
        )
        assert answer.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("content-encoding", "identity", 200),
        ("content-encoding", "", 200),
        ("content-encoding", "identity, br", 415),
        ("content-encoding", "x" * 1000, 415),
        ("transfer-encoding", "gzip, chunked", 415),
    ],
)
def test_encodings(client, name, value, status):
    headers = {"content-type": "application/json", name: value}
    answer = client.post(PATH, content=b'{"prompt": "x"}', headers=headers)
    assert answer.status_code == status, answer.text
    assert len(answer.content) > 1000 or len(answer.json()["error"]) < 300


def test_ten_megabytes_of_prompt(draw):
    answer = draw({"prompt": "x" * 10_000_000})
    assert answer.status_code == 400
    assert "prompt has 10,000,000 characters" in answer.json()["error"]


def form(*parts, boundary=b"b", end=b"--b--\r\n"):
    return b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + end


def field(name, value, extra=b""):
    head = b'Content-Disposition: form-data; name="' + name + b'"' + extra
    return head + b"\r\n\r\n" + value


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (form(field(b"prompt", b"a"), field(b"prompt", b"b")), "stands more than once"),
        (form(field(b"prompt", b"a\0b")), "NUL character"),
        (form(b"\r\nno disposition"), "name"),
        (form(*[field(b"x%d" % n, b"") for n in range(201)]), "Too many fields"),
        (b"garbage", "Invalid multipart data"),
        (b"", "prompt is missing"),
        (form(field(b"prompt", b"a", b'; filename="a"')), "prompt is a file"),
        (form(field(b"prompt", b"a"), field(b"samples", b"two")), 'samples is "two"'),
        (form(field(b"prompt", b"a"), field(b"samples", b"two"), end=b""), "cut off"),
        (form(field(b"prompt", b"a"), field(b"samples", b"3"))[:-30], "cut off"),
    ],
)
def test_forms_that_are_refused(client, content, sentence):
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = client.post(PATH, content=content, headers=kind)
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]


@pytest.mark.parametrize("content", [b"x", b"\r\n--", b"\r\n--bx"])
def test_a_long_form_lets_others_have_a_turn(content):
    """All that a parser has to look at twice, up to what could be its end."""
    file = field(b"image", content * (2**20 // len(content)), b'; filename="a"')
    kind = (b"content-type", b"multipart/form-data; boundary=bb")
    request = Request({"type": "http", "headers": [kind]})

    async def main():
        sent = form(file, boundary=b"bb", end=b"--bb--\r\n")
        reading = asyncio.create_task(body._form(request, sent, 2**22))
        turns = 0
        while not reading.done():
            turns += 1
            await asyncio.sleep(0)
        return turns, reading.result()

    turns, values = asyncio.run(main())
    assert turns > 2**20 / body.FORM_PIECE
    assert values["image"] == content * (2**20 // len(content))


@pytest.mark.parametrize("closed_first", [False, True])
def test_a_body_that_stalls_ends_with_the_server(app, closed_first):
    streams = app.state.streams

    async def main():
        stalled = asyncio.Event()

        async def receive():
            stalled.set()
            await asyncio.Event().wait()

        request = Request({"type": "http", "headers": [], "app": app}, receive)
        if closed_first:
            streams.close()
        reading = asyncio.create_task(body.read_bytes(request, max_bytes=9, max_s=3600))
        if not closed_first:
            await stalled.wait()
            streams.close()
        with pytest.raises(Unavailable, match="The server is stopping; send it again"):
            async with asyncio.timeout(LONG_S):
                await reading

    asyncio.run(main())


def test_a_form_without_a_boundary(client):
    answer = client.post(PATH, content=b"x", headers={"Content-Type": "multipart/form-data"})
    assert answer.status_code == 400
    assert "boundary" in answer.json()["error"].lower()


@pytest.mark.parametrize("charset", ["punycode", "undefined", "idna", "utf-7", "x" * 500])
def test_a_form_in_a_strange_charset(client, charset):
    kind = {"Content-Type": f"multipart/form-data; boundary=b; charset={charset}"}
    answer = client.post(PATH, content=form(field(b"prompt", b"a\\ud800")), headers=kind)
    assert answer.status_code == 400
    assert "charset" in answer.json()["error"]


@pytest.mark.parametrize(("charset", "prompt"), [("UTF-8", "é"), ("ISO-8859-1", "é")])
def test_a_form_in_a_charset_people_use(client, services, charset, prompt):
    kind = {"Content-Type": f'multipart/form-data; boundary=b; charset="{charset}"'}
    content = form(field(b"prompt", prompt.encode(charset)))
    assert client.post(PATH, content=content, headers=kind).status_code == 200
    assert services.generate.orders[-1].generation.prompt == prompt


def test_a_declared_length_that_is_too_long(client, settings):
    length = {"Content-Length": str(settings.body_max_bytes + 1)}
    answer = client.post(PATH, content=b"{}", headers=length | {"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert f"{settings.body_max_bytes:,}" in answer.json()["error"]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text()
    | st.sampled_from(["1", "2.0", "-1", "1e5", "true", "ddim", "1" * 50, "٣", "NaN", " 7 "]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
known = st.sampled_from([*wire.READERS, *wire.ALIASES])
bodies = st.dictionaries(known | st.text(max_size=5), json_values, max_size=6)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(bodies, st.booleans())
def test_any_json_is_served_or_refused(client, fields, with_prompt):
    if with_prompt:
        fields = {**fields, "prompt": "x"}
    content = json.dumps(fields, ensure_ascii=True).encode()
    answer = client.post(PATH, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in (200, 400)
    if answer.status_code == 400:
        assert answer.json()["error"]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(content):
    try:
        assert isinstance(body.parse_json(content), dict)
    except LimnerError as error:
        assert str(error)  # noqa: PT017


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.binary(max_size=12), st.binary(max_size=20)), max_size=4))
def test_any_form_is_served_or_refused(client, parts):
    content = form(*[field(name, value) for name, value in parts])
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    assert client.post(PATH, content=content, headers=kind).status_code in (200, 400)


@example("0\x1f")  # whitespace to Unicode and no number to float
@given(st.floats() | st.integers() | st.text(max_size=8))
def test_whole_numbers_are_whole_and_in_range(value):
    reader = fields.Whole(-5, 50)
    try:
        number = reader.read("n", value)
    except LimnerError as error:
        assert str(error).startswith("n is ")  # noqa: PT017
    else:
        assert type(number) is int
        assert -5 <= number <= 50
        assert number == float(value)


@pytest.mark.parametrize(
    "text", ["1_0", "٣", "nan", "infinity", "0x9", "1e999", "", " ", ".", "1e"]
)
def test_numbers_as_text_that_are_refused(text):
    with pytest.raises(LimnerError, match="n is "):
        fields.Number(0, 50).read("n", text)


@pytest.mark.parametrize("text", ["9", " 9.0 ", "+9.", "90e-1", ".9E1"])
def test_numbers_as_text(text):
    assert fields.Number(0, 50).read("n", text) == 9.0
