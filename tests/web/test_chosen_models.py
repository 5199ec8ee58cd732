"""``model`` and ``vae`` over the whole server: every surface, from the wire to the ledger."""

import base64
import io
import json
import shutil
from dataclasses import replace

import pytest
from PIL import Image

from limner.engine.batching.fake import FakeEngine
from limner.imaging import read_metadata
from limner.store import keys
from tests.engine import checkpoint_files
from tests.models import chosen, files
from tests.web.conftest import PATH
from tests.web.served import serve

SMALL = {"width": 64, "height": 64}
PROMPT = {"prompt": "x", "seed": 5, "output_format": "png"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    chosen.write(folder / "models")
    squire = chosen.info()
    knight = chosen.info(folder / "models" / "knight.safetensors")
    with serve(
        folder,
        engine=FakeEngine(others=[squire, knight]),
        models_dirs=(folder / "models",),
        slugs={"sprites": "squire", "sd1.5-img2img": "squire"},
    ) as running:
        yield running


@pytest.fixture
def http(served):
    with served.http(served.new_key()) as client:
        yield client


def name_of(png):
    return read_metadata(png).receipt["model"]["name"]


def latest(http):
    return http.get("/api/requests?limit=1").json()["requests"][0]


def test_a_receipt_of_the_file_alone_is_drawn_beside_a_model_that_is_taken_otherwise(tmp_path):
    models = chosen.write(tmp_path / "models")
    knight = chosen.info(models / "knight.safetensors")
    own = replace(knight, prediction="epsilon", said="prediction=epsilon")
    engine = FakeEngine(model=own, others=[knight])
    served = serve(tmp_path / "served", engine=engine, models_dirs=(models,))
    with served as running, running.http() as http:
        http.post("/api/license/accept")
        answer = http.post(PATH, json=PROMPT | {"model": "knight"})  # its sum is known then
        record = read_metadata(answer.content).receipt
        assert "prediction" not in record["model"]
        file = record | {"model": record["model"] | {"prediction": "v-prediction"}}
        for receipt, prediction in ((record, "epsilon"), (file, "v-prediction")):
            told = http.post("/api/replay", json={"receipt": receipt})
            assert told.status_code == 200, told.text
            again = http.get(f"/api/receipts/{told.json()['picture_id']}").json()
            assert again["model"].get("prediction", "epsilon") == prediction
            row = latest(http)  # bound to more than the file; told is the file
            assert (row["model"], row["model_sha256"]) == ("knight", knight.sha256)
        file["model"]["zero_snr"] = True
        refused = http.post("/api/replay", json={"receipt": file})
        assert "if its file alone is read so, put that" in refused.json()["error"]


def test_a_request_names_its_model(http):
    answer = http.post(PATH, json=PROMPT | {"model": "squire"})
    assert answer.status_code == 200, answer.text
    assert name_of(answer.content) == "Squire"
    assert (latest(http)["model"], latest(http)["vae_sha256"]) == ("Squire", None)
    assert latest(http)["model_sha256"] == chosen.info().sha256
    assert name_of(http.post(PATH, json=PROMPT).content) == "fake"


def test_a_name_that_is_odd_is_told_on_every_way_as_the_list_has_it(tmp_path):
    models = chosen.write(tmp_path / "models")
    files.without_vae(models / "knight.safetensors", models / "elk .safetensors")
    files.save_vae(models / "half\udcff.safetensors", checkpoint_files.models(seed=3)["vae"])
    elk = chosen.info(models / "elk .safetensors", models / "half\udcff.safetensors")
    engine = FakeEngine(others=[elk])
    served = serve(tmp_path / "served", engine=engine, models_dirs=(models,))
    with served as running, running.http(running.new_key()) as http:
        both = {"model": "elk", "vae": "half\\udcff"}
        refused = http.post(PATH, json=PROMPT | both).json()["error"]
        paths = [refused.rpartition("POST ")[2]]
        page = http.get(refused.partition("read it at ")[2].partition(" ")[0])
        paths += [line.rpartition("POST ")[2].rstrip(".") for line in page.text.splitlines()[:9]]
        accepting = [path for path in paths if path.startswith("/api/license/accept")]
        assert [http.post(path).status_code for path in accepting] == [200, 200]
        answer = http.post(PATH, json=PROMPT | both)
        assert answer.status_code == 200, answer.text
        model = read_metadata(answer.content).receipt["model"]
        assert (model["name"], model["vae"]) == ("elk", "half\\udcff.safetensors")
        assert latest(http)["model"] == "elk"
        [picture] = latest(http)["pictures"]
        assert http.post("/api/replay", json={"picture_id": picture["id"]}).json()["identical"]
        asked = {"prompt": "x", "size": "512x512", **both}
        bearer = {"authorization": f"Bearer {http.headers['x-api-key']}"}
        assert http.post("/v1/images/generations", json=asked, headers=bearer).is_success
        assert latest(http)["model"] == "elk"
        refused = basic(http).post("/sdapi/v1/options", json={"sd_model_checkpoint": "elk"})
        assert "name one with `sd_vae`" in refused.json()["detail"]
        override = {"sd_model_checkpoint": "elk", "sd_vae": "half\\udcff"}
        told = json.loads(txt2img(http, override_settings=override).json()["info"])
        assert told["sd_vae_name"] == "half\\udcff.safetensors"
        assert told["sd_vae_hash"] == model["vae_sha256"][:10]
        override = {"sd_model_checkpoint": "squire", "sd_vae": "half\\udcff"}
        refused = txt2img(http, override_settings=override)  # this engine has not that pair
        assert refused.json()["detail"].startswith("override_settings.sd_")


def test_sprites_are_of_the_chosen_model(http):
    asked = PROMPT | {"output": "sprite", "model": "squire"}
    answer = http.post(PATH, json=asked)
    assert Image.open(io.BytesIO(answer.content)).size == (32, 32)
    [picture] = latest(http)["pictures"]
    small = http.get(f"/api/pictures/{picture['id']}.sprite.png")
    assert Image.open(io.BytesIO(small.content)).size == (32, 32)
    refused = http.post(PATH, json=asked | {"model": ""})
    assert (refused.status_code, refused.headers["x-cost"]) == (400, "0")
    assert "fake paints no sprites" in refused.json()["error"]


@pytest.mark.parametrize(
    ("path", "wrap"),
    [
        (PATH, lambda body: body),
        ("/api/draw", lambda body: body),
        ("/v2/sd1.5-rpg", lambda body: body),
        ("/api/requests", lambda body: {"requests": [body]}),
        ("/api/quote", lambda body: body),
        ("/api/explain", lambda body: body),
    ],
)
def test_what_is_not_there_is_refused_everywhere(http, path, wrap):
    before = http.get("/v1/get-user-credits").json()
    answer = http.post(path, json=wrap(PROMPT | {"model": "squir"}))
    assert answer.status_code == 400
    assert "model is 'squir', which is not in the library; did you mean" in answer.json()["error"]
    assert http.get("/v1/get-user-credits").json() == before


def test_a_licence_is_asked_of_the_model_that_is_chosen(http):
    refused = http.post(PATH, json=PROMPT | {"model": "knight"})
    assert refused.status_code == 403
    assert "The model knight is under the licence creativeml-openrail-m" in refused.json()["error"]
    assert http.post(PATH, json=PROMPT | {"model": "squire"}).status_code == 200
    page = http.get("/license?model=knight")
    assert page.text.startswith("knight is used under CreativeML Open RAIL-M.")
    path = refused.json()["error"].rpartition("POST ")[2]
    assert http.post(path).json()["licence"] == "creativeml-openrail-m"
    assert http.post(PATH, json=PROMPT | {"model": "knight"}).status_code == 200
    assert http.get("/license?model=knigt", headers={"x-api-key": ""}).json() == {
        "error": "There is no such model here; GET /api/models lists them"
    }


def test_the_facts_of_a_model_are_told_whether_it_is_in_memory_or_not(http):
    facts = http.get("/api/model?model=knight").json()
    assert (facts["name"], facts["prediction"]) == ("knight", "v-prediction")
    assert "path" not in facts
    http.post(PATH, json=PROMPT | {"model": "squire"})
    assert http.get("/api/model?model=squire").json()["resident"]
    listed = {row["name"]: row["resident"] for row in http.get("/api/models").json()}
    assert (listed["squire"], listed["fox"]) == (True, False)


def test_a_key_keeps_to_its_models(served):
    plain = served.new_key()
    with served.database.begin() as conn:
        key = keys.authenticate(conn, plain)
        keys.limit(conn, key.id, models=["squire"])
    with served.http(plain) as http:
        refused = http.post(PATH, json=PROMPT)
        assert refused.status_code == 403
        assert refused.json()["error"] == (
            "This key may not draw with fake; it may with squire: name one of these as model"
        )
        assert http.post(PATH, json=PROMPT | {"model": "squire"}).status_code == 200


def test_a_slug_may_be_bound_to_a_model(http):
    assert name_of(http.post("/v1/sprites", json=PROMPT).content) == "Squire"
    assert name_of(http.post("/v1/sprites", json=PROMPT | {"model": "fake"}).content) == "fake"
    queued = http.post("/v2/sprites", json=PROMPT).json()
    assert http.get(f"/api/requests/{queued['request_id']}").json()["model"] == "Squire"


def test_openai_falls_back_from_what_nobody_knows(http):
    for model, drawn, told in (
        ("squire", "Squire", False),
        ("sprites", "Squire", False),
        ("gpt-image-1", "fake", True),
    ):
        body = {"prompt": "x", "model": model, "size": "64x64"}
        answer = http.post("/v1/images/generations", json=body)
        assert answer.status_code == 200, answer.text
        assert latest(http)["model"] == drawn
        note = "model gpt-image-1 is not served here; sd1.5-rpg was used"
        assert (note in answer.headers.get("x-adjustments", "")) is told
    refused = http.post("/v1/images/generations", json={"prompt": "x", "model": "fox"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "model")


def test_a_retry_finds_the_picture_of_the_model_it_chose(http):
    retry = {"idempotency-key": "same"}
    first = http.post(PATH, json=PROMPT | {"model": "squire"}, headers=retry)
    again = http.post(PATH, json=PROMPT | {"model": "squire"}, headers=retry)
    assert again.content == first.content
    assert again.headers["x-replayed"] == "true"
    other = http.post(PATH, json=PROMPT | {"model": "fake"}, headers=retry)
    assert other.status_code == 422


def test_a_replay_is_drawn_with_the_model_of_its_receipt(http):
    http.post(PATH, json=PROMPT | {"model": "squire"})
    [picture] = latest(http)["pictures"]
    answer = http.post("/api/replay", json={"picture_id": picture["id"]}).json()
    assert answer["identical"]
    assert latest(http)["model"] == "Squire"
    record = http.get(f"/api/receipts/{picture['id']}").json()
    record["model"]["sha256"] = "9" * 64
    refused = http.post("/api/replay", json={"receipt": record})
    assert refused.status_code == 400
    assert "put the former into a folder of models" in refused.json()["error"]


def txt2img(http, **body):
    return http.post("/sdapi/v1/txt2img", json={"prompt": "x", "steps": 2, **SMALL, **body})


def basic(http):
    """The same key as AUTOMATIC1111's clients send it."""
    http.auth = ("me", http.headers.pop("x-api-key"))
    return http


def test_automatic1111s_clients_choose_by_title_name_or_hash(http):
    basic(http)
    txt2img(http, override_settings={"sd_model_checkpoint": "squire"})  # its hash is known now
    listed = {row["model_name"]: row for row in http.get("/sdapi/v1/sd-models").json()}
    assert next(iter(listed)) == "fake"
    squire = listed["squire"]
    for name in (squire["title"], "squire", squire["hash"], "squire.safetensors [99999999]"):
        override = {"sd_model_checkpoint": name}
        told = json.loads(txt2img(http, override_settings=override).json()["info"])
        assert (told["sd_model_name"], told["sd_model_hash"]) == ("Squire", squire["hash"])
        assert ("names the hash 99999999" in str(told["adjustments"])) is ("9999" in name)
        assert (told["sd_vae_name"], told["sd_vae_hash"]) == (None, None)
    refused = txt2img(http, override_settings={"sd_model_checkpoint": "fox"})
    assert refused.status_code == 400
    assert "override_settings.sd_model_checkpoint is 'fox', which cannot" in refused.text


def test_equal_files_are_licensed_and_chosen_each_by_its_title(tmp_path):
    models = chosen.write(tmp_path / "models")
    shutil.copyfile(models / "knight.safetensors", models / "plain.safetensors")
    knight, plain = (chosen.info(models / f"{name}.safetensors") for name in ("knight", "plain"))
    assert knight.sha256 == plain.sha256
    engine = FakeEngine(others=[knight, plain])
    served = serve(tmp_path / "served", engine=engine, models_dirs=(models,))
    with served as running, running.http() as http:
        basic(http)
        refused = txt2img(http, override_settings={"sd_model_checkpoint": "knight"})
        assert refused.status_code == 403
        path = refused.text.partition("accept it by POST ")[2].partition('"')[0]
        assert http.get(path.replace("/api/license/accept", "/license")).status_code == 200
        assert http.post(path).status_code == 200
        for name in ("knight", "plain"):  # whose sums are known then
            assert txt2img(http, override_settings={"sd_model_checkpoint": name}).is_success
        assert http.post(path).status_code == 200  # of a sum that both have
        titles = [row["title"] for row in http.get("/sdapi/v1/sd-models").json()]
        for name, prediction in (("knight", "v-prediction"), ("plain", "epsilon")):
            title = f"{name} [{knight.short_hash}]"
            assert title in titles
            answer = txt2img(http, override_settings={"sd_model_checkpoint": title})
            told = read_metadata(base64.b64decode(answer.json()["images"][0])).receipt["model"]
            assert told.get("prediction", "epsilon") == prediction
            assert http.post("/sdapi/v1/options", json={"sd_model_checkpoint": title}).is_success
            assert http.get("/sdapi/v1/options").json()["sd_model_checkpoint"] == title


def test_a_key_sets_its_model_and_nobody_elses(http, served):
    basic(http)
    listed = {row["model_name"]: row for row in http.get("/sdapi/v1/sd-models").json()}
    before = http.get("/sdapi/v1/options").json()
    assert before["sd_model_checkpoint"] == listed["fake"]["title"]
    assert http.post("/sdapi/v1/options", json={"sd_model_checkpoint": "squire"}).json() == {}
    after = http.get("/sdapi/v1/options").json()
    listed = {row["model_name"]: row for row in http.get("/sdapi/v1/sd-models").json()}
    assert after["sd_model_checkpoint"] == listed["squire"]["title"]
    assert after["sd_checkpoint_hash"] == chosen.info().sha256
    assert json.loads(txt2img(http).json()["info"])["sd_model_name"] == "Squire"
    own = {"sd_model_checkpoint": listed["fake"]["title"]}
    told = txt2img(http, override_settings=own).json()["info"]
    assert json.loads(told)["sd_model_name"] == "fake"
    with served.http(served.new_key()) as other:
        assert basic(other).get("/sdapi/v1/options").json() == before
    http.post("/sdapi/v1/options", json=before)
    assert http.get("/sdapi/v1/options").json() == before
    refused = http.post("/sdapi/v1/options", json={"sd_model_checkpoint": "knigt"})
    assert "sd_model_checkpoint is 'knigt', which is not in the library" in refused.text


def test_the_library_is_told_in_automatic1111s_lists(http):
    basic(http)
    assert http.get("/sdapi/v1/sd-vae").json() == [
        {"model_name": "soft", "filename": "soft.safetensors"}
    ]
    loras = {row["name"]: row["path"] for row in http.get("/sdapi/v1/loras").json()}
    assert loras["fox"] == "fox.safetensors"
    assert loras["handheld"] == "handheld.safetensors"  # the embedded model's own
    embeddings = http.get("/sdapi/v1/embeddings").json()
    assert (list(embeddings["loaded"]), embeddings["skipped"]) == (["squire-negative"], {})
    assert [row["name"] for row in http.get("/sdapi/v1/upscalers").json()][:2] == [
        "None",
        "Lanczos",
    ]
    for name in ("checkpoints", "loras", "vae"):
        assert http.post(f"/sdapi/v1/refresh-{name}").json() == {}


def test_the_operator_keeps_a_key_to_some_models(served):
    with served.database.begin() as conn:
        admin, _ = keys.create(conn, name="admin", scopes=["admin"])
    with served.http(admin) as http:
        made = http.post("/api/admin/keys", json={"name": "x", "models": ["squire"]}).json()
        assert made["models"] == ["squire"]
        path = f"/api/admin/keys/{made['id']}"
        two = ["fake", "knight"]
        assert http.patch(path, json={"models": two}).json()["models"] == two
        assert http.patch(path, json={"models": None}).json()["models"] is None
        assert http.patch(path, json={"adapters": two}).json()["adapters"] == two
        assert http.patch(path, json={"adapters": None}).json()["adapters"] is None
        refused = http.patch(path, json={"models": [""]})
        assert refused.status_code == 400


def test_openais_list_is_what_a_client_may_name(served, http):
    def listed(client):
        return [each["id"] for each in client.get("/v1/models").json()["data"]]

    assert listed(http) == ["sd1.5-rpg", "sprites", "sd1.5-img2img", "squire", "knight"]
    assert http.get("/v1/models/knight").json()["id"] == "knight"
    with served.http(served.new_key(models=["knight"])) as client:
        assert listed(client) == ["knight"]
        assert client.get("/v1/models/squire").status_code == 404
    with served.http(served.new_key(models=["squire"])) as client:
        assert listed(client) == ["sprites", "sd1.5-img2img", "squire"]
        for id in listed(client):
            body = {"prompt": "x", "size": "64x64", "model": id}
            drawn = client.post("/v1/images/generations", json=body)
            assert drawn.status_code == 200, drawn.text
        body["model"] = "sd1.5-rpg"
        assert client.post("/v1/images/generations", json=body).status_code == 403
