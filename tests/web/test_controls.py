"""Controls over HTTP: refused before the hold, kept on receipts, priced and drawn again."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from limner import imaging
from limner.engine.checkpoints import digests
from tests.web.served import serve

PLAIN = {"prompt": "a knight", "seed": 5}


def written(path, tensor):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({tensor: torch.zeros(16, 3, 3, 3)}, path)
    return digests.compute(path)


def png(level=40, size=(512, 512)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (level, 90, 200)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("controls")
    names = {
        "canny": "controlnet_cond_embedding.conv_in.weight",
        "!unfit": "controlnet_cond_embedding.conv_in.bias",
        "sketch": "body.0.block1.weight",
    }
    files = {name: folder / "models" / f"{name}.safetensors" for name in names}
    sums = {name: written(files[name], tensor) for name, tensor in names.items()}
    with serve(folder / "data", models_dirs=(folder / "models",)) as server:
        server.sums = sums
        yield server


def credits(http):
    return http.get("/v1/get-user-credits").json()["credits"]


@pytest.mark.parametrize("path", ["/v1/sd1.5-rpg", "/api/draw"])
def test_a_control_is_on_the_receipt_and_its_map_is_kept(served, path):
    asked = {"name": "canny", "image": png(), "preprocessor": "invert", "weight": 0.5, "guess": 1}
    with served.http() as http:
        body = {**PLAIN, "controls": [asked], "base64": True, "return_control": True}
        answer = http.post(path, json={**body, "output_format": "png"})
        assert answer.status_code == 200, answer.text
        picture = base64.b64decode(answer.json()["image"])
        [control] = imaging.read_metadata(picture).receipt["parameters"]["controls"]
        kept = http.get(f"/api/sources/{control['map_sha256']}")
    assert control["sha256"] == served.sums["canny"]
    assert (control["weight"], control["mode"], control["kind"]) == (0.5, "guess", "controlnet")
    expected = np.full((512, 512, 3), (215, 165, 55), np.uint8)
    [returned] = answer.json()["controls"]
    for data in (kept.content, base64.b64decode(returned)):
        assert np.array_equal(imaging.read_image(data), expected)


@pytest.mark.parametrize(
    ("control", "sentence"),
    [
        ({"name": "cany", "image": png()}, "did you mean 'canny'?"),
        ({"name": "!unfit", "image": png()}, "controls: a planted file that does not fit"),
        ({"name": "canny"}, "controls.0.image is missing"),
        ({"name": "canny", "image": "AAAA"}, "controls.0.image"),
        ({"name": "canny", "image": png(), "weight": -1}, "it must be a number 0 to 2"),
        ({"name": "squire", "image": png()}, "which is no ControlNet or T2I-Adapter"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/sd1.5-rpg", "/v2/sd1.5-rpg", "/api/requests"])
def test_what_cannot_be_drawn_with_is_refused_before_the_hold(served, path, control, sentence):
    with served.http() as http:
        before = credits(http)
        answer = http.post(path, json={**PLAIN, "controls": [control]})
        assert answer.status_code == 400, answer.text
        assert sentence in answer.text
        assert credits(http) == before


def test_a_control_is_priced_as_quoted_and_drawn_again(served):
    with served.http() as http:
        asked = {**PLAIN, "controls": [{"name": "canny", "image": png(), "start": 0.5}]}
        sketch = {**PLAIN, "controls": [{"name": "sketch", "image": png()}]}
        plain, light, quoted = (
            http.post("/api/quote", json=body).json() for body in (PLAIN, sketch, asked)
        )
        assert light["micro_credits"] == plain["micro_credits"]
        assert quoted["micro_credits"] * 1000 == plain["micro_credits"] * 1175
        assert quoted["rows"] == plain["rows"]
        before = credits(http)
        answer = http.post("/v1/sd1.5-rpg", json=asked)
        assert round((before - credits(http)) * 1_000_000) == quoted["micro_credits"]
        receipt = imaging.read_metadata(answer.content).receipt
        again = http.post("/api/replay", json={"receipt": receipt})
        assert again.status_code == 200, again.text
        assert again.json()["identical"] is True


@pytest.mark.slow
def test_the_vendors_routes_follow_their_picture(served):
    with served.http() as http:
        body = {"prompt": "a castle", "image": png(size=(640, 1100)), "strength": 0.7, "seed": 1}
        answer = http.post("/v1/sd1.5-controlnet-canny", json={**body, "output_format": "png"})
        assert answer.status_code == 200, answer.text
        parameters = imaging.read_metadata(answer.content).receipt["parameters"]
        [control] = parameters["controls"]
        assert (control["name"], control["weight"]) == ("canny", 0.7)
        assert control["preprocessor"] == "canny"
        assert parameters["source"] is None
        assert (parameters["width"], parameters["height"]) == (592, 1024)
        kept = imaging.read_image(http.get(f"/api/sources/{control['map_sha256']}").content)
        assert kept.shape == (1024, 592, 3)
        assert not kept.any()  # a picture of one colour has no edges
        before = credits(http)
        missing = http.post("/v1/sd1.5-controlnet-depth", json=body)
        assert missing.status_code == 400
        assert "this server's library has no depth ControlNet" in missing.text
        assert credits(http) == before
        sketched = http.post("/v2/sd1.5-controlnet-scribble", json=body)
        assert sketched.status_code == 200, sketched.text


def test_a_queued_request_is_drawn_with_its_map(served):
    with served.http() as http:
        body = {**PLAIN, "controls": [{"name": "canny", "pose": [[[0.5, 0.5]] * 18]}]}
        queued = http.post("/v2/sd1.5-rpg", json=body)
        assert queued.status_code == 200, queued.text
        request_id = queued.json()["request_id"]
        with http.stream("GET", f"/api/requests/{request_id}/events") as events:
            for _ in events.iter_lines():
                pass
        done = http.get(f"/v2/requests/{request_id}").json()
    assert done["status"] == "COMPLETED", done
