"""The layers that an adapter may change, and every name that files call them by.

The names are made by going through the modules of the model that is loaded, and looked up whole:
nothing is guessed from a file's names, so what is not found is known to be foreign.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from torch import Tensor, nn

from limner.engine.checkpoints import names
from limner.engine.checkpoints.unets import modern

UNET, TEXT = "unet", "text_encoder"
_ATTENTION = {
    "to_q": "to_q_lora",
    "to_k": "to_k_lora",
    "to_v": "to_v_lora",
    "to_out.0": "to_out_lora",
}
_CLIP = {
    "q_proj": "to_q_lora",
    "k_proj": "to_k_lora",
    "v_proj": "to_v_lora",
    "out_proj": "to_out_lora",
}


@dataclass(frozen=True)
class Target:
    """A layer: its ``part``, its ``path`` among the part's modules, the shape of its weight.

    ``shape`` is (out, in) of a linear layer, (out, in, height, width) of a convolution, (width,)
    of a norm. ``weight`` is the model's own.
    """

    part: str
    path: str
    shape: tuple[int, ...]
    weight: Tensor | None = field(default=None, compare=False, repr=False)

    @property
    def is_norm(self) -> bool:
        return len(self.shape) == 1

    @property
    def out(self) -> int:
        """Channels that it writes."""
        return self.shape[0]

    @property
    def kernel(self) -> tuple[int, ...]:
        """(height, width) of a convolution's kernel; (1, 1) of a linear layer."""
        return self.shape[2:] or (1, 1)

    @property
    def columns(self) -> int:
        """Numbers that each of its outputs is a weighted sum of."""
        return self.shape[1] * self.kernel[0] * self.kernel[1]


Targets = Mapping[str, Target]


def targets_of(unet: nn.Module, text_encoder: nn.Module) -> dict[str, Target]:
    """Every layer of both under each of its names in files, without the ending of a tensor's."""
    found: dict[str, Target] = {}
    for target in layers(UNET, unet):
        found |= dict.fromkeys(_unet_names(target.path), target)
    for target in layers(TEXT, text_encoder):
        found |= dict.fromkeys(_text_names(target.path), target)
    return found


def layers(part: str, model: nn.Module) -> Iterator[Target]:
    """The layers of a model that have a weight which an adapter may change."""
    for path, module in model.named_modules():
        known = isinstance(module, nn.Linear | nn.GroupNorm | nn.LayerNorm)
        if known or (isinstance(module, nn.Conv2d) and module.groups == 1):
            weight = module.weight
            if isinstance(weight, Tensor):
                yield Target(part, path, tuple(weight.shape), weight)


def _unet_names(path: str) -> Iterator[str]:
    """kohya's, PEFT's and diffusers', and the same with the numbers of latent diffusion."""
    for name in (path, *_latent_diffusion().get(path, ())):
        yield f"lora_unet_{_flat(name)}"
        yield from (start + name for start in ("unet.", "base_model.model.", "diffusion_model."))
    for name in _processors(path, _ATTENTION, ".processor"):
        yield from (name, f"unet.{name}")


def _text_names(path: str) -> Iterator[str]:
    for name in (path, f"text_model.{path}"):
        yield f"lora_te_{_flat(name)}"
        yield from (start + name for start in ("text_encoder.", "base_model.model."))
        yield from (f"text_encoder.{old}" for old in _processors(name, _CLIP, ""))


def _processors(path: str, layers: Mapping[str, str], between: str) -> Iterator[str]:
    """Where diffusers before 0.22 kept the LoRA of an attention's layer."""
    for layer, called in layers.items():
        if path.endswith(f".{layer}"):
            yield f"{path.removesuffix(f'.{layer}')}{between}.{called}"


def _flat(name: str) -> str:
    return name.replace(".", "_")


@cache
def _latent_diffusion() -> dict[str, list[str]]:
    """Latent diffusion's names of a UNet's layers, by today's."""
    found: dict[str, list[str]] = {}
    for weight in names.unet_layers():
        if weight.endswith(".weight"):
            layer = modern(weight).removesuffix(".weight")
            found.setdefault(layer, []).append(weight.removesuffix(".weight"))
    return found
