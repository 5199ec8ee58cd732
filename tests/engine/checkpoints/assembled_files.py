"""Checkpoints whose parts lie apart: averages alone, scaled numbers, a VAE beside, a ``.yaml``.

``assembled`` draws one of each over what ``combined_files`` draws from, always the same for a
number, and writes the files.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from limner.engine.checkpoints.prediction import AS_TOLD, Wish
from tests.engine.checkpoints.combined_files import CONTAINERS, PREFIXES, TYPES, _renamed, _typed
from tests.engine.checkpoints.odd_names import flat
from tests.engine.checkpoints.odd_storage import scaled_tensors
from tests.engine.checkpoints.writing import TEXT, UNET, VAE, Tensors, only, without

COUNT = 100
YAML = "model:\n  params:\n    parameterization: {}\n"


@dataclass
class Assembled:
    """A file, what is named beside it, and what it must hold and predict."""

    what: str
    path: Path
    wanted: Tensors
    predicts: str
    vae: Path | None = None
    wish: Wish = AS_TOLD


def assembled(number: int, folder: Path, tensors: Tensors) -> Assembled:
    """The files of a number."""
    draw = random.Random(f"assembled {number}")
    naming, kind, container = (draw.choice([*each]) for each in (PREFIXES, TYPES, CONTAINERS))
    unet = draw.choice(["plain", "averages", "scaled"])
    vae = draw.choice(["within", ".vae.pt", ".vae.safetensors", "named"])
    text = draw.choice(["within", "named"])
    yaml = draw.choice(["", "v", "eps"])
    if "older" in container and (unet == "scaled" or TYPES[kind][0].itemsize == 1):
        container = "ckpt"  # which came before 8-bit numbers
    held = wanted = _typed(tensors, TYPES[kind])
    if unet == "averages":
        held = without(wanted, UNET) | flat(wanted)
    if unet == "scaled":
        held, wanted = scaled_tensors(wanted)
    held, named_vae = _vae_apart(folder, held, vae)
    held, wish = _text_apart(folder, held) if text == "named" else (held, AS_TOLD)
    if yaml:
        (folder / "odd.yaml").write_text(YAML.format(yaml))
    path = CONTAINERS[container](folder, _renamed(held, PREFIXES[naming]))
    what = ", ".join((naming, kind, container, unet, vae, text, yaml))
    predicts = "v_prediction" if yaml == "v" else "epsilon"
    return Assembled(what, path, wanted, predicts, named_vae, wish)


def _vae_apart(folder: Path, held: Tensors, where: str) -> tuple[Tensors, Path | None]:
    if where == "within":
        return held, None
    vae = {key.removeprefix(VAE): value for key, value in only(held, VAE).items()}
    path = folder / ("vae.safetensors" if where == "named" else f"odd{where}")
    if where.endswith(".pt"):
        torch.save({"state_dict": vae}, path)
    else:
        save_file(vae, path)
    return without(held, VAE), path if where == "named" else None


def _text_apart(folder: Path, held: Tensors) -> tuple[Tensors, Wish]:
    save_file(only(held, TEXT), folder / "text.safetensors")
    return without(held, TEXT), Wish(text_encoder=folder / "text.safetensors")
