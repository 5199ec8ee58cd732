"""Files of adapters: each name finds its layer, each kind its weights, and nothing else passes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_lora_to_diffusers
from safetensors.torch import load_file, save_file

from limner.engine.adapters.forms import Dense, LowRank
from limner.engine.adapters.reading import Adapter, load
from limner.engine.adapters.targets import Target
from limner.engine.checkpoints import digests
from limner.errors import CheckpointError
from tests.engine.adapters import making
from tests.engine.adapters.conftest import PLACES
from tests.engine.checkpoint_files import unet_name

Targets = Mapping[str, Target]
ATTENTION = "down_blocks.1.attentions.0.transformer_blocks.0.attn2"


def expect(adapter: Adapter, deltas: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
    found = {part: set(forms) for part, forms in adapter.forms.items()}
    assert found == {part: set(layers) for part, layers in deltas.items()}
    for part, layers in deltas.items():
        for layer, delta in layers.items():
            weight = adapter.forms[part][layer].weight()[0].view(delta.shape).double()
            assert (weight - delta).abs().max() <= 1e-5 * delta.abs().max(), layer


@pytest.mark.parametrize(
    ("make", "alpha"),
    [
        (making.lora, 3.0),
        (making.lora, 0.0),
        (making.lora, None),
        (making.loha, 3.0),
        (making.lokr, 3.0),
        (making.lokr, None),
        (making.whole_factors, 7.0),
        (making.difference, None),
    ],
)
def test_layers_of_both_parts_get_the_weights_of_the_definition(
    models: Mapping[str, Any], targets: Targets, tmp_path: Path, make: Any, alpha: float | None
) -> None:
    some = {
        part: dict(list(making.linears(models[part], kernels=True).items())[::7])
        for part in ("unet", "text_encoder")
    }
    path = tmp_path / "some.safetensors"
    deltas = making.file(path, some, make, alpha=alpha)
    adapter = load(path, targets, PLACES)
    expect(adapter, deltas)
    assert adapter.sha256 == digests.compute(path)
    assert adapter.bytes == sum(f.bytes for forms in adapter.forms.values() for f in forms.values())


def test_tucker_kernels_are_folded(
    models: Mapping[str, Any], targets: Targets, tmp_path: Path
) -> None:
    kernels = {
        path: weight
        for path, weight in making.linears(models["unet"], kernels=True).items()
        if weight.ndim == 4 and weight.shape[2] == 3
    }
    path = tmp_path / "tucker.safetensors"
    deltas = making.file(path, {"unet": kernels}, making.tucker)
    expect(load(path, targets, PLACES), deltas)


def test_ranks_are_multiples_of_16_and_a_small_loha_is_a_lora(
    models: Mapping[str, Any], targets: Targets, tmp_path: Path
) -> None:
    layer = f"{ATTENTION}.to_q"
    weights = {"unet": {layer: making.linears(models["unet"])[layer]}}
    path = tmp_path / "one.safetensors"
    for make, rank, kind, filled in (
        (making.lora, 4, LowRank, 16),
        (making.lora, 17, LowRank, 32),
        (making.loha, 3, LowRank, 16),
        (making.loha, 5, Dense, None),
    ):
        making.file(path, weights, make, rank=rank)
        form = load(path, targets, PLACES).forms["unet"][layer]
        assert type(form) is kind
        assert getattr(form, "rank", None) == filled


def original(path: str) -> str:
    """The layer's name in latent diffusion, without the checkpoint's prefix."""
    return unet_name(f"{path}.").removeprefix("model.diffusion_model.").removesuffix(".")


# How one LoRA of the UNet and of the text encoder is named: the layer, then down and up.
NAMINGS: Mapping[str, tuple[Callable[[str], str], Callable[[str], str], str, str]] = {
    "latent diffusion": (
        lambda path: "lora_unet_" + original(path).replace(".", "_"),
        making.kohya("text_encoder"),
        "lora_down.weight",
        "lora_up.weight",
    ),
    "diffusers": (
        lambda path: f"unet.{path}",
        lambda path: f"text_encoder.text_model.{path}",
        "lora_A.weight",
        "lora_B.weight",
    ),
    "diffusers, before PEFT": (
        lambda path: f"unet.{path}",
        lambda path: f"text_encoder.text_model.{path}",
        "lora_linear_layer.down.weight",
        "lora_linear_layer.up.weight",
    ),
    "peft": (
        lambda path: f"base_model.model.{path}",
        lambda path: f"base_model.model.text_model.{path}",
        "lora_A.weight",
        "lora_B.weight",
    ),
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_layers_are_found_under_every_name(
    models: Mapping[str, Any], targets: Targets, tmp_path: Path, naming: str
) -> None:
    unet, text, down, up = NAMINGS[naming]
    every = {part: making.linears(models[part], kernels=True) for part in ("unet", "text_encoder")}
    path = tmp_path / "named.safetensors"
    deltas = making.file(
        path, every, name=lambda part: unet if part == "unet" else text, alpha=None
    )
    tensors = {
        key.replace("lora_down.weight", down).replace("lora_up.weight", up): value
        for key, value in load_file(path).items()
    }
    save_file(tensors, path)
    expect(load(path, targets, PLACES), deltas)


@pytest.mark.parametrize("start", ["", "unet."])
def test_processors_of_old_diffusers_are_found(
    models: Mapping[str, Any], targets: Targets, tmp_path: Path, start: str
) -> None:
    layers = {
        "to_q_lora": "to_q",
        "to_k_lora": "to_k",
        "to_v_lora": "to_v",
        "to_out_lora": "to_out.0",
    }
    weights = making.linears(models["unet"])
    g = torch.Generator().manual_seed(1)
    tensors, deltas = {}, {}
    for called, layer in layers.items():
        made, deltas[f"{ATTENTION}.{layer}"] = making.lora(
            weights[f"{ATTENTION}.{layer}"], g, alpha=None
        )
        for way in ("down", "up"):
            tensors[f"{start}{ATTENTION}.processor.{called}.{way}.weight"] = made[
                f"lora_{way}.weight"
            ]
    path = tmp_path / "processors.safetensors"
    save_file(tensors, path)
    expect(load(path, targets, PLACES), {"unet": deltas})


def test_kohyas_names_mean_the_layers_that_diffusers_takes_them_for(
    models: Mapping[str, Any], targets: Targets, tmp_path: Path
) -> None:
    inner = {p: w for p, w in making.linears(models["unet"]).items() if ".attentions." in p}
    path = tmp_path / "kohya.safetensors"
    making.file(path, {"unet": inner})
    converted, _ = _convert_non_diffusers_lora_to_diffusers(load_file(path))
    layers = {name.removeprefix("unet.").split(".lora")[0] for name in converted}
    # Without PEFT beside it, it makes the names of its old processors.
    layers = {re.sub(r"\.(down|up)\.weight$", "", name) for name in layers}
    layers = {re.sub(r"processor\.(to_\w+)_lora$", r"\1", name) for name in layers}
    theirs = {re.sub(r"to_out$", "to_out.0", name) for name in layers}
    assert theirs == set(inner) == set(load(path, targets, PLACES).forms["unet"])


Spoil = Callable[[dict[str, torch.Tensor]], object]
FIRST = making.kohya("unet")(f"{ATTENTION}.to_q")
WRONG: Mapping[str, tuple[Spoil, str]] = {
    "left over": (
        lambda t: t.update({"lora_unet_no_layer.lora_up.weight": torch.zeros(2, 2)}),
        "1 of its 4 tensors belong to no layer .*: 'lora_unet_no_layer.lora_up.weight'",
    ),
    "nothing fits": (
        lambda t: [t.update({f"lora_unet_x{n}.alpha": t.pop(n)}) for n in list(t)],
        "none of its 3 tensors belongs to a layer of this model: 'lora_unet_x",
    ),
    "not finite": (
        lambda t: t[f"{FIRST}.lora_up.weight"].view(-1)[3:4].fill_(float("nan")),
        "'lora_unet_.*lora_up.weight' holds values that are not finite",
    ),
    "infinite alpha": (
        lambda t: t.update({f"{FIRST}.alpha": torch.tensor(float("inf"))}),
        "alpha' holds values that are not finite",
    ),
    "other width": (
        lambda t: t.update({f"{FIRST}.lora_down.weight": torch.zeros(4, 33)}),
        r"attn2.to_q \(32 x 32\) of the UNet has down of shape \(4, 33\), which does not fit",
    ),
    "half of it": (
        lambda t: t.pop(f"{FIRST}.lora_down.weight"),
        "of the UNet has alpha, up, which is no adapter known here",
    ),
    "rank of 4,096": (
        lambda t: t.update(
            {
                f"{FIRST}.lora_down.weight": torch.zeros(4096, 32),
                f"{FIRST}.lora_up.weight": torch.zeros(32, 4096),
            }
        ),
        "is of rank 4,096; ranks of 1 to 1,024 are taken",
    ),
    "SDXL": (
        lambda t: t.update(
            {
                "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight":
                torch.zeros(4, 2048)
            }
        ),
        " is for SDXL; the model that is loaded is a Stable Diffusion 1.x one",
    ),
    "whole numbers": (
        lambda t: t.update({f"{FIRST}.lora_up.weight": torch.zeros(32, 4, dtype=torch.int8)}),
        "lora_up.weight' is stored as I8; an adapter's numbers must be floating-point",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_a_file_is_told(
    models: Mapping[str, Any], targets: Targets, tmp_path: Path, what: str
) -> None:
    layer = f"{ATTENTION}.to_q"
    path = tmp_path / "wrong.safetensors"
    making.file(path, {"unet": {layer: making.linears(models["unet"])[layer]}})
    tensors = load_file(path)
    spoil, sentence = WRONG[what]
    spoil(tensors)
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match=rf"^wrong\.safetensors.*{sentence}"):
        load(path, targets, PLACES)


def test_a_file_that_is_no_lora_or_gone_is_told(targets: Targets, tmp_path: Path) -> None:
    path = tmp_path / "vae.safetensors"
    with pytest.raises(CheckpointError, match="does not exist"):
        load(path, targets, PLACES)
    save_file({"decoder.conv_in.weight": torch.zeros(2, 2, 3, 3)}, path)
    with pytest.raises(CheckpointError, match="is no LoRA"):
        load(path, targets, PLACES)
    torch.save({f"{FIRST}.lora_up.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(CheckpointError, match="is a pickle"):
        load(path, targets, PLACES)
