"""What PEFT writes beside an adapter, against the strengths that peft itself gives its layers.

``python -m tests.engine.adapters.test_peft`` records them anew, where peft is installed: it brings
what would change diffusers for all other tests, and is no dependency of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from limner.engine.adapters import peft
from limner.engine.adapters.reading import load
from limner.engine.adapters.targets import UNET, Target, targets_of
from limner.engine.checkpoints.containers import read_header
from limner.errors import CheckpointError
from tests.engine.adapters.test_scaled import FIRST, PLACES, _lora, unet  # noqa: F401

RECORD = Path(__file__).with_name("peft.json")
LAYERS = ("to_q", "to_k", "to_out.0")
PATTERNS = {"attn2.to_k": 3, "to_k": 5}
CASES: Mapping[str, dict[str, Any]] = {
    "plain": {"r": 4, "lora_alpha": 8},
    "rslora": {"r": 4, "lora_alpha": 8, "use_rslora": True},
    "patterns": {
        "r": 4, "lora_alpha": 8, "rank_pattern": {"attn2.to_k": 2}, "alpha_pattern": PATTERNS,
    },
    "the first pattern wins": {
        "r": 4, "lora_alpha": 8, "alpha_pattern": dict(reversed(PATTERNS.items())),
    },
    "expressions": {
        "r": 4, "lora_alpha": 8, "rank_pattern": {"to_out.0": 1},
        "alpha_pattern": {r"down_blocks\.1\..*to_(q|k)": 2, "0": 16},
    },
    "anchors": {
        "r": 4, "lora_alpha": 8,
        "alpha_pattern": {"^down_blocks.0.attn1.to_q": 1, "^attn2.to_q": 99},
    },
    "rslora with patterns": {
        "r": 4, "lora_alpha": 8, "use_rslora": True,
        "rank_pattern": {"attn1.to_k": 9, "to_q": 2}, "alpha_pattern": {"to_q": 6},
    },
    "LoHa": {"r": 4, "alpha": 6, "alpha_pattern": {"attn2.to_k": 2}},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_layer_is_as_strong_as_peft_has_it(tmp_path: Path, case: str) -> None:
    save_file({f"{peft.PREFIX}x": torch.zeros(1)}, tmp_path / peft.OWN_NAME)
    (tmp_path / peft.CONFIG).write_text(json.dumps(CASES[case]))
    header = read_header(tmp_path / peft.OWN_NAME)
    config = peft.said(header)
    recorded = json.loads(RECORD.read_text())[case]
    assert len(recorded) == 12
    for module, (rank, scaling) in recorded.items():
        alpha = peft.alpha(header, config, Target(UNET, module, (6, 6)), f"{peft.PREFIX}{module}")
        assert alpha is not None
        assert alpha(rank) / rank == pytest.approx(scaling, rel=1e-12), module


def written(folder: Path, unet: Any, config: Any, name: str = peft.OWN_NAME) -> Any:
    """A LoRA of one layer with a config beside it; what it adds at a strength of 1."""
    tensors, delta = _lora(unet)
    names = {"lora_down.weight": "lora_A.weight", "lora_up.weight": "lora_B.weight"}
    save_file(
        {f"{peft.PREFIX}{FIRST}.{names[n]}": tensor for n, tensor in tensors.items()}, folder / name
    )
    if config is not None:
        text = config if isinstance(config, str) else json.dumps(config)
        (folder / peft.CONFIG).write_text(text)
    return delta


@pytest.mark.parametrize("name", [peft.OWN_NAME, "hero.safetensors"])
@pytest.mark.parametrize(
    ("config", "scale"),
    [({"r": 4, "lora_alpha": 12}, 3.0), ({"lora_alpha": 12, "use_rslora": True}, 6.0)],
)
def test_a_config_beside_a_file_is_kept(
    unet: Any,
    tmp_path: Path,
    config: Any,
    scale: float,
    name: str,
) -> None:
    delta = written(tmp_path, unet, config, name)
    form = load(tmp_path / name, targets_of(unet, nn.Module()), PLACES).forms["unet"][FIRST]
    assert torch.allclose(form.weight()[0].double(), scale * delta, rtol=1e-5)


def test_a_config_says_nothing_of_files_that_are_not_pefts(unet: Any, tmp_path: Path) -> None:
    tensors, delta = _lora(unet, alpha=4)
    file = {f"lora_unet_{FIRST.replace('.', '_')}.{n}": t for n, t in tensors.items()}
    save_file(file, tmp_path / "a.safetensors")
    (tmp_path / peft.CONFIG).write_text("broken")
    form = load(tmp_path / "a.safetensors", targets_of(unet, nn.Module()), PLACES).forms["unet"]
    assert torch.allclose(form[FIRST].weight()[0].double(), delta, rtol=1e-5)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (None, "lacks adapter_config.json, which PEFT writes beside it"),
        ("broken", "cannot be read as JSON"),
        ("[" * 99_999, "cannot be read as JSON"),
        ("[1]", "holds no JSON object"),
        ({"lora_alpha": "8"}, "says lora_alpha '8', which is no strength"),
        ({"lora_alpha": 0}, "says lora_alpha 0, which is no strength"),
        ('{"lora_alpha": NaN}', "says lora_alpha nan, which is no strength"),
        ({"alpha_pattern": {"a": []}}, "alpha_pattern that is no table of numbers"),
        ({"alpha_pattern": {"(": 1}}, r"has the alpha_pattern '\('"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights 'pissa_niter_4', which change"),
        ({"fan_in_fan_out": True}, "says fan_in_fan_out, which is not done here"),
        ({"layer_replication": [[0, 1]]}, "says layer_replication"),
        ({"peft_type": "LOKR", "alpha": 4, "r": 8}, "an alpha other than r"),
    ],
)
def test_what_is_not_done_is_refused_by_name(
    unet: Any,
    tmp_path: Path,
    config: Any,
    sentence: str,
) -> None:
    written(tmp_path, unet, config)
    with pytest.raises(CheckpointError, match=rf"^adapter_model\.safetensors.*{sentence}"):
        load(tmp_path / peft.OWN_NAME, targets_of(unet, nn.Module()), PLACES)


def record() -> None:
    """Ask peft for the rank and scaling of each layer."""
    from peft import LoHaConfig, LoraConfig, get_peft_model  # type: ignore[import-not-found]

    def attention() -> nn.Module:
        parts = {name: nn.Linear(6, 6) for name in ("to_q", "to_k")}
        return nn.ModuleDict({**parts, "to_out": nn.ModuleList([nn.Linear(6, 6)])})

    def block() -> nn.Module:
        return nn.ModuleDict({"attn1": attention(), "attn2": attention()})

    told = {}
    for case, config in CASES.items():
        kind = LoraConfig if "lora_alpha" in config else LoHaConfig
        net = nn.ModuleDict({"down_blocks": nn.ModuleList([block(), block()])})
        made = get_peft_model(net, kind(target_modules=list(LAYERS), **config))
        told[case] = {
            name.removeprefix(peft.PREFIX): [module.r["default"], module.scaling["default"]]
            for name, module in made.named_modules()
            if "default" in getattr(module, "scaling", {})
        }
    RECORD.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    record()
