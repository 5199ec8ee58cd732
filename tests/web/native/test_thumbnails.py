"""Thumbnails: their sizes, whose they are, and the bound of what is kept."""

import pytest

from limner import imaging
from limner.web import pictures
from limner.web.native.thumbnails import SIDES, Name, Thumbnails
from tests.web.conftest import PATH
from tests.web.served import serve


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("thumbnails")) as running:
        yield running


@pytest.fixture
def http(served):
    with served.http(served.new_key()) as client:
        yield client


@pytest.fixture
def drawn(http):
    """Id of a stored picture."""
    assert http.post(PATH, json={"prompt": "x", "seed": 1}).status_code == 200
    return http.get("/api/requests").json()["requests"][0]["pictures"][0]["id"]


def test_a_thumbnail_is_small_made_once_and_gone_with_its_picture(http, drawn, monkeypatch):
    path = f"/api/pictures/{drawn}.webp"
    first = http.get(path, params={"size": 128})
    assert first.headers["content-type"] == "image/webp"
    assert first.headers["cache-control"].startswith("private")
    assert imaging.read_image(first.content).shape == (128, 128, 3)
    monkeypatch.setattr(pictures, "thumbnail", None)
    assert http.get(path, params={"size": 128}).content == first.content
    http.delete(f"/api/pictures/{drawn}")
    assert http.get(path, params={"size": 128}).status_code == 404


@pytest.mark.parametrize("size", ["100", "1024", "x", "-1"])
def test_other_sizes_are_refused(http, drawn, size):
    answer = http.get(f"/api/pictures/{drawn}.png", params={"size": size})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("size is ")


def test_what_is_kept_is_bounded_and_the_oldest_goes():
    kept = Thumbnails(bytes_max=10)
    names = [Name(f"pic_{i}", "webp", SIDES[0]) for i in range(3)]
    kept.put(names[0], b"12345")
    kept.put(names[1], b"12345")
    assert kept.get(names[0]) == b"12345"
    kept.put(names[2], b"12345")
    assert [kept.get(name) for name in names] == [b"12345", None, b"12345"]
    kept.put(names[2], b"12")
    kept.put(names[1], b"123")
    assert [kept.get(name) for name in names] == [b"12345", b"123", b"12"]
    kept.put(names[0], b"12345678901")
    assert [kept.get(name) for name in names] == [None, None, None]
