"""The document says what is served, no more and nothing else."""

import json

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from limner.web import openapi
from limner.web.application import Application


async def text(_: Request):
    return PlainTextResponse("here")


def made():
    app = Application(info={"title": "x", "version": "1"}, url="http://limner.test")
    picture = {"description": "A picture.", "content": {"image/png": {"schema": {}}}}
    about = openapi.operation("find", "Find one.", picture, errors=(404,), parameters=[1])
    app.add_api_route("/one/{id}", text, methods=["GET", "PUT"], **about)
    app.add_api_route("/one/{id}.png", text, methods=["DELETE"], **about)
    app.add_api_route("/hidden", text, methods=["GET"])
    return app


def test_a_route_is_documented_by_its_operation_and_one_without_is_not():
    document = made().openapi()
    assert json.loads(json.dumps(document)) == document
    assert {path: list(verbs) for path, verbs in document["paths"].items()} == {
        "/one/{id}": ["get", "put"],
        "/one/{id}.png": ["delete"],
    }
    found = document["paths"]["/one/{id}"]["get"]
    assert (found["operationId"], found["summary"]) == ("find", "Find one.")
    assert found["parameters"] == [1]
    assert list(found["responses"]) == ["200", "404"]
    assert list(found["responses"]["200"]["content"]) == ["image/png"]


def test_a_path_answers_its_verbs_alone_and_no_neighbour():
    client = TestClient(made())
    assert client.get("/hidden").text == client.put("/one/a.png").text == "here"
    assert client.delete("/one/a.png").text == "here"  # PUT and GET of it are the first's
    assert client.delete("/one/a").status_code == 405
    assert client.head("/hidden").status_code == 405  # the gate makes GET of it
    assert client.get("/hidden/").status_code == 404  # no redirect


def test_of_the_whole_application_a_file_is_no_json_and_a_bound_is_exact(app):
    paths = app.openapi()["paths"]
    assert list(paths["/api/pictures/{id}.jpg"]["get"]["responses"]["200"]["content"]) == [
        "image/jpeg"
    ]
    schema = paths["/api/quote"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["seed"]["maximum"] == 2**64 - 1
