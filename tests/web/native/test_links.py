"""Pictures whose files lie where clients can fetch them: sent there, once it is theirs."""

import pytest

from tests.store.files.memory import MemoryFiles
from tests.web.served import serve


@pytest.mark.slow
def test_a_picture_in_a_bucket_is_answered_with_a_link(tmp_path):
    with serve(tmp_path, files=MemoryFiles()) as served, served.http() as http:
        body = {"prompt": "x", "seed": 5}
        assert http.post("/v1/sd1.5-rpg", json=body).status_code == 200
        [picture] = http.get("/api/requests?limit=1").json()["requests"][0]["pictures"]
        path = f"/api/pictures/{picture['id']}"
        for png in (path, f"{path}.png"):
            answer = http.get(png)
            key = f"{picture['id'][4:6]}/{picture['id']}.png"
            assert (answer.status_code, answer.content) == (302, b"")
            assert answer.headers["location"] == f"https://bucket.test/{key}?for=600"
            assert answer.headers["cache-control"] == "private, no-store"
        for made in (f"{path}.jpg", f"{path}.webp", f"{path}?metadata=false"):
            assert http.get(made).status_code == 200
        with served.http(served.new_key()) as stranger:
            assert stranger.get(path).status_code == 404
        http.delete(path)
        assert http.get(path).status_code == 404
    assert not (tmp_path / "pictures").exists()


def test_the_document_says_which_files_may_be_links(app):
    paths = app.openapi()["paths"]
    linked = {
        path for path, calls in paths.items() if "302" in calls.get("get", {}).get("responses", ())
    }
    assert linked == {"/api/pictures/{id}", "/api/pictures/{id}.png"}
