"""A file of an adapter: which of its tensors belongs to which layer, and all of it as forms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from limner.engine.adapters import peft
from limner.engine.adapters.building import Unfit, build
from limner.engine.adapters.forms import Form
from limner.engine.adapters.targets import UNET, Target, Targets
from limner.engine.checkpoints import adapters as told
from limner.engine.checkpoints import digests, ways
from limner.engine.checkpoints.containers import read_header, require_unchanged
from limner.engine.checkpoints.headers import FLOATS, Header, TensorInfo
from limner.engine.checkpoints.inspection import kind_of
from limner.engine.checkpoints.tensors import is_finite, read
from limner.errors import CheckpointError

# The endings of tensors' names, and the role of each: kohya's, PEFT's, diffusers', LyCORIS'.
ENDINGS: Mapping[str, str] = {
    ".lora_down.weight": "down",
    ".lora_up.weight": "up",
    ".lora_mid.weight": "mid",
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    ".lora_A.default.weight": "down",
    ".lora_B.default.weight": "up",
    ".lora.down.weight": "down",
    ".lora.up.weight": "up",
    ".lora_linear_layer.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    ".down.weight": "down",
    ".up.weight": "up",
    ".alpha": "alpha",
    ".lora_magnitude_vector": "magnitude",
    ".lora_magnitude_vector.weight": "magnitude",
    ".lora_magnitude_vector.default.weight": "magnitude",
    **{f".{name}": name for name in (
        "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2",
        "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2", "diff",
        "diff_b", "w_norm", "b_norm", "dora_scale", "on_input", "weight",
    )},
}  # fmt: skip
_SHOWN = 3
_ANY_NUMBER = ("on_input", "alpha")  # trainers write an alpha of 4 as they were given it
_RANKED = ("down", "hada_w1_b", "lokr_w1_b", "lokr_w2_b")  # whose rows are the rank
_OTHER = {"sd2": "Stable Diffusion 2", "sdxl": "SDXL"}

Found = dict[Target, dict[str, TensorInfo]]


@dataclass(frozen=True)
class Adapter:
    """A file's forms for the layers of one model; two of one file are equal.

    ``forms`` are by the part of the model, then by the path of the layer.
    """

    sha256: str
    forms: Mapping[str, Mapping[str, Form]] = field(compare=False, repr=False)

    @property
    def bytes(self) -> int:
        """Memory of all its tensors."""
        return sum(form.bytes for part in self.forms.values() for form in part.values())


def load(
    path: Path, targets: Targets, places: Mapping[str, tuple[torch.device, torch.dtype]]
) -> Adapter:
    """The adapter in ``path`` for the model of ``targets``; ``places`` says where its parts go.

    Raises:
        CheckpointError: the file is gone, damaged or no adapter, is for another family of models,
            changes layers that this model has not, does not fit those that it has, or holds
            numbers that are not finite; the sentence names the file and the layer.
    """
    header = read_header(path)
    found, config = matched(header, targets), peft.said(header)
    forms: dict[str, dict[str, Form]] = defaultdict(dict)
    for target, infos in found.items():
        alpha = peft.alpha(header, config, target, _layer(next(iter(infos.values())).name))
        form = _form(path, target, infos, alpha)
        forms[target.part][target.path] = form.to(*places[target.part])
    sha256 = digests.compute(path)
    require_unchanged(header)
    return Adapter(sha256, dict(forms))


def matched(header: Header, targets: Targets) -> Found:
    """The tensors of a file by layer and role; reads no numbers.

    Raises:
        CheckpointError: some tensor belongs to no layer of this model.
    """
    file = header.path.name
    if header.pickled:
        raise CheckpointError(f"{file} is a pickle; {ways.IMPORT}.")
    found: Found = defaultdict(dict)
    foreign = []
    for info in header.tensors.values():
        target, role = _place(info.name, targets)
        if told.is_bundled(info.name):
            continue  # words of prompts, which ``embeddings`` reads
        if target is None:
            foreign.append(info.name)
        else:
            found[target][role] = info
    if kind_of(header) != "lora" and not found:
        raise CheckpointError(f"{file} is no LoRA: no tensor in it belongs to one.")
    _require_family(header)
    if foreign:
        raise CheckpointError(_foreign(file, foreign, len(header.tensors)))
    return found


def _place(name: str, targets: Targets) -> tuple[Target | None, str]:
    for ending, role in ENDINGS.items():
        if name.endswith(ending) and (target := targets.get(name.removesuffix(ending))):
            return target, role
    return None, ""


def _layer(name: str) -> str:
    """A tensor's name without its ending."""
    return next((name.removesuffix(end) for end in ENDINGS if name.endswith(end)), name)


def _require_family(header: Header) -> None:
    base = told.facts(header, "lora")["base"]
    if base in _OTHER:
        raise CheckpointError(
            f"{header.path.name} is for {_OTHER[base]}; the model that is loaded is a Stable "
            "Diffusion 1.x one."
        )


def _foreign(file: str, foreign: list[str], count: int) -> str:
    shown = ", ".join(repr(name) for name in foreign[:_SHOWN])
    more = f" and {len(foreign) - _SHOWN:,} more" if len(foreign) > _SHOWN else ""
    if len(foreign) == count:
        return (
            f"{file}: none of its {count:,} tensors belongs to a layer of this model: "
            f"{shown}{more}."
        )
    return (
        f"{file}: {len(foreign):,} of its {count:,} tensors belong to no layer of this model, or "
        f"are of a kind of adapter that is not known here: {shown}{more}."
    )


def _form(
    path: Path,
    target: Target,
    infos: Mapping[str, TensorInfo],
    alpha: peft.Alpha | None = None,
) -> Form:
    tensors = {}
    for role, info in infos.items():
        if info.dtype not in FLOATS and role not in _ANY_NUMBER:
            raise CheckpointError(
                f"{path.name}: {info.name!r} is stored as {info.dtype}; an adapter's numbers "
                "must be floating-point ones."
            )
        tensors[role] = read(info).float()
        if not is_finite(tensors[role]):
            raise CheckpointError(f"{path.name}: {info.name!r} holds values that are not finite.")
    ranked = next((tensors[role] for role in _RANKED if role in tensors), None)
    if alpha and ranked is not None and "alpha" not in tensors:
        tensors["alpha"] = torch.tensor(alpha(len(ranked)))
    try:
        return build(target, tensors)
    except Unfit as error:
        shape = " x ".join(map(str, target.shape))
        where = f"{target.path} ({shape}) of the {_called(target.part)}"
        raise CheckpointError(f"{path.name}: what it has for {where} {error}.") from error


def _called(part: str) -> str:
    return "UNet" if part == UNET else "text encoder"
