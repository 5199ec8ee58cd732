"""LoRAs of requests, found in a library and bound by what their files hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from limner.domain.controls import Control
from limner.domain.loras import Lora
from limner.domain.params import Generation
from limner.engine.checkpoints import digests, short_hashes
from limner.errors import InvalidInput
from limner.models.listing import Library
from limner.usecases.drawing.adapters import AdapterFiles

KEY = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"


def written(path: Path, width: int = 768, number: float = 1.0) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({KEY: torch.full((4, width), number)}, path)
    return digests.compute(path)


def written_to(folder: Path, name: str) -> Path:
    (folder / "models").mkdir(exist_ok=True)
    return folder / "models" / f"{name}.safetensors"


def asked(**lora: object) -> tuple[Generation, ...]:
    return (Generation(prompt="a", seed=1, loras=(Lora(**lora),)),)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AdapterFiles:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return AdapterFiles(Library(tmp_path / "data", [tmp_path / "models"], fresh_s=600.0))


def test_a_name_is_bound_to_its_file(files: AdapterFiles, tmp_path: Path) -> None:
    path = tmp_path / "models" / "lora" / "hero.safetensors"
    sha256 = written(path)
    plain = Generation(prompt="a", seed=1)
    [line, same] = files.bind((*asked(name="lora/hero", unet=0.5), plain))
    short = short_hashes.short_hash(path)
    assert line.loras == (Lora(name="lora/hero", sha256=sha256, short_hash=short, unet=0.5),)
    assert same is plain
    assert files.find(sha256) == path
    assert files.find("0" * 64) is None
    assert files.bind(asked(sha256=sha256))[0].loras[0].name == "hero"


def test_a_control_is_bound_to_its_file_and_kind(files: AdapterFiles, tmp_path: Path) -> None:
    names = {"edges": "controlnet_cond_embedding.conv_in.weight", "sketch": "body.0.block1.weight"}
    for name, tensor in names.items():
        save_file({tensor: torch.zeros(4, 3, 3, 3)}, written_to(tmp_path, name))
    controls = [Control(name=name, map_sha256="0" * 64) for name in names]
    [line] = files.bind([Generation(prompt="a", seed=1, controls=controls)])
    assert [control.kind for control in line.controls] == ["controlnet", "t2i-adapter"]
    for control in line.controls:
        assert files.find(control.sha256) == tmp_path / "models" / f"{control.name}.safetensors"
    written(tmp_path / "models" / "hero.safetensors")
    with pytest.raises(
        InvalidInput, match="is 'hero', which is no ControlNet or T2I-Adapter: it is a LoRA"
    ):
        AdapterFiles(Library(tmp_path / "data", [tmp_path / "models"])).bind(
            [Generation(prompt="a", seed=1, controls=[Control(name="hero", map_sha256="0" * 64)])]
        )


def test_a_pickled_control_may_be_named(files: AdapterFiles, tmp_path: Path) -> None:
    pickled = {"control_model.input_hint_block.0.weight": torch.zeros(4, 3, 3, 3)}
    torch.save(pickled, written_to(tmp_path, "published").with_suffix(".pth"))
    control = Control(name="published", map_sha256="0" * 64)
    [line] = files.bind([Generation(prompt="a", seed=1, controls=[control])])
    assert line.controls[0].kind == "controlnet"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("herro", "loras is 'herro', which is not in the library; did you mean 'hero'?"),
        ("twin", "which may be models:a/twin.safetensors and models:b/twin.safetensors"),
        ("large", "large cannot be used: It is for SDXL, and Limner draws with"),
        ("squire", "loras is 'squire', which is no LoRA: it is a Stable Diffusion 1.x checkpoint"),
        ("0" * 64, "which is not in the library"),
    ],
)
def test_what_cannot_be_used_is_told(
    files: AdapterFiles, tmp_path: Path, name: str, sentence: str
) -> None:
    written(tmp_path / "models" / "hero.safetensors")
    written(tmp_path / "models" / "a" / "twin.safetensors")
    written(tmp_path / "models" / "b" / "twin.safetensors", number=2.0)
    written(tmp_path / "models" / "large.safetensors", width=2048)
    with pytest.raises(InvalidInput) as caught:
        files.bind(asked(name=name))
    assert sentence in str(caught.value)
    assert caught.value.field == "loras"


def test_a_file_that_went_away_or_changed_is_told(files: AdapterFiles, tmp_path: Path) -> None:
    path = tmp_path / "models" / "hero.safetensors"
    sha256 = written(path)
    files.bind(asked(name="hero"))
    written(path, number=3.0)
    with pytest.raises(InvalidInput, match=r"loras: the file of SHA-256 .* has changed"):
        files.bind(asked(sha256=sha256))
    path.unlink()
    with pytest.raises(InvalidInput, match=r"hero\.safetensors"):
        files.bind(asked(name="hero"))


def test_without_a_library_there_are_none() -> None:
    with pytest.raises(InvalidInput, match="this server has no library"):
        AdapterFiles().bind(asked(name="hero"))


def test_what_a_receipt_names_is_found_though_no_sum_is_known(
    files: AdapterFiles, tmp_path: Path
) -> None:
    written(tmp_path / "models" / "hero.safetensors", number=2.0)
    path = tmp_path / "models" / "renamed.safetensors"
    there = Lora(name="hero", sha256=written(path))
    assert files.find(there.sha256) is None
    files.seek(Generation(prompt="a", seed=1, loras=(there,)))
    assert files.find(there.sha256) == path
    with pytest.raises(InvalidInput, match=r"no file is hero \(SHA-256 000000000000\.\.\.\)"):
        files.seek(asked(name="hero", sha256="0" * 64)[0])
