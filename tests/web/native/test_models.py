"""The library over HTTP: what the list holds, and what it never tells."""

import hashlib

import pytest

from limner.models.listing import Library
from tests.models import files
from tests.waiting import wait_for
from tests.web import fakes

FIELDS = {
    "name", "kind", "base", "library", "path", "bytes", "prediction", "trigger_words", "notes",
    "licence", "pickled", "usable", "reason", "preview", "resident", "sha256", "source_sha256",
    "network", "parts", "vectors", "scale",
}  # fmt: skip


@pytest.fixture
def models(tmp_path):
    files.lora(tmp_path / "shelf" / "fox.safetensors", **{"modelspec.trigger_phrase": "fox"})
    files.picture(tmp_path / "shelf" / "fox.png")
    (tmp_path / "shelf" / "broken.ckpt").write_bytes(b"")
    (tmp_path / "shelf" / "half\udcff.safetensors").write_bytes(b"")
    return tmp_path / "shelf"


@pytest.fixture
def services(models):
    made = fakes.services()
    object.__setattr__(made, "models", Library(named=[models, models / "missing"]))
    return made


def test_the_list(client, models):
    answer = client.get("/api/models")
    satchel = [row for row in answer.json() if row["library"] == "built-in"][1:]
    assert {"floral", "handheld", "night"} <= {row["name"] for row in satchel}
    assert all(row["usable"] for row in satchel)
    rows = {row["path"]: row for row in answer.json() if row not in satchel}
    assert list(rows) == ["squire", "broken.ckpt", "fox.safetensors", "half\\udcff.safetensors",
                          "missing"]  # fmt: skip
    assert all(set(row) == FIELDS for row in rows.values())
    fox = rows["fox.safetensors"]
    assert (fox["name"], fox["kind"], fox["base"], fox["library"]) == (
        "fox",
        "lora",
        "sd1",
        "shelf",
    )
    assert (fox["trigger_words"], fox["bytes"]) == (
        ["fox"], (models / "fox.safetensors").stat().st_size,
    )  # fmt: skip
    assert rows["broken.ckpt"]["reason"] == "broken.ckpt is empty."
    assert rows["broken.ckpt"]["preview"] is False
    assert rows["squire"]["usable"]
    assert str(models.parent) not in answer.text


def test_a_preview(client, stranger, models):
    (url,) = (row["preview"] for row in client.get("/api/models").json() if row["preview"])
    answer = client.get(url)
    assert answer.headers["content-type"] == "image/png"
    assert answer.content == (models / "fox.png").read_bytes()
    assert stranger.get(url).status_code == 401
    assert client.get("/api/models/0123/preview").status_code == 404
    assert stranger.get("/api/models").status_code == 401


def test_a_server_lists_the_folders_of_its_settings_and_sums_them(tmp_path, models, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    from tests.web.served import serve

    with serve(tmp_path / "data", models_dirs=[models]) as served, served.http() as http:

        def told():
            return {row["name"]: row["sha256"] for row in http.get("/api/models").json()}

        made = hashlib.sha256((models / "fox.safetensors").read_bytes()).hexdigest()
        wait_for(told, lambda sums: sums["fox"] == made)
    assert (tmp_path / "data" / "library.json").is_file()
