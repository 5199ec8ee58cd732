"""The library's calls: finding, marking, folders, lineage, and many pictures as a ZIP file."""

import base64
import io
import json
import zipfile

import pytest

from limner import imaging
from tests.web.conftest import PATH
from tests.web.served import serve


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("library")) as running:
        yield running


@pytest.fixture
def http(served):
    with served.http(served.new_key()) as client:
        yield client


def draw(http, prompt="a knight", seed=1, **more):
    answer = http.post(PATH, json={"prompt": prompt, "seed": seed, **more})
    assert answer.status_code == 200
    return http.get("/api/pictures", params={"limit": 1}).json()["pictures"][0]


def seeds(answer):
    assert answer.status_code == 200, answer.text
    return [picture["seed"] for picture in answer.json()["pictures"]]


def test_pages_of_pictures(http):
    for seed in range(5):
        draw(http, seed=seed)
    first = http.get("/api/pictures", params={"limit": 3})
    rest = http.get("/api/pictures", params={"limit": 3, "after": first.json()["next"]})
    assert (seeds(first), seeds(rest)) == ([4, 3, 2], [1, 0])
    assert rest.json()["next"] is None


def test_a_picture_says_what_it_is(http):
    shown = draw(http, "a (red:1.2) knight", 3)
    assert (shown["prompt"], shown["seed"], shown["starred"]) == ("a (red:1.2) knight", 3, False)
    assert shown["folder"] is None
    assert http.get(shown["urls"]["png"]).status_code == 200


def test_search_and_marks(http):
    first, second = draw(http, "a knight", 1), draw(http, "a mage", 2, img_width=576)
    assert seeds(http.get("/api/pictures?q=MAGE+a")) == [2]
    assert seeds(http.get("/api/pictures?size=576x512")) == [2]
    assert seeds(http.get("/api/pictures?since=2020-01-01&until=2020-01-02T00:00:00Z")) == []
    body = {"ids": [first["id"]], "starred": True, "folder": "heroes"}
    assert http.patch("/api/pictures", json=body).json() == {"changed": 1}
    assert seeds(http.get("/api/pictures?starred=true&folder=heroes")) == [1]
    assert http.get("/api/folders").json() == {"folders": [{"name": "heroes", "pictures": 1}]}
    http.patch("/api/pictures", json={"ids": [second["id"]], "removed": True})
    assert seeds(http.get("/api/pictures")) == [1]
    assert seeds(http.get("/api/pictures?removed=true")) == [2]
    requests = http.get("/api/requests").json()["requests"]
    assert [len(request["pictures"]) for request in requests] == [0, 1]
    http.patch("/api/pictures", json={"ids": [second["id"]], "removed": False})
    assert seeds(http.get("/api/pictures")) == [2, 1]


def test_lineage(http):
    parent = draw(http)
    png = http.get(parent["urls"]["png"]).content
    image = base64.b64encode(png).decode()
    child = draw(http, seed=2, image=image, strength=0.5)
    related = http.get(f"/api/pictures/{child['id']}/lineage").json()
    assert [each["id"] for each in related["from"]] == [parent["id"]]
    related = http.get(f"/api/pictures/{parent['id']}/lineage").json()
    assert [each["id"] for each in related["into"]] == [child["id"]]
    assert http.get("/api/pictures/pic_x/lineage").status_code == 404


def test_a_zip_holds_pictures_and_receipts(http):
    drawn = [draw(http, "A Knight, red!", seed) for seed in (7, 8)]
    ids = [picture["id"] for picture in drawn]
    answer = http.post("/api/pictures/export", json={"ids": ids})
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
        assert file.testzip() is None
        names = ["001_a-knight-red_7.png", "001_a-knight-red_7.json",
                 "002_a-knight-red_8.png", "002_a-knight-red_8.json"]  # fmt: skip
        assert file.namelist() == names
        receipt = json.loads(file.read(names[1]))
        assert receipt == http.get(f"/api/receipts/{ids[0]}").json()
        pixels = imaging.read_image(file.read(names[0]))
    assert pixels.shape == (512, 512, 3)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("size=512", 'size is "512"; it must be WIDTHxHEIGHT, such as 512x768'),
        ("size=5x5x5", 'size is "5x5x5"; it must be WIDTHxHEIGHT, such as 512x768'),
        ("since=tomorrow", 'since is "tomorrow"; it must be a day or a moment, such as 2026-01-31'),
        ("until=9999999999", 'until is "9999999999"; it must be a day or a moment'),
        ("after=x", 'after is "x"; it must be next of the page before, as it is'),
        ("limit=0", 'limit is "0"; it must be a whole number 1 to 200'),
        ("starred=perhaps", 'starred is "perhaps"; it must be true or false'),
    ],
)
def test_a_wrong_search_is_told(http, query, says):
    answer = http.get(f"/api/pictures?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(says)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"starred": True}, "ids is missing; it must be 1 to 1000 pictures' ids"),
        ({"ids": ["pic_x"]}, "Nothing is to change: beside ids only starred, folder, removed"),
        ({"ids": ["a"], "stared": True}, "stared was ignored: beside ids only starred"),
        ({"ids": ["a"] * 1001, "starred": True}, "ids has 1001 entries; at most 1000 are read"),
    ],
)
def test_a_wrong_mark_is_told(http, body, says):
    answer = http.patch("/api/pictures", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(says)


def test_others_pictures_are_not_found(http, served):
    with served.http(served.new_key()) as other:
        theirs = draw(other)
    for answer in (
        http.patch("/api/pictures", json={"ids": [theirs["id"]], "starred": True}),
        http.post("/api/pictures/export", json={"ids": [theirs["id"]]}),
        http.get(f"/api/pictures/{theirs['id']}/lineage"),
    ):
        assert answer.status_code == 404
        assert theirs["id"] in answer.json()["error"]
