"""From the tensors that a file has for one layer to a form: a table of the kinds of adapter.

Each row names the tensors that it needs and may have, and the function that puts them together in
float32. A LoHa of small ranks is a LoRA of their product, which is exact: the Hadamard product of
two matrices of ranks r and s is one of rank r s (its columns are the products of their columns).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from limner.engine.adapters.forms import Dense, Form, Kronecker, LowRank
from limner.engine.adapters.scaled import Biased, Norm, Scaled, lengths
from limner.engine.adapters.targets import Target
from limner.errors import CheckpointError

RANK_MAX = 1024
"""Above it an adapter is as large as the layers that it changes, or larger."""

Tensors = Mapping[str, Tensor]


class Unfit(CheckpointError):
    """The tensors of one layer are no adapter of it."""


@dataclass(frozen=True)
class Kind:
    """A kind of adapter: the roles of its tensors, and how they become a form."""

    needs: frozenset[str]
    may: frozenset[str]
    build: Callable[[Target, Tensors], Form]


def build(target: Target, tensors: Tensors) -> Form:
    """The form of the tensors of one layer, by their roles (``reading.ENDINGS``).

    Raises:
        Unfit: they are of no known kind, lack one, or do not fit the layer.
    """
    if "diff_b" in tensors and not target.is_norm:
        rest, bias = _without("diff_b", tensors)
        _require(bias.numel() == target.out, "diff_b", bias)
        return Biased(build(target, rest) if rest else None, bias.reshape(1, -1))
    for name in ("dora_scale", "magnitude"):
        if name in tensors:
            rest, wanted = _without(name, tensors)
            return _dora(target, build(target, rest), wanted, ours=name == "dora_scale")
    for kind in NORMS if target.is_norm else KINDS:
        if kind.needs <= tensors.keys() <= kind.needs | kind.may and set(tensors) != {"alpha"}:
            return kind.build(target, tensors)
    raise Unfit(f"has {', '.join(sorted(tensors))}, which is no adapter known here")


def _without(name: str, tensors: Tensors) -> tuple[Tensors, Tensor]:
    return {other: tensor for other, tensor in tensors.items() if other != name}, tensors[name]


def _dora(target: Target, change: Form, wanted: Tensor, *, ours: bool) -> Form:
    """``wanted`` (out, 1, ...) or (1, in, ...) as LyCORIS has it; PEFT's is of the outputs."""
    assert target.weight is not None, "a layer has a weight"
    outputs = wanted.numel() == target.out and (not ours or len(wanted) == target.out)
    inputs = ours and wanted.shape[:2] == (1, target.shape[1])
    _require((outputs or inputs) and wanted.numel() == max(wanted.shape), "dora_scale", wanted)
    base = target.weight.detach().to("cpu", torch.float32)
    merged = base + change.weight()[0].view(base.shape)
    short = lengths(merged, of_inputs=not outputs) + torch.finfo(torch.float32).eps
    return Scaled(change, (wanted.flatten() / short)[None], on_input=not outputs)


def _ia3(target: Target, tensors: Tensors) -> Form:
    factors, on_input = tensors["weight"], bool(tensors["on_input"].any())
    _require(factors.numel() == target.shape[on_input], "weight", factors)
    return Scaled(None, 1 + factors.reshape(1, -1), on_input)


def _norm(target: Target, tensors: Tensors) -> Form:
    found = []
    for names in (("w_norm", "diff"), ("b_norm", "diff_b")):
        name = next((name for name in names if name in tensors), "")
        values = tensors[name] if name else torch.zeros(target.out)
        _require(values.numel() == target.out, name, values)
        found.append(values.reshape(1, -1))
    return Norm(*found)


def _lora(target: Target, tensors: Tensors) -> Form:
    down, up = tensors["down"], tensors["up"]
    rank = len(down)
    _require_rank(rank)
    scale = _alpha(tensors, rank) / rank
    if "mid" in tensors:  # Tucker: a kernel between two 1x1 ones (LyCORIS, Yeh et al. 2023)
        mid = tensors["mid"]
        _require(mid.ndim == 4 and mid.shape[1] == rank, "lora_mid", mid)
        down = torch.einsum("ockl,ci->oikl", mid, down.flatten(1))
    _require(down[0].numel() == target.columns and _kernel(down, target), "down", down)
    _require(up.numel() == target.out * len(down) and len(up) == target.out, "up", up)
    return LowRank.of(down.flatten(1) * scale, up.flatten(1))


def _loha(target: Target, tensors: Tensors) -> Form:
    first, second = (_hada(tensors, n, target) for n in "12")
    scale = _alpha(tensors, first[1].shape[0]) / first[1].shape[0]
    rank = first[0].shape[1] * second[0].shape[1]
    if rank * (target.out + target.columns) >= target.out * target.columns or rank > RANK_MAX:
        return Dense((scale * (first[0] @ first[1]) * (second[0] @ second[1]))[None])
    outs = (first[0][:, :, None] * second[0][:, None, :]).flatten(1)
    ins = (first[1][:, None, :] * second[1][None, :, :]).flatten(0, 1)
    return LowRank.of(ins * scale, outs)


def _hada(tensors: Tensors, number: str, target: Target) -> tuple[Tensor, Tensor]:
    """One of LoHa's two factors as a product: (out, r) and (r, columns)."""
    a, b = tensors[f"hada_w{number}_a"], tensors[f"hada_w{number}_b"]
    if f"hada_t{number}" in tensors:
        core = tensors[f"hada_t{number}"]  # (r, r, height, width): a is (r, out), b (r, in)
        b = torch.einsum("ijkl,jc->ickl", core, b).flatten(1)
        a = a.t()
    _require_rank(a.shape[1])
    _require(a.shape == (target.out, len(b)), f"hada_w{number}_a", a)
    _require(b[0].numel() == target.columns, f"hada_w{number}_b", b)
    return a, b.flatten(1)


def _lokr(target: Target, tensors: Tensors) -> Form:
    first, second = (_factor(tensors, n) for n in "12")
    ranks = [len(tensors[name]) for name in ("lokr_w1_b", "lokr_w2_b") if name in tensors]
    # Of two whole factors there is no rank, and alpha means nothing (as in LyCORIS).
    scale = _alpha(tensors, ranks[0]) / ranks[0] if ranks else 1.0
    fits = len(first) * len(second) == target.out
    fits &= first.shape[1] * second[0].numel() == target.columns
    _require(first.ndim == 2 and fits, "lokr_w1", first)
    if target.kernel == (1, 1):
        return Kronecker(first[None] * scale, second.flatten(1)[None])
    _require(second.ndim == 4, "lokr_w2", second)
    return Dense((torch.kron(first[:, :, None, None], second) * scale).flatten(1)[None])


def _factor(tensors: Tensors, number: str) -> Tensor:
    """One of LoKr's two factors, whole or put together from its own."""
    name = f"lokr_w{number}"
    if name in tensors:
        return tensors[name]
    if {f"{name}_a", f"{name}_b"} - tensors.keys():
        raise Unfit(f"lacks {name}")
    a, b = tensors[f"{name}_a"], tensors[f"{name}_b"]
    if number == "2" and "lokr_t2" in tensors:  # a is (r, out), b (r, in)
        return torch.einsum("ijkl,ip,jr->prkl", tensors["lokr_t2"], a, b)
    _require(a.ndim == 2 and a.shape[1] == len(b), f"{name}_a", a)
    return (a @ b.flatten(1)).view(len(a), *b.shape[1:])


def _difference(target: Target, tensors: Tensors) -> Form:
    diff = tensors["diff"]
    _require(diff.numel() == target.out * target.columns and len(diff) == target.out, "diff", diff)
    return Dense(diff.flatten(1)[None])


def _alpha(tensors: Tensors, rank: int) -> float:
    """What an adapter is multiplied with, over its rank; absent or 0 means the rank itself."""
    alpha = float(tensors["alpha"].flatten()[0]) if "alpha" in tensors else 0.0
    return alpha or float(rank)


def _kernel(down: Tensor, target: Target) -> bool:
    """Whether its kernel is the layer's; a 1x1 one may be a matrix."""
    return (tuple(down.shape[2:]) or (1, 1)) == target.kernel


def _require(holds: bool, name: str, tensor: Tensor) -> None:
    if not holds:
        raise Unfit(f"has {name} of shape {tuple(tensor.shape)}, which does not fit")


def _require_rank(rank: int) -> None:
    if not 1 <= rank <= RANK_MAX:
        raise Unfit(f"is of rank {rank:,}; ranks of 1 to {RANK_MAX:,} are taken")


KINDS: tuple[Kind, ...] = (
    Kind(frozenset({"down", "up"}), frozenset({"mid", "alpha"}), _lora),
    Kind(
        frozenset({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}),
        frozenset({"hada_t1", "hada_t2", "alpha"}),
        _loha,
    ),
    Kind(
        frozenset(),
        frozenset(
            {f"lokr_w{n}{end}" for n in "12" for end in ("", "_a", "_b")} | {"lokr_t2", "alpha"}
        ),
        _lokr,
    ),
    Kind(frozenset({"diff"}), frozenset({"alpha"}), _difference),
    Kind(frozenset({"weight", "on_input"}), frozenset({"alpha"}), _ia3),
)
NORMS: tuple[Kind, ...] = (
    Kind(frozenset(), frozenset({"w_norm", "b_norm", "alpha"}), _norm),
    Kind(frozenset(), frozenset({"diff", "diff_b", "alpha"}), _norm),
)
