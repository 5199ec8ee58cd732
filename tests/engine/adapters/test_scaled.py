"""DoRA, IA3, and differences of biases and norms: rows as of merged weights, alone."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from limner.engine.adapters.reading import Adapter, load
from limner.engine.adapters.rows import Use
from limner.engine.adapters.targets import targets_of
from limner.engine.sampling.batch import Batch
from limner.engine.sampling.lanes import Lanes
from limner.errors import CheckpointError
from tests.engine import checkpoint_files
from tests.engine.adapters import making
from tests.engine.adapters.conftest import PLACES

Merge = Callable[[float], Tensor]
Made = tuple[dict[str, Tensor], dict[str, Merge]]


@pytest.fixture(scope="module")
def unet() -> Any:
    return checkpoint_files.models(checkpoint_files.SHALLOW)["unet"]


def length(weight: Tensor, axis: int) -> Tensor:
    """Over all but one axis, which stays."""
    others = [n for n in range(weight.ndim) if n != axis]
    return weight.double().pow(2).sum(dim=others, keepdim=True).sqrt()


def dora(weight: Tensor, g: torch.Generator, axis: int, make: Any = making.lora) -> Made:
    """LyCORIS': the merged weight brought to other lengths; c' = s (c - 1) + 1."""
    tensors, delta = make(weight, g)
    merged = weight.detach().double() + delta
    wanted = length(weight, axis) * (1 + 0.3 * torch.rand(length(weight, axis).shape, generator=g))
    wanted = wanted.float()
    c = wanted.double() / length(merged, axis)
    tensors["dora_scale"] = wanted
    return tensors, {"weight": lambda s: merged * (s * (c - 1) + 1)}


def ia3(weight: Tensor, g: torch.Generator, axis: int) -> Made:
    shape = [1] * weight.ndim
    shape[1] = weight.shape[axis]
    factors = torch.randn(shape, generator=g) * 0.3
    across = factors if axis == 1 else factors.transpose(0, 1)
    tensors = {"weight": factors, "on_input": torch.tensor(axis == 1)}
    own = weight.detach().double()
    return tensors, {"weight": lambda s: own * (1 + s * across.double())}


def with_bias(weight: Tensor, g: torch.Generator, bias: Tensor) -> Made:
    tensors, delta = making.lora(weight, g)
    more = torch.randn(bias.shape, generator=g) * 0.3
    own, before = weight.detach().double(), bias.detach().double()
    return {**tensors, "diff_b": more}, {
        "weight": lambda s: own + s * delta,
        "bias": lambda s: before + s * more.double(),
    }


def norm(layer: Any, g: torch.Generator, names: tuple[str, str] = ("w_norm", "b_norm")) -> Made:
    found: dict[str, Tensor] = {}
    merges: dict[str, Merge] = {}
    for name, own in zip(names, ("weight", "bias"), strict=True):
        before = getattr(layer, own).detach().double()
        found[name] = torch.randn(before.shape, generator=g) * 0.3
        merges[own] = lambda s, b=before, d=found[name]: b + s * d.double()
    return found, merges


def layers(unet: nn.Module, *kinds: type) -> dict[str, Any]:
    return {path: layer for path, layer in unet.named_modules() if isinstance(layer, kinds)}


def every(unet: nn.Module, make: Callable[[Tensor, torch.Generator], Made], g: Any) -> Any:
    found = layers(unet, nn.Linear, nn.Conv2d)
    return {path: make(layer.weight, g) for path, layer in list(found.items())[::2]}


KINDS: Mapping[str, Callable[[Any, torch.Generator], dict[str, Made]]] = {
    "dora": lambda u, g: every(u, lambda w, g: dora(w, g, 0), g),
    "dora-in": lambda u, g: every(u, lambda w, g: dora(w, g, 1), g),
    "dora-loha": lambda u, g: every(u, lambda w, g: dora(w, g, 0, making.loha), g),
    "ia3": lambda u, g: every(u, lambda w, g: ia3(w, g, 0), g),
    "ia3-in": lambda u, g: every(u, lambda w, g: ia3(w, g, 1), g),
    "bias": lambda u, g: {
        path: with_bias(layer.weight, g, layer.bias)
        for path, layer in layers(u, nn.Linear, nn.Conv2d).items()
        if layer.bias is not None
    },
    "norm": lambda u, g: {
        path: norm(layer, g) for path, layer in layers(u, nn.GroupNorm, nn.LayerNorm).items()
    },
    "norm-diff": lambda u, g: {
        path: norm(layer, g, ("diff", "diff_b"))
        for path, layer in layers(u, nn.GroupNorm, nn.LayerNorm).items()
    },
}


@pytest.fixture(scope="module")
def made(unet: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder, targets = tmp_path_factory.mktemp("scaled"), targets_of(unet, nn.Module())
    found = {}
    for number, (kind, make) in enumerate(KINDS.items()):
        of_layers = make(unet, torch.Generator().manual_seed(number))
        named = making.kohya("unet")
        tensors = {
            f"{named(path)}.{role}": tensor.contiguous()
            for path, (those, _) in of_layers.items()
            for role, tensor in those.items()
        }
        save_file(tensors, folder / f"{kind}.safetensors")
        merges = {path: merges for path, (_, merges) in of_layers.items()}
        found[kind] = load(folder / f"{kind}.safetensors", targets, PLACES), merges
    return found


def batch(rows: list[tuple[str, float] | None], made: Mapping[str, tuple[Adapter, Any]]) -> Batch:
    g = torch.Generator().manual_seed(3)
    y, context = torch.randn(20, 4, 8, 8, generator=g), torch.randn(20, 77, 32, generator=g)
    t, n = torch.linspace(1, 999, 20), len(rows)
    uses = tuple((Use(made[row[0]][0], row[1]),) if row else () for row in rows)
    return Batch(y[:n], t[:n], context[:n], None, uses)


ROWS: list[tuple[str, float] | None] = [
    None,
    *((kind, 1.0) for kind in KINDS),
    None,
    *((kind, -0.6) for kind in KINDS),
]


@pytest.mark.slow
@torch.inference_mode()
def test_each_row_is_that_of_merged_weights_alone(unet: Any, made: Any) -> None:
    whole = batch(ROWS, made)
    found = Lanes(copy.deepcopy(unet))(whole)
    for number, row in enumerate(ROWS):
        model = copy.deepcopy(unet)
        if row is not None:
            for path, merges in made[row[0]][1].items():
                for name, merge in merges.items():
                    tensor = getattr(model.get_submodule(path), name)
                    tensor.data = merge(row[1]).float().view(tensor.shape)
        one = slice(number, number + 1)
        expected = model(
            whole.y[one], whole.t[one], encoder_hidden_states=whole.context[one]
        ).sample[0]
        assert (found[number] - expected).abs().max() <= 1e-4 * expected.abs().max(), row


@pytest.mark.slow
@torch.inference_mode()
def test_rows_are_the_same_to_the_bit_in_any_order_and_company(unet: Any, made: Any) -> None:
    lanes, whole = Lanes(copy.deepcopy(unet)), batch(ROWS, made)
    assert whole.adapters is not None
    together = lanes(whole)
    plain = lanes(Batch(whole.y, whole.t, whole.context, None, None))
    for number, row in enumerate(ROWS):
        assert torch.equal(together[number], plain[number]) is (row is None), row
    for rows in ([*range(len(ROWS))][::-1], [1, 10], [2, 5, 3], *([n] for n in range(9))):
        chosen = tuple(whole.adapters[row] for row in rows)
        part = Batch(whole.y[rows], whole.t[rows], whole.context[rows], None, chosen)
        for place, found in enumerate(lanes(part)):
            assert torch.equal(found, together[rows[place]]), (rows, place)


FIRST = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"


def _lora(unet: Any, alpha: float | None = None) -> tuple[dict[str, Tensor], Tensor]:
    weight = unet.get_submodule(FIRST).weight
    return making.lora(weight, torch.Generator().manual_seed(7), alpha=alpha)


def test_the_magnitude_of_peft_is_of_the_outputs(unet: Any, tmp_path: Path) -> None:
    tensors, delta = _lora(unet)
    weight = unet.get_submodule(FIRST).weight.detach().double()
    wanted = torch.rand(len(weight), generator=torch.Generator().manual_seed(1)) + 0.5
    names = {"lora_down.weight": "lora_A.weight", "lora_up.weight": "lora_B.weight"}
    file = {f"unet.{FIRST}.{names[name]}": tensor for name, tensor in tensors.items()}
    save_file({**file, f"unet.{FIRST}.lora_magnitude_vector": wanted}, tmp_path / "a.safetensors")
    form = load(tmp_path / "a.safetensors", targets_of(unet, nn.Module()), PLACES).forms["unet"]
    expected = wanted.double() / (weight + delta).norm(dim=1)
    assert torch.allclose(form[FIRST].c[0].double(), expected, rtol=1e-5)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("said", "scale"),
    [
        ({"unet.lora_alpha": 8, "unet.r": 4}, 2.0),
        ({"unet.lora_alpha": 8, "unet.use_rslora": True}, 4.0),
        ({"unet.lora_alpha": 8, "unet.alpha_pattern": {"attn2.to_k": 2}}, 0.5),
        ({"unet.lora_alpha": 8, "unet.alpha_pattern": {"to_v": 2}}, 2.0),
        ({"text_encoder.lora_alpha": 8}, 1.0),
        ("no JSON", 1.0),
    ],
)
def test_alpha_may_be_said_in_metadata(unet: Any, tmp_path: Path, said: Any, scale: float) -> None:
    tensors, delta = _lora(unet)
    names = {"lora_down.weight": "lora_A.weight", "lora_up.weight": "lora_B.weight"}
    file = {f"unet.{FIRST}.{names[name]}": tensor for name, tensor in tensors.items()}
    text = said if isinstance(said, str) else json.dumps(said)
    save_file(file, tmp_path / "a.safetensors", metadata={"lora_adapter_metadata": text})
    form = load(tmp_path / "a.safetensors", targets_of(unet, nn.Module()), PLACES).forms["unet"]
    assert torch.allclose(form[FIRST].weight()[0].double(), delta * scale, atol=1e-5)


def test_embeddings_that_it_brings_are_no_layer_of_it(unet: Any, tmp_path: Path) -> None:
    tensors, _ = _lora(unet)
    file = {f"{making.kohya('unet')(FIRST)}.{name}": tensor for name, tensor in tensors.items()}
    file["bundle_emb.night.string_to_param.*"] = torch.ones(2, 32)
    save_file(file, tmp_path / "a.safetensors")
    found = load(tmp_path / "a.safetensors", targets_of(unet, nn.Module()), PLACES)
    assert list(found.forms["unet"]) == [FIRST]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"dora_scale": torch.ones(3, 1)}, r"has dora_scale of shape \(3, 1\)"),
        ({"diff_b": torch.ones(3)}, r"has diff_b of shape \(3,\)"),
        (
            {"oft_blocks": torch.ones(2, 4, 4)},
            "kind of adapter that is not known here: .*oft_blocks",
        ),
        ({"a1.weight": torch.ones(4, 4)}, "kind of adapter that is not known here: .*a1.weight"),
    ],
)
def test_what_does_not_fit_or_is_not_known_is_told(
    unet: Any, tmp_path: Path, more: dict[str, Tensor], sentence: str
) -> None:
    tensors = {**_lora(unet)[0], **more}
    file = {f"{making.kohya('unet')(FIRST)}.{name}": tensor for name, tensor in tensors.items()}
    save_file(file, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=sentence):
        load(tmp_path / "a.safetensors", targets_of(unet, nn.Module()), PLACES)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 40))]
)
@torch.inference_mode()
def test_random_files_of_every_kind_are_merged_weights(
    unet: Any, tmp_path: Path, seed: int
) -> None:
    """Any layers, ranks and strengths, three files to a batch, of one or two files a row."""
    g = torch.Generator().manual_seed(1000 + seed)
    dice = lambda n: int(torch.randint(n, (1,), generator=g))  # noqa: E731
    makers: list[Callable[[Tensor], tuple[dict[str, Tensor], Merge]]] = [
        lambda w: _linear(making.lora(w, g, rank=1 + dice(20), alpha=float(1 + dice(8))), w),
        lambda w: _linear(making.loha(w, g, rank=1 + dice(5)), w),
        lambda w: _linear(making.lokr(w, g, rank=1 + dice(3)), w),
        lambda w: _linear(making.difference(w, g), w),
        *(lambda w, a=a: _only_weight(dora(w, g, a)) for a in (0, 1)),
        *(lambda w, a=a: _only_weight(ia3(w, g, a)) for a in (0, 1)),
    ]
    targets, known = targets_of(unet, nn.Module()), layers(unet, nn.Linear, nn.Conv2d)
    files = []
    for number in range(3):
        tensors, merges = {}, {}
        for path in [p for p in known if dice(3) == 0] or list(known)[:1]:
            made, merges[path] = makers[dice(len(makers))](known[path].weight)
            name = making.kohya("unet")(path)
            tensors |= {f"{name}.{role}": tensor.contiguous() for role, tensor in made.items()}
        save_file(tensors, tmp_path / f"{number}.safetensors")
        files.append((load(tmp_path / f"{number}.safetensors", targets, PLACES), merges))
    rows = [[], [0], [1], [2], [0, 1], [2, 0], [1, 2]]
    strengths = [[float(torch.randn(1, generator=g)) for _ in row] for row in rows]
    whole = batch([None] * len(rows), {})
    uses = tuple(
        tuple(Use(files[n][0], s) for n, s in zip(row, own, strict=True))
        for row, own in zip(rows, strengths, strict=True)
    )
    found = Lanes(copy.deepcopy(unet))(Batch(whole.y, whole.t, whole.context, None, uses))
    for place, (row, own) in enumerate(zip(rows, strengths, strict=True)):
        model = copy.deepcopy(unet)
        for n, strength in zip(row, own, strict=True):
            for path, merge in files[n][1].items():
                base, weight = known[path].weight.double(), model.get_submodule(path).weight
                weight.data = (weight.double() + merge(strength).view(base.shape) - base).float()
        one = slice(place, place + 1)
        expected = model(
            whole.y[one], whole.t[one], encoder_hidden_states=whole.context[one]
        ).sample[0]
        assert (found[place] - expected).abs().max() <= 1e-4 * expected.abs().max(), (row, own)


def _linear(made: tuple[dict[str, Tensor], Tensor], weight: Tensor) -> Any:
    tensors, delta = made
    return tensors, lambda s: weight.detach().double() + s * delta


def _only_weight(made: Made) -> Any:
    return made[0], made[1]["weight"]
