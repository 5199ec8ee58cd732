"""Files of upscalers: what is refused, in which words; and spandrel without torchvision."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from limner.engine.upscaling.reading import load
from limner.errors import CheckpointError
from tests.engine.upscaling import making

CPU = torch.device("cpu")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(tmp_path: Path, value: float) -> None:
    tensors = making.esrgan()
    tensors["model.0.weight"][0, 0, 0, 0] = value
    making.written(tmp_path / "bad.pth", tensors)
    with pytest.raises(CheckpointError, match=r"bad\.pth: 'model\.0\.weight' holds values that"):
        load(tmp_path / "bad.pth", CPU)


def test_what_is_no_upscaler_is_told_what_it_is(tmp_path: Path) -> None:
    making.written(tmp_path / "lora.safetensors", {"lora_unet_x.lora_up.weight": torch.ones(4, 4)})
    with pytest.raises(CheckpointError, match="no upscaler: it is a LoRA adapter"):
        load(tmp_path / "lora.safetensors", CPU)


def test_a_file_with_a_layer_less_is_refused(tmp_path: Path) -> None:
    tensors = making.esrgan()
    del tensors["model.1.sub.0.RDB2.conv3.0.weight"]
    making.written(tmp_path / "cut.safetensors", tensors)
    with pytest.raises(CheckpointError, match=r"cut\.safetensors is broken"):
        load(tmp_path / "cut.safetensors", CPU)


CODE = """
import sys
{before}
from limner.engine.checkpoints.spandrels import spandrel
known = spandrel()
names = {{each.architecture.id for each in known.MAIN_REGISTRY}}
assert {{"ESRGAN", "SwinIR", "HAT", "LaMa", "RestoreFormer"}} <= names
print([name for name in sys.modules if name.startswith("torchvision")])
"""
TRUE = """
from types import ModuleType
for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
    sys.modules[name] = ModuleType(name)
for name in ("InterpolationMode", "normalize", "rotate"):
    setattr(sys.modules["torchvision.transforms.functional"], name, object())
"""
BROKEN = "sys.modules['torchvision'] = None"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "left"),
    [
        ("", "[]"),
        (BROKEN, "['torchvision']"),
        (TRUE, "['torchvision', 'torchvision.transforms', 'torchvision.transforms.functional']"),
    ],
)
def test_torchvision_is_stood_in_for_only_where_it_is_not(before: str, left: str) -> None:
    command = [sys.executable, "-c", CODE.format(before=before)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == left


def test_normalizing_is_torchvisions() -> None:
    from limner.engine.checkpoints.spandrels import _normalize

    image = torch.rand(3, 4, 5)
    made = _normalize(image, [0.5, 0.4, 0.3], [0.5, 0.2, 0.1])
    assert torch.allclose(made[2], (image[2] - 0.3) / 0.1)
