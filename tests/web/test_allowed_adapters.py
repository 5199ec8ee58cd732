"""Keys that are kept to some LoRAs, embeddings and controls, over every surface that names one."""

import pytest

from limner import imaging
from limner.store import keys
from tests.usecases.drawing import test_adapters, test_embeddings
from tests.web import test_controls
from tests.web.served import serve, wait_for_sums

SMALL = {"seed": 5}
OPENAI = {"size": "64x64", "n": 1}
SURFACES = {
    "/v1/sd1.5-rpg": SMALL,
    "/v2/sd1.5-rpg": SMALL,
    "/api/draw": SMALL,
    "/api/requests": SMALL,
    "/api/quote": SMALL,
    "/v1/images/generations": OPENAI,
    "/sdapi/v1/txt2img": {"width": 64, "height": 64},
}
LORA = "a knight <lora:villain:1>"
EMBEDDING = "a knight, badhands"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("allowed")
    models = folder / "models"
    sums = {
        name: test_adapters.written(models / "set" / f"{name}.safetensors", number=number)
        for number, name in enumerate(("hero", "villain"))
    }
    sums["badhands"] = test_embeddings.written(models / "badhands.pt")
    tensors = {"edges-canny": "conv_in.weight", "canny": "conv_in.bias"}
    for name, tensor in tensors.items():
        path = models / f"{name}.safetensors"
        sums[name] = test_controls.written(path, f"controlnet_cond_embedding.{tensor}")
    with serve(folder / "data", models_dirs=(models,)) as server:
        server.sums = sums
        wait_for_sums(server)
        yield server


def credits(http):
    return http.get("/v1/get-user-credits").json()["credits"]


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        (LORA, "the LoRA villain; of adapters it may with hero, x"),
        (EMBEDDING, "the embedding badhands that the prompt names; of adapters it may with"),
    ],
    ids=["LoRA", "embedding"],
)
@pytest.mark.parametrize("path", SURFACES)
def test_another_adapter_is_refused_by_name_before_the_hold(served, path, prompt, told):
    body = {**SURFACES[path], "prompt": prompt}
    with served.http(served.new_key(adapters=["hero", "x"])) as http:
        before = credits(http)
        answer = http.post(path, json=body)
        assert answer.status_code == 403, answer.text
        assert f"This key may not draw with {told}" in answer.text
        assert credits(http) == before
        hero = http.post(path, json=body | {"prompt": "a knight <lora:set/hero:1>"})
        assert hero.status_code in (200, 202), hero.text
    with served.http() as http:
        answer = http.post(path, json=body)
        assert answer.status_code in (200, 202), answer.text


def test_a_list_may_name_a_file_in_every_way(served):
    sha256 = served.sums["villain"]
    names = ("villain", "set/villain", "set/villain.safetensors", sha256, sha256[:10])
    lora = {"sha256": sha256}
    for name in names:
        with served.http(served.new_key(adapters=[name])) as http:
            answer = http.post("/api/draw", json={**SMALL, "prompt": "a", "loras": [lora]})
            assert answer.status_code == 200, answer.text
    with served.http(served.new_key(adapters=["hero"])) as http:
        answer = http.post("/api/draw", json={**SMALL, "prompt": "a", "loras": [lora]})
        assert answer.status_code == 403, answer.text


def test_a_control_is_refused_and_the_vendors_route_takes_one_that_is_allowed(served):
    control = {"name": "canny", "image": test_controls.png()}
    body = {**SMALL, "prompt": "a knight"}
    image = {"image": test_controls.png(), "base64": True}
    with served.http(served.new_key(adapters=["edges-canny"])) as http:
        answer = http.post("/api/draw", json={**body, "controls": [control]})
        assert answer.status_code == 403, answer.text
        assert "may not draw with the control canny; of" in answer.text
        drawn = http.post("/v1/sd1.5-controlnet-canny", json={**body, **image})
        assert drawn.status_code == 200, drawn.text
        with served.http() as free:
            taken = free.post("/v1/sd1.5-controlnet-canny", json={**body, **image})
            assert taken.status_code == 200, taken.text
    with served.http(served.new_key(adapters=["none"])) as http:
        answer = http.post("/v1/sd1.5-controlnet-canny", json={**body, **image})
        assert answer.status_code == 400, answer.text
        assert "what this key may draw with has no canny ControlNet" in answer.text


def test_a_list_that_came_later_holds_for_a_picture_drawn_again(served):
    with served.http() as http:
        body = {**SMALL, "prompt": LORA, "output_format": "png"}
        receipt = imaging.read_metadata(http.post("/api/draw", json=body).content).receipt
    plain = served.new_key()
    with served.http(plain) as http:
        assert http.post("/api/replay", json={"receipt": receipt}).status_code == 200
        with served.database.begin() as conn:
            keys.limit(conn, keys.authenticate(conn, plain).id, adapters=["hero"])
        for dry in (True, False):
            again = http.post("/api/replay", json={"receipt": receipt, "dry_run": dry})
            assert again.status_code == 403, again.text
