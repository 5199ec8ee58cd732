"""A server whose pictures lie in a bucket: drawn, sent for, started from, deleted and swept."""

import httpx
import pytest

from tests.store.files.bucket import Bucket, s3_server
from tests.waiting import LONG_S
from tests.web.served import serve

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server():
    with s3_server() as (endpoint, flaky):
        yield endpoint, flaky


PATH, LIST = "/v1/sd1.5-rpg", "/api/requests?limit=2"


def pictures_in(bucket):
    return [key for key in bucket.objects() if key.count("/") == 2]


@pytest.mark.parametrize("every", [0, 5])
def test_from_request_to_sweep(server, tmp_path, every):
    bucket, (_, flaky) = Bucket(server[0]), server
    with serve(tmp_path, pictures=bucket.url) as served, served.http() as http:
        flaky.every = every
        bodies = [{"prompt": "x", "seed": seed} for seed in (5, 6)]
        assert [http.post(PATH, json=body).status_code for body in bodies] == [200, 200]
        assert len(pictures_in(bucket)) == 2
        ids = [one["pictures"][0]["id"] for one in http.get(LIST).json()["requests"]]
        links = [http.get(f"/api/pictures/{id}") for id in ids]
        assert {answer.status_code for answer in links} == {302}
        flaky.every = 0
        pngs = [httpx.get(answer.headers["location"], timeout=LONG_S).content for answer in links]
        flaky.every = every
        assert all(png.startswith(b"\x89PNG") for png in pngs)
        assert http.post("/api/replay", json={"picture_id": ids[0]}).json()["identical"]
        assert {http.delete(f"/api/pictures/{id}").status_code for id in ids} == {200}
        flaky.every = 0
        assert len(pictures_in(bucket)) == 1  # the one drawn again
    assert not (tmp_path / "pictures").exists()
