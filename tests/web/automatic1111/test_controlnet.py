"""The ControlNet extension's units and calls, through webuiapi over a real socket."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
import webuiapi
from PIL import Image
from safetensors.torch import save_file

from limner import imaging
from limner.errors import InvalidInput
from limner.imaging.preprocessing import apply
from limner.web.automatic1111 import controlnet, units
from tests.web.served import serve

FILES = {
    "control_v11p_sd15_canny": "controlnet_cond_embedding.conv_in.weight",
    "t2iadapter_sketch_sd15v2": "body.0.block1.weight",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("controlnet")
    (folder / "models").mkdir()
    for number, (name, tensor) in enumerate(FILES.items()):
        path = folder / "models" / f"{name}.safetensors"
        save_file({tensor: torch.full((4, 3, 3, 3), float(number))}, path)
    with serve(folder / "data", models_dirs=(folder / "models",)) as running:
        yield running


@pytest.fixture
def api(server: Any) -> Any:
    key = server.new_key()
    client = webuiapi.WebUIApi(baseurl=f"{server.url}/sdapi/v1", username="me", password=key)
    client.key = key
    yield client
    client.session.close()


def picture(side: int = 64) -> Image.Image:
    pixels = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
    return Image.fromarray(pixels)


def parameters(result: Any) -> dict[str, Any]:
    """The receipt's, out of the picture's own file."""
    return dict(json.loads(result.image.info["limner"])["parameters"])


# ``alwayson_scripts`` is given each time: webuiapi writes into its default.


def unit(**fields: Any) -> Any:
    named = {"image": picture(), "module": "canny", "model": "control_v11p_sd15_canny"}
    return webuiapi.ControlNetUnit(**{**named, **fields})


def test_units_are_controls(api: Any) -> None:
    units_given = [
        unit(weight=0.5, guidance_end=0.8, control_mode=2, threshold_a=50, threshold_b=150),
        unit(model="t2iadapter_sketch_sd15v2 [abcdef12]", module="none", resize_mode="Just Resize"),
        unit(enabled=False),
    ]
    result = api.txt2img(
        prompt="a knight", width=128, height=64, alwayson_scripts={}, controlnet_units=units_given
    )
    first, second = parameters(result)["controls"]
    assert (first["name"], first["weight"], first["end"]) == ("control_v11p_sd15_canny", 0.5, 0.8)
    assert (first["mode"], first["kind"], first["preprocessor"]) == (
        "control",
        "controlnet",
        "canny",
    )
    assert (second["mode"], second["kind"]) == ("balanced", "t2i-adapter")
    assert not [note for note in result.info["adjustments"] if "alwayson_scripts" in note]


def test_a_unit_makes_its_map_at_the_size_to_draw(server: Any, api: Any) -> None:
    result = api.txt2img(
        prompt="a",
        width=128,
        height=64,
        alwayson_scripts={},
        controlnet_units=[unit(resize_mode="Crop and Resize")],
    )
    [control] = parameters(result)["controls"]
    fitted = picture().resize((128, 128), Image.Resampling.LANCZOS).crop((0, 32, 128, 96))
    expected = apply("canny", np.asarray(fitted), {"low": 64, "high": 64})
    with server.http(api.key) as http:
        kept = http.get(f"/api/sources/{control['map_sha256']}").content
    assert np.array_equal(imaging.read_image(kept), expected)


def test_a_unit_without_a_picture_follows_that_of_img2img(api: Any) -> None:
    result = api.img2img(
        images=[picture(64)], prompt="a", width=64, height=64,
        alwayson_scripts={}, controlnet_units=[unit(image=None, module="none")],
    )  # fmt: skip
    [control] = parameters(result)["controls"]
    assert control["map_sha256"] == parameters(result)["source"]["sha256"]


def test_what_is_done_otherwise_is_told(api: Any) -> None:
    given = [unit(module="depth_midas"), unit(module="softedge_hed"), unit(model="None")]
    notes = api.txt2img(
        prompt="a", width=64, height=64, alwayson_scripts={}, controlnet_units=given
    ).info["adjustments"]
    at = "alwayson_scripts.ControlNet.args"
    assert f"{at}.0.module depth_midas is not here; the picture was taken as its map" in notes
    assert f"{at}.1.module softedge_hed was done as softedge, which needs no net" in notes
    assert f"{at}.2 was ignored: it names no model" in notes


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([1], "args.0 is 1; it must be an object, a unit"),
        ([{"model": "a", "image": "A"}] * 5, "has 5 units that are on; at most 4 are drawn"),
        ([{"model": "a", "weight": 3}], "weight is 3; it must be a number 0 to 2"),
        ([{"model": "a", "control_mode": "strict"}], 'control_mode is "strict"; it must be one of'),
        ([{"model": "a", "resize_mode": 7}], "resize_mode is 7; it must be one of just resize"),
        (
            [{"model": "a", "guidance_start": 0.5, "guidance_end": 0.5}],
            "guidance_start is 0.5; it must be below guidance_end, which is 0.5",
        ),
    ],
)
def test_units_that_cannot_be_read_are_named(given: list[Any], sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        units.wanted("args", given, [])
    assert sentence in str(caught.value)


def test_a_picture_may_lie_beside_a_mask_and_numbers_out_of_range_are_defaults() -> None:
    notes: list[str] = []
    image = {"image": "AAAA", "mask": ""}
    asked = {"input_image": image, "model": "a [0123abcd]", "module": "canny", "weight": 0}
    [read] = units.wanted("args", [{**asked, "threshold_a": -1, "threshold_b": 90}], notes)
    assert (read.image, read.control.name, read.control.weight) == ("AAAA", "a", 0)
    assert read.options == {"high": 90}
    assert notes == []


def _named(model: str) -> str:
    return model.partition(" [")[0]


def test_the_extensions_lists(api: Any) -> None:
    assert api.controlnet_version() == controlnet.VERSION
    # A file's digest, which its name bears in brackets, may come between two calls.
    models = [_named(name) for name in api.controlnet_model_list()]
    assert "squire-silhouette" in models  # the embedded model's own
    brought = [name for name in models if name in FILES]
    assert brought == list(FILES)
    assert {"none", "canny", "softedge_hed"} <= set(api.controlnet_module_list())
    types = api.custom_get("controlnet/control_types")["control_types"]
    assert _named(types["Canny"]["default_model"]) == brought[0]
    assert _named(types["Scribble/Sketch"]["model_list"][1]) == brought[1]
    assert types["Depth"]["default_model"] == "None"
    assert [_named(name) for name in types["All"]["model_list"]] == ["None", *models]
    settings = api.custom_get("controlnet/settings")
    assert settings == {"control_net_unit_count": 4}


def test_a_map_is_made_for_nothing(api: Any) -> None:
    result = api.controlnet_detect([picture(64)], "threshold", 128, 100, 0)
    large = picture(64).resize((128, 128), Image.Resampling.LANCZOS)
    expected = apply("threshold", np.asarray(large), {"level": 100})
    assert np.array_equal(np.asarray(result.image.convert("RGB")), expected)


def test_errors_are_in_the_extensions_form(server: Any) -> None:
    with server.http() as http:
        answer = http.post("/controlnet/detect", json={"controlnet_input_images": ["AAAA"]})
    assert answer.status_code == 400
    assert "controlnet_input_images" in answer.json()["detail"]
