"""LoRAs that cannot be drawn with, over HTTP, by an engine with the embedded model."""

import pytest
import torch
from safetensors.torch import save_file

from limner.cli.loading import make_engine
from limner.engine.checkpoints import digests, weights
from limner.settings import Settings
from tests.waiting import wait_until
from tests.web.served import serve

PATHS = ("/v1/sd1.5-rpg", "/v2/sd1.5-rpg", "/api/quote")
BAD = {
    "sdxl": "is for SDXL",
    "second": "is for Stable Diffusion 2",
    "wide": "does not fit",
    "huge": "is of rank 4,096; ranks of 1 to 1,024 are taken",
    "holes": "holds values that are not finite",
    "stranger": "none of its 2 tensors belongs to a layer of this model",
    "more": "1 of its",
    "cut": "which cannot be used: cut.safetensors",
}
KEY = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
LAYER = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
NARROW = 128  # numbers of a context of the embedded model


class Ready:
    """The engine as ``serve`` takes one."""

    def __init__(self, engine):
        self.engine = engine

    def wait_ready(self):
        wait_until(lambda: self.engine.status().ready)
        return self.engine


def pair(width, rank=4, out=64, key=KEY):
    names = f"{key}.lora_down.weight", f"{key}.lora_up.weight"
    return dict(zip(names, (torch.ones(rank, width), torch.ones(out, rank)), strict=True))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    models, data = folder / "models", folder / "data"
    models.mkdir()
    unet = weights.load(None, device="cpu", dtype="float32").unet
    out = unet.get_submodule(LAYER).weight.shape[0]
    holes = pair(NARROW, out=out)
    holes[f"{KEY}.lora_up.weight"] = torch.full((out, 4), torch.nan)
    files = {
        "sdxl": pair(2048, out=out),
        "second": pair(1024, out=out),
        "wide": pair(768, out=out),
        "huge": pair(NARROW, 4096, out),
        "holes": holes,
        "stranger": pair(NARROW, key="lora_unet_nowhere"),
        "more": pair(NARROW, out=out) | {"lora_unet_nowhere.lora_up.weight": torch.ones(2, 2)},
        "cut": pair(NARROW, out=out),
        "good": pair(NARROW, out=out),
    }
    for name, tensors in files.items():
        save_file(tensors, models / f"{name}.safetensors")
    cut = models / "cut.safetensors"
    cut.write_bytes(cut.read_bytes()[:-8])
    settings = Settings(data_dir=data, models_dirs=(models,), device="cpu", dtype="float32")
    found = {digests.sha256(file): file for file in models.iterdir()}
    engine = Ready(make_engine(settings, find=found.get))
    with serve(data, engine=engine, models_dirs=(models,)) as server:
        server.folder = models
        yield server


def credits(http):
    return http.get("/v1/get-user-credits").json()["credits"]


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", BAD)
def test_it_is_refused_in_a_sentence_before_the_hold(served, name, path):
    with served.http() as http:
        before = credits(http)
        answer = http.post(path, json={"prompt": f"a knight <lora:{name}:1>", "seed": 1})
        assert answer.status_code == 400, answer.text
        assert BAD[name] in answer.text
        assert name in answer.text
        assert "/models/" not in answer.text
        assert credits(http) == before
