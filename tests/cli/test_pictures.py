"""``limner pictures move``, from a disk to an S3 server."""

import httpx
import pytest
from typer.testing import CliRunner

from limner.cli.main import typer_app
from tests.store.files.bucket import Bucket, s3_server
from tests.web.served import serve


def move(folder, *more):
    words = ["pictures", "move", "--data-dir", str(folder), *more]
    return CliRunner().invoke(typer_app, words)


def test_without_a_bucket_there_is_nowhere_to_move_to(tmp_path):
    result = move(tmp_path)
    assert result.exit_code == 1
    assert str(result.exception) == (
        "pictures is not set: name the bucket with --pictures s3://..."
    )


@pytest.mark.slow
def test_pictures_of_the_disk_are_found_in_the_bucket(tmp_path):
    with s3_server() as (endpoint, _):
        bucket = Bucket(endpoint)
        with serve(tmp_path) as served, served.http() as http:
            assert http.post("/v1/sd1.5-rpg", json={"prompt": "x", "seed": 5}).status_code == 200
            [request] = http.get("/api/requests?limit=1").json()["requests"]
            png = http.get(f"/api/pictures/{request['pictures'][0]['id']}").content
            key = served.key
        result = move(tmp_path, "--pictures", bucket.url)
        assert (result.exit_code, result.stdout[:15]) == (0, "1 files moved, ")
        assert list((tmp_path / "pictures").rglob("*.png")) == []
        assert move(tmp_path, "--pictures", bucket.url).stdout.endswith("1 were there already\n")
        with serve(tmp_path, pictures=bucket.url) as served, served.http(key) as http:
            answer = http.get(f"/api/pictures/{request['pictures'][0]['id']}")
            assert httpx.get(answer.headers["location"], timeout=60).content == png
