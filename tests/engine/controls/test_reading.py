"""Controls of every kind of file come out as the nets that were written; others are refused."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from limner.engine.checkpoints import weights
from limner.engine.checkpoints.weights import Checkpoint
from limner.engine.controls.nets import Rows
from limner.engine.controls.reading import load
from limner.errors import CheckpointError
from tests.engine import checkpoint_files
from tests.engine.checkpoints.writing import plain
from tests.engine.controls import making

CHANNELS = [32, 32, 64, 64]


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("narrow") / "plain"
    checkpoint_files.write_folder(folder, plain())
    return weights.load(folder, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def made(narrow: Checkpoint) -> Any:
    return making.controlnet(narrow.unet)


def rows(checkpoint: Checkpoint, count: int = 2) -> Rows:
    g = torch.Generator().manual_seed(1)
    y = torch.randn(count, 4, 32, 32, generator=g)
    width = checkpoint.unet.config.cross_attention_dim
    context = torch.randn(count, 154, width, generator=g)
    return Rows(y, torch.full((count,), 321.0), context, None)


def picture() -> torch.Tensor:
    g = torch.Generator().manual_seed(2)
    return torch.randint(0, 256, (256, 256, 3), generator=g, dtype=torch.uint8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("names", ["diffusers", "original"])
def test_a_controlnet_adds_what_diffusers_class_says(
    narrow: Checkpoint, made: Any, tmp_path: Path, names: str, dtype: torch.dtype
) -> None:
    tensors = made.state_dict() if names == "diffusers" else making.original(made)
    path = tmp_path / "canny.safetensors"
    sha256 = making.written(path, {name: value.to(dtype) for name, value in tensors.items()})
    net, given, whole = load(path, narrow), rows(narrow), copy.deepcopy(made)
    whole.load_state_dict({n: t.to(dtype).float() for n, t in made.state_dict().items()})
    hint = net.hint(picture())
    ours = net.add(given, [hint, hint])
    cond = (picture().permute(2, 0, 1)[None] / 255).expand(2, -1, -1, -1)
    down, mid = whole(given.y, given.t, given.context, cond, return_dict=False)
    assert (net.sha256, net.kind, net.places) == (sha256, "controlnet", 13)
    for one, other in zip(ours, (*down, mid), strict=True):
        assert torch.allclose(one, other, atol=1e-4 * float(other.abs().max()))
    assert net.hint_bytes(32, 32) == hint[0].nbytes


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_pickle_is_read_without_being_run(
    narrow: Checkpoint, made: Any, tmp_path: Path, wrapped: bool
) -> None:
    """As ControlNet 1.1 is published: ``.pth``."""
    tensors: Any = making.original(made)
    torch.save({"state_dict": tensors} if wrapped else tensors, tmp_path / "canny.pth")
    net = load(tmp_path / "canny.pth", narrow)
    for name, value in net.model.state_dict().items():
        assert torch.equal(value, made.state_dict()[name])


def test_tokens_that_are_masked_say_nothing(narrow: Checkpoint, made: Any, tmp_path: Path) -> None:
    making.written(tmp_path / "a.safetensors", made.state_dict())
    net, given = load(tmp_path / "a.safetensors", narrow), rows(narrow)
    hints = [net.hint(picture())] * 2
    short = replace(given, context=given.context[:, :77])
    mask = torch.arange(154)[None].expand(2, -1) < 77
    for one, other in zip(
        net.add(short, hints), net.add(replace(given, mask=mask), hints), strict=True
    ):
        assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("kind", ["full_adapter", "light_adapter"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("names", ["diffusers", "original"])
def test_a_t2i_adapter_adds_what_diffusers_class_says(
    narrow: Checkpoint, tmp_path: Path, kind: str, channels: int, names: str
) -> None:
    made = making.adapter(channels=CHANNELS, kind=kind, grey=channels)
    tensors = made.state_dict()
    if names == "original":
        light = kind == "light_adapter"
        tensors = (
            {n.removeprefix("adapter.").replace("resnets", "body"): t for n, t in tensors.items()}
            if light
            else making.tencent(made)
        )
    making.written(tmp_path / "a.safetensors", tensors)
    net = load(tmp_path / "a.safetensors", narrow)
    hint = net.hint(picture())
    unit = picture().permute(2, 0, 1)[None] / 255
    if channels == 1:
        grey = np.array(Image.fromarray(picture().numpy()).convert("L"))
        unit = torch.from_numpy(grey)[None, None] / 255
    for one, other in zip(net.add(rows(narrow), [hint, hint]), made(unit), strict=True):
        assert torch.allclose(one, other.expand(2, -1, -1, -1), atol=1e-4)
    assert net.hint_bytes(32, 32) == sum(each.nbytes for each in hint)
    assert (net.kind, net.places) == ("t2i-adapter", 4)


def test_one_trained_on_shuffled_pictures_is_pooled(
    narrow: Checkpoint, made: Any, tmp_path: Path
) -> None:
    making.written(tmp_path / "control_shuffle.safetensors", made.state_dict())
    net = load(tmp_path / "control_shuffle.safetensors", narrow)
    whole = copy.deepcopy(made)
    whole.register_to_config(global_pool_conditions=True)
    given, hint = rows(narrow), net.hint(picture())
    cond = (picture().permute(2, 0, 1)[None] / 255).expand(2, -1, -1, -1)
    pooled = [each.mean((2, 3), True) for each in whole(given.y, given.t, given.context, cond)[0]]
    for one, other in zip(net.add(given, [hint, hint]), pooled, strict=False):
        assert torch.allclose(one, other.expand_as(one), atol=1e-5)


def _wider(tensors: making.Tensors) -> making.Tensors:
    return {
        name: torch.zeros(value.shape[0], 1024) if "attn2.to_k" in name else value
        for name, value in tensors.items()
    }


def _broken(tensors: making.Tensors) -> making.Tensors:
    name = "controlnet_mid_block.weight"
    return tensors | {name: torch.full_like(tensors[name], float("nan"))}


def _without(tensors: making.Tensors) -> making.Tensors:
    return {name: value for name, value in tensors.items() if "mid_block" not in name}


REFUSED = {
    "SD 2": (_wider, "reads contexts 1024 wide (Stable Diffusion 2); those of the model are 32"),
    "not finite": (_broken, "'controlnet_mid_block.weight' holds values that are not finite"),
    "too few": (_without, "lacks 48 of 338 tensors"),
    "foreign": (lambda t: t | {"a.weight": torch.zeros(1)}, "has in excess 1 of"),
    "difference": (lambda t: t | {"difference": torch.zeros(1)}, "holds differences"),
    "Control-LoRA": (lambda t: t | {"lora_controlnet": torch.zeros(1)}, "is a Control-LoRA"),
    "no control": (lambda _: {"emb_params": torch.zeros(1, 32)}, "is no ControlNet or T2I-Adapter"),
}


@pytest.mark.parametrize(("change", "sentence"), REFUSED.values(), ids=list(REFUSED))
def test_what_is_no_control_of_this_model_is_refused(
    narrow: Checkpoint, made: Any, tmp_path: Path, change: Any, sentence: str
) -> None:
    making.written(tmp_path / "odd.safetensors", change(dict(made.state_dict())))
    with pytest.raises(CheckpointError) as caught:
        load(tmp_path / "odd.safetensors", narrow)
    assert str(caught.value).startswith("odd.safetensors ") or "odd.safetensors:" in str(
        caught.value
    )
    assert sentence in str(caught.value)


def test_maps_of_another_scale_and_other_layouts_are_refused(
    squire: Checkpoint, narrow: Checkpoint, tmp_path: Path
) -> None:
    half = making.controlnet(squire.unet, scale=8)
    making.written(tmp_path / "half.safetensors", half.state_dict())
    with pytest.raises(CheckpointError, match="maps of 8 pixels to one of the latent; the model h"):
        load(tmp_path / "half.safetensors", squire)
    full = making.adapter(channels=CHANNELS)
    making.written(tmp_path / "full.safetensors", full.state_dict())
    with pytest.raises(CheckpointError, match="are for the layout of Stable Diffusion"):
        load(tmp_path / "full.safetensors", squire)
