"""Random adapters of every kind, and what each does to a weight, by its definition in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

Tensors = dict[str, Tensor]
Made = tuple[Tensors, Tensor]
Name = Callable[[str], str]


def lora(weight: Tensor, g: torch.Generator, rank: int = 4, alpha: float | None = 3.0) -> Made:
    """LoRA of a matrix; of a kernel, LoCon."""
    out, inside, *kernel = weight.shape
    down = _random(g, rank, inside, *kernel)
    up = _random(g, out, rank, *[1 for _ in kernel])
    delta = torch.einsum("or,rk->ok", up.double().flatten(1), down.double().flatten(1))
    delta *= (alpha or rank) / rank
    tensors = {"lora_down.weight": down, "lora_up.weight": up}
    return tensors | _alpha(alpha), delta.view(weight.shape)


def tucker(weight: Tensor, g: torch.Generator, rank: int = 4, alpha: float | None = 3.0) -> Made:
    """LoCon with a kernel between two 1x1 ones."""
    out, inside, *kernel = weight.shape
    down, up = _random(g, rank, inside, 1, 1), _random(g, out, rank, 1, 1)
    mid = _random(g, rank, rank, *kernel)
    delta = torch.zeros(weight.shape, dtype=torch.float64)
    for r in range(rank):
        for s in range(rank):
            outer = up.double()[:, r, 0, 0, None] * down.double()[None, s, :, 0, 0]
            delta += outer[:, :, None, None] * mid.double()[r, s]
    tensors = {"lora_down.weight": down, "lora_up.weight": up, "lora_mid.weight": mid}
    return tensors | _alpha(alpha), delta * (alpha or rank) / rank


def loha(weight: Tensor, g: torch.Generator, rank: int = 4, alpha: float | None = 3.0) -> Made:
    """The Hadamard product of two low-rank matrices."""
    out, columns = weight.flatten(1).shape
    one, two = ((_random(g, out, rank), _random(g, rank, columns)) for _ in range(2))
    tensors = {"hada_w1_a": one[0], "hada_w1_b": one[1], "hada_w2_a": two[0], "hada_w2_b": two[1]}
    delta = (one[0].double() @ one[1].double()) * (two[0].double() @ two[1].double())
    return tensors | _alpha(alpha), (delta * (alpha or rank) / rank).view(weight.shape)


def lokr(weight: Tensor, g: torch.Generator, rank: int = 2, alpha: float | None = 3.0) -> Made:
    """The Kronecker product of a small matrix and a product of two."""
    out, inside, *kernel = weight.shape
    small = _random(g, 2, 2 if inside % 2 == 0 else 1)
    a, b = _random(g, out // 2, rank), _random(g, rank, inside // small.shape[1], *kernel)
    large = (a.double() @ b.double().flatten(1)).view(out // 2, *b.shape[1:])
    delta = torch.zeros(weight.shape, dtype=torch.float64)
    rows, columns = large.shape[:2]
    for r in range(2):
        for c in range(small.shape[1]):
            where = slice(r * rows, (r + 1) * rows), slice(c * columns, (c + 1) * columns)
            delta[where] = small[r, c].double() * large
    tensors = {"lokr_w1": small, "lokr_w2_a": a, "lokr_w2_b": b}
    return tensors | _alpha(alpha), delta * (alpha or rank) / rank


def whole_factors(weight: Tensor, g: torch.Generator, rank: int = 2, alpha: float = 7.0) -> Made:
    """A LoKr of two whole factors, whose alpha means nothing."""
    tensors, delta = lokr(weight, g, rank, None)
    a, b = tensors.pop("lokr_w2_a"), tensors.pop("lokr_w2_b")
    return tensors | {"lokr_w2": torch.einsum("or,r...->o...", a, b)} | _alpha(alpha), delta


def difference(weight: Tensor, g: torch.Generator, **_: float | None) -> Made:
    """A whole difference."""
    diff = _random(g, *weight.shape)
    return {"diff": diff}, diff.double()


def kohya(part: str) -> Name:
    """kohya's names of the layers of a part."""
    start = {"unet": "lora_unet_", "text_encoder": "lora_te_text_model_"}[part]
    return lambda path: start + path.replace(".", "_")


def linears(model: nn.Module, *, kernels: bool = False) -> dict[str, Tensor]:
    """The weights of a model's matrices and 1x1 convolutions; with ``kernels``, of the larger."""
    return {
        path: module.weight
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
        and (kernels or module.weight[0, 0].numel() == 1)
    }


def file(
    path: Path,
    parts: Mapping[str, Mapping[str, Tensor]],
    make: Callable[..., Made] = lora,
    seed: int = 0,
    name: Callable[[str], Name] = kohya,
    **shape: float | None,
) -> dict[str, dict[str, Tensor]]:
    """Write an adapter of the weights of ``parts``; what it does to each, by part and path."""
    g = torch.Generator().manual_seed(seed)
    tensors: Tensors = {}
    deltas: dict[str, dict[str, Tensor]] = {}
    for part, weights in parts.items():
        deltas[part] = {}
        for layer, weight in weights.items():
            made, deltas[part][layer] = make(weight, g, **shape)
            tensors |= {f"{name(part)(layer)}.{key}": value for key, value in made.items()}
    save_file({key: value.contiguous() for key, value in tensors.items()}, path)
    return deltas


def merged(model: nn.Module, worn: Iterable[tuple[Mapping[str, Tensor], float]]) -> Tensors:
    """The model's weights with differences at strengths put in, summed in float64."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    whole = {name: value.double() for name, value in state.items()}
    for deltas, strength in worn:
        for layer, delta in deltas.items():
            whole[f"{layer}.weight"] += strength * delta
    return {name: whole[name].to(value.dtype) for name, value in state.items()}


def _random(g: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=g) * 0.2


def _alpha(alpha: float | None) -> Tensors:
    return {} if alpha is None else {"alpha": torch.tensor(alpha)}
