"""Folders as people have them: named, in ComfyUI's file of paths, missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from limner.models import places
from tests.models import files
from tests.models.files import rows

PATHS = """
a111:
    base_path: {base}
    is_default: true
    checkpoints: models/Stable-diffusion
    loras: |
        models/Lora
        models/LyCORIS
    custom_nodes: nodes
beside:
    vae: vaes
nothing:
"""


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("as_file", [True, False])
def test_comfyuis_file_of_paths(tmp_path: Path, absolute: bool, as_file: bool) -> None:
    comfy, webui = tmp_path / "comfy", tmp_path / "webui"
    files.lora(webui / "models" / "Lora" / "fox.safetensors")
    files.lora(webui / "models" / "LyCORIS" / "elk.safetensors")
    files.lora(webui / "nodes" / "not.safetensors")
    files.lora(comfy / "vaes" / "owl.safetensors")
    file = comfy / places.PATHS_FILE
    file.write_text(PATHS.format(base=webui if absolute else "../webui/"))
    found = rows(file if as_file else comfy)
    owl = "owl.safetensors" if as_file else "vaes/owl.safetensors"
    libraries = {path: row["library"] for path, row in found.items()}
    assert libraries == {
        "Stable-diffusion": "Stable-diffusion",  # not there, which its reason says
        "fox.safetensors": "Lora",
        "elk.safetensors": "LyCORIS",
        owl: "vaes" if as_file else "comfy",
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: [", "cannot be read"),
        ("- a\n- b", "it holds no sections"),
        ("#" * ((1 << 20) + 1), "it is longer than 1,048,576 bytes"),
        ("!!python/object/apply:os.system ['true']", "cannot be read"),
    ],
)
def test_a_broken_file_of_paths_is_told(tmp_path: Path, text: str, why: str) -> None:
    files.lora(tmp_path / "fox.safetensors")
    (tmp_path / places.PATHS_FILE).write_text(text)
    found = rows(tmp_path)
    assert found["fox.safetensors"]["kind"] == "lora"
    reason = found[places.PATHS_FILE]["reason"]
    assert why in reason
    assert str(tmp_path) not in reason


def test_folders_of_one_name_have_labels_of_their_own(tmp_path: Path) -> None:
    named = [tmp_path / "a" / "models", tmp_path / "b" / "models", tmp_path / "a" / "models"]
    assert [place.label for place in places.of(named)] == ["models", "models-2"]
