"""Networks of depth and pose of the library as preprocessors, on every surface with maps."""

import base64
import io
import sys

import numpy as np
import pytest
from PIL import Image

from limner import imaging
from limner.engine.mapping.networks import load
from limner.engine.onnx import files
from tests.engine.mapping import test_networks
from tests.web import test_controls
from tests.web.served import serve

SIDE = 512
PIXELS = test_networks.picture(SIDE, SIDE)
IMAGE = base64.b64encode(imaging.to_png(PIXELS)).decode()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    models = folder / "models"
    for name in ("depth-net", "pose-net"):
        tensor = "controlnet_cond_embedding.conv_in.weight"
        test_controls.written(models / f"{name}.safetensors", tensor)
    pose = test_networks.yolo(test_networks.PERSON), (1, 3, 256, 192)
    paths = {
        "depth": test_networks.depth(models / "midas.onnx"),
        "pose": test_networks.fixed(models / "yolo-pose.onnx", *pose),
    }
    with serve(folder / "data", models_dirs=(models,)) as server:
        server.maps = {kind: load(path).make(PIXELS, {}) for kind, path in paths.items()}
        yield server


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def credits(http):
    return http.get("/v1/get-user-credits").json()["credits"]


@pytest.mark.parametrize(("name", "kind"), [("midas", "depth"), ("yolo-pose.onnx", "pose")])
def test_a_map_is_made_by_a_file_of_the_library(served, name, kind):
    with served.http() as http:
        made = http.post("/api/preprocess", json={"image": IMAGE, "preprocessor": name})
        assert made.status_code == 200, made.text
        np.testing.assert_array_equal(pixels(made.content), served.maps[kind])
        rows = {row["name"]: row for row in http.get("/api/preprocessors").json()}
        assert {"canny", "midas", "yolo-pose"} <= set(rows)
        assert rows["midas"]["options"] == {"invert": {"default": 0, "low": 0, "high": 1}}
        listed = {row["name"]: row for row in http.get("/api/models").json()}
        assert (listed["midas"]["kind"], listed["yolo-pose"]["kind"]) == ("depth", "pose")


@pytest.mark.parametrize("path", ["/v1/sd1.5-rpg", "/api/draw"])
def test_a_control_follows_it(served, path):
    control = {"name": "depth-net", "image": IMAGE, "preprocessor": "midas"}
    body = {"prompt": "a knight", "seed": 5, "controls": [control], "img_width": SIDE}
    with served.http() as http:
        answer = http.post(path, json={**body, "img_height": SIDE, "output_format": "png"})
        assert answer.status_code == 200, answer.text
        [told] = imaging.read_metadata(answer.content).receipt["parameters"]["controls"]
        assert told["preprocessor"] == "midas"
        kept = http.get(f"/api/sources/{told['map_sha256']}")
        np.testing.assert_array_equal(pixels(kept.content), served.maps["depth"])


@pytest.mark.parametrize("path", ["/v1/sd1.5-rpg", "/api/draw", "/api/quote"])
@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"preprocessor": "midaz"}, "controls.0.preprocessor is 'midaz', which is not in the"),
        ({"preprocessor": "depth-net"}, "which is no network of depth or pose: it is a ControlNet"),
        ({"preprocessor": ""}, 'controls.0.preprocessor is ""; it must be one of none, canny'),
        ({"preprocessor": "midas", "options": {"invert": 2}}, "controls.0.options.invert is 2"),
        ({"preprocessor": "midas", "options": {"low": 2}}, "of midas it may have invert"),
    ],
)
def test_what_cannot_be_is_refused_before_the_hold(served, path, given, sentence):
    control = {"name": "depth-net", "image": IMAGE} | given
    with served.http() as http:
        before = credits(http)
        answer = http.post(path, json={"prompt": "a knight", "controls": [control]})
        assert answer.status_code == 400, answer.text
        assert sentence in answer.json()["error"]
        assert credits(http) == before


@pytest.mark.parametrize(("kind", "net"), [("depth", "depth"), ("openpose", "pose")])
def test_the_vendors_route_makes_its_map_with_it(served, kind, net):
    body = {"prompt": "a knight", "image": IMAGE, "base64": True, "return_control": True}
    with served.http() as http:
        answer = http.post(f"/v1/sd1.5-controlnet-{kind}", json=body)
    assert answer.status_code == 200, answer.text
    [made] = answer.json()["controls"]
    np.testing.assert_array_equal(pixels(base64.b64decode(made)), served.maps[net])
    assert "taken as a map" not in answer.text


def test_automatic1111s_modules_are_done_by_it(served):
    unit = {"model": "depth-net", "module": "depth_midas", "image": IMAGE}
    body = {"prompt": "a knight", "width": SIDE, "height": SIDE,
            "alwayson_scripts": {"ControlNet": {"args": [unit]}}}  # fmt: skip
    with served.http() as http:
        answer = http.post("/sdapi/v1/txt2img", json=body)
        assert answer.status_code == 200, answer.text
        assert "module depth_midas was done by the network midas" in answer.json()["info"]
        for module, kind in (("openpose_full", "pose"), ("midas", "depth")):
            asked = {"controlnet_module": module, "controlnet_input_images": [IMAGE]}
            [made] = http.post("/controlnet/detect", json=asked).json()["images"]
            np.testing.assert_array_equal(pixels(base64.b64decode(made)), served.maps[kind])
        modules = http.get("/controlnet/module_list").json()["module_list"]
        assert {"midas", "yolo-pose"} <= set(modules)


def test_without_the_extra_a_sentence_says_what_to_install(served, monkeypatch, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    test_networks.depth(models / "midas.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    files._runtime.cache_clear()
    try:
        with serve(tmp_path / "data", models_dirs=(models,)) as server, server.http() as http:
            made = http.post("/api/preprocess", json={"image": IMAGE, "preprocessor": "midas"})
            assert made.status_code == 400
            assert "preprocessor: ONNX files are run with onnxruntime" in made.json()["error"]
            assert "pip install 'limner[onnx]'" in made.json()["error"]
            rows = [row["name"] for row in http.get("/api/preprocessors").json()]
            assert "midas" not in rows
            [row] = [r for r in http.get("/api/models").json() if r["name"] == "midas"]
            assert row["kind"] == "depth"
    finally:
        files._runtime.cache_clear()
