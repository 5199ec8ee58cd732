"""UNets with fewer layers than SD 1.5's load from single files as diffusers builds them.

The files are as diffusers' own script for such files writes them: with SD 1.5's numbers for what
is there, and with today's names for what SD 1.5 has not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from limner.engine.checkpoints import weights
from limner.engine.checkpoints.unets import modern, structure
from limner.errors import CheckpointError
from tests.engine import checkpoint_files
from tests.rarely import rarely

PLAIN = checkpoint_files.config("unet")
CROSS_DOWN, CROSS_UP = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
UNETS: dict[str, dict[str, Any]] = {
    "SD 1.5": {},
    "BK-SDM-Base": {"layers_per_block": 1},
    "BK-SDM-Small": {"layers_per_block": 1, "mid_block_type": None},
    "BK-SDM-Tiny": {
        "layers_per_block": 1,
        "mid_block_type": None,
        "block_out_channels": [32, 32, 64],
        "down_block_types": [CROSS_DOWN] * 3,
        "up_block_types": [CROSS_UP] * 3,
    },
    "SDXS-512": {
        "layers_per_block": 1,
        "mid_block_type": None,
        "block_out_channels": [32, 32, 64],
        "down_block_types": ["DownBlock2D", CROSS_DOWN, CROSS_DOWN],
        "up_block_types": [CROSS_UP, CROSS_UP, "UpBlock2D"],
    },
    "inpainting": {"layers_per_block": 1, "in_channels": 9},
}


def parts(unet: dict[str, Any]) -> dict[str, Any]:
    narrow = checkpoint_files.NARROW
    return checkpoint_files.models({**narrow, "unet": {**narrow["unet"], **unet}})


def written(path: Path, models: dict[str, Any], *, script: bool) -> Path:
    """``script``: as diffusers' script, which knows no attention in the first block up."""
    tensors = checkpoint_files.original(models, torch.float32)
    if script:
        for name, value in models["unet"].state_dict().items():
            if name.startswith("up_blocks.0.attentions."):
                del tensors[checkpoint_files.unet_name(name)]
                tensors[f"model.diffusion_model.{name}"] = value
    save_file({name: value.clone() for name, value in tensors.items()}, path)
    return path


@pytest.mark.parametrize("kind", rarely(UNETS, 3))
def test_a_single_file_tells_its_structure(kind: str, tmp_path: Path) -> None:
    models = parts(UNETS[kind])
    path = written(tmp_path / "small.safetensors", models, script=kind == "BK-SDM-Tiny")
    made = weights.load(path, device="cpu", dtype="float32")
    said = any("the UNet has" in change for change in made.info.conversions)
    assert said == (kind != "SD 1.5")
    ours = made.unet
    theirs = models["unet"]
    told = structure({name: tuple(t.shape) for name, t in theirs.state_dict().items()})
    assert told is not None
    assert {name: ours.config[name] for name in told} == {
        name: theirs.config[name] for name in told
    }
    expected = theirs.state_dict()
    assert ours.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in ours.state_dict().items())


@pytest.mark.parametrize("gone", ["output_blocks.4.", "middle_block.1.", "input_blocks.4.0."])
def test_what_lacks_a_piece_is_refused(gone: str, tmp_path: Path) -> None:
    tensors = checkpoint_files.original(parts({}))
    tensors = {n: t for n, t in tensors.items() if f"diffusion_model.{gone}" not in n}
    save_file(tensors, tmp_path / "gap.safetensors")
    with pytest.raises(CheckpointError, match=r"gap\.safetensors"):
        weights.load(tmp_path / "gap.safetensors", device="cpu", dtype="float32")


def test_every_name_of_sd15_is_told_apart() -> None:
    with torch.device("meta"):
        names = UNet2DConditionModel.from_config(PLAIN).state_dict()
    for name in names:
        old = checkpoint_files.unet_name(name).removeprefix("model.diffusion_model.")
        assert modern(old) == name
        assert modern(name) == name


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "conv_in.weight",
                "down_blocks.0.resnets.0.conv2.weight",
                "down_blocks.3.resnets.0.conv2.weight",
                "down_blocks.0.attentions.0.attn2.to_k.weight",
                "up_blocks.9.resnets.0.conv2.weight",
            ]
        ),
        st.lists(st.integers(0, 3), max_size=4).map(tuple),
    )
)
def test_no_shapes_make_the_structure_fail(shapes: dict[str, tuple[int, ...]]) -> None:
    structure(shapes)
